"""Every statement about the events of states. Writes nothing: the history is the only store.

Names and tags are those that the objects have when an event is read.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    UnaryExpression,
    false,
    func,
    literal,
    or_,
    select,
    tuple_,
)

from forebay.wire.events import ReceivedEvent
from forebay_server.db.engine import Transaction
from forebay_server.deployments.tables import deployments
from forebay_server.events.emit import FLOW_RUN, FLOW_RUN_STATES
from forebay_server.events.sources import Narrowing
from forebay_server.flow_run_events import shapes
from forebay_server.flow_runs.tables import flow_run_states, flow_runs
from forebay_server.flows.tables import flows
from forebay_server.work_pools.tables import work_pools
from forebay_server.work_queues.tables import work_queues


class StateEvents:
    """One event for each state of each run, under the state's id."""

    name = FLOW_RUN_STATES

    async def read(
        self,
        db: Transaction,
        narrowing: Narrowing,
        limit: int,
        *,
        is_oldest_first: bool = False,
    ) -> Sequence[ReceivedEvent]:
        """See `Source.read`."""
        if not _is_possible(narrowing):
            return []
        statement = selected(narrowing, limit, is_oldest_first=is_oldest_first)
        return [shapes.event(row) for row in await db.rows(statement)]

    async def count(self, db: Transaction, narrowing: Narrowing, most: int) -> int:
        """See `Source.count`."""
        if not _is_possible(narrowing):
            return 0
        conditions = _conditions(narrowing, is_oldest_first=False)
        some = select(flow_run_states.c.id).where(*conditions).limit(most).subquery()
        return int(await db.scalar(select(func.count()).select_from(some)))


STATES = StateEvents()


def selected(narrowing: Narrowing, limit: int, *, is_oldest_first: bool = False) -> Select[Any]:
    """The statement that reads states with what their events tell, the newest first unless told."""
    earlier = flow_run_states.alias("earlier")
    previous_id = (
        select(earlier.c.id)
        .where(
            earlier.c.flow_run_id == flow_run_states.c.flow_run_id,
            earlier.c.timestamp < flow_run_states.c.timestamp,
        )
        .order_by(earlier.c.timestamp.desc())
        .limit(1)
    )
    state = (
        select(flow_run_states, previous_id.scalar_subquery().label("previous_id"))
        .where(*_conditions(narrowing, is_oldest_first=is_oldest_first))
        .order_by(*_order(flow_run_states.c, is_oldest_first=is_oldest_first))
        .limit(limit)
        .subquery("state")
    )
    previous = flow_run_states.alias("previous")
    return (
        select(
            state,
            previous.c.timestamp.label("previous_timestamp"),
            previous.c.type.label("previous_type"),
            previous.c.name.label("previous_name"),
            previous.c.message.label("previous_message"),
            previous.c.state_details.label("previous_details"),
            flow_runs.c.name.label("run_name"),
            flow_runs.c.run_count,
            flow_runs.c.tags.label("run_tags"),
            flow_runs.c.created_by,
            flows.c.id.label("flow_id"),
            flows.c.name.label("flow_name"),
            flows.c.tags.label("flow_tags"),
            deployments.c.id.label("deployment_id"),
            deployments.c.name.label("deployment_name"),
            deployments.c.tags.label("deployment_tags"),
            work_queues.c.id.label("queue_id"),
            work_queues.c.name.label("queue_name"),
            work_pools.c.id.label("pool_id"),
            work_pools.c.name.label("pool_name"),
            work_pools.c.type.label("pool_type"),
        )
        .join(flow_runs, state.c.flow_run_id == flow_runs.c.id)
        .join(flows, flow_runs.c.flow_id == flows.c.id)
        .outerjoin(previous, state.c.previous_id == previous.c.id)
        .outerjoin(deployments, flow_runs.c.deployment_id == deployments.c.id)
        .outerjoin(work_queues, flow_runs.c.work_queue_id == work_queues.c.id)
        .outerjoin(work_pools, work_queues.c.work_pool_id == work_pools.c.id)
        .order_by(*_order(state.c, is_oldest_first=is_oldest_first))
    )


def _order(state: Any, *, is_oldest_first: bool) -> list[UnaryExpression[Any]]:
    keys = (state.timestamp, state.id)
    return [key.asc() if is_oldest_first else key.desc() for key in keys]


def _is_possible(narrowing: Narrowing) -> bool:
    """Whether a state's event can be within `narrowing`, as far as names tell."""
    if narrowing.names is not None and not any(_without_prefix(narrowing.names)):
        return False
    return narrowing.prefixes is None or any(
        FLOW_RUN.startswith(prefix) or prefix.startswith(FLOW_RUN) for prefix in narrowing.prefixes
    )


def _conditions(narrowing: Narrowing, *, is_oldest_first: bool) -> Iterator[ColumnElement[bool]]:
    states = flow_run_states.c
    if narrowing.since is not None:
        yield states.timestamp >= narrowing.since
    if narrowing.until is not None:
        yield states.timestamp <= narrowing.until
    if narrowing.names is not None:
        yield states.name.in_([*_without_prefix(narrowing.names)])
    if narrowing.prefixes is not None and not FLOW_RUN.startswith(narrowing.prefixes):
        stems = _without_prefix(narrowing.prefixes)
        yield or_(false(), *(states.name.startswith(stem, autoescape=True) for stem in stems))
    if narrowing.ids is not None:
        yield states.id.in_(narrowing.ids)
    if narrowing.resource_ids is not None:
        yield states.flow_run_id.in_([*_uuids(_without_prefix(narrowing.resource_ids))])
    if narrowing.beyond is not None:
        timestamp, id = narrowing.beyond
        bound = tuple_(literal(timestamp, states.timestamp.type), literal(id, states.id.type))
        position = tuple_(states.timestamp, states.id)
        yield position > bound if is_oldest_first else position < bound


def _without_prefix(texts: Iterable[str]) -> Iterator[str]:
    return (text.removeprefix(FLOW_RUN) for text in texts if text.startswith(FLOW_RUN))


def _uuids(texts: Iterable[str]) -> Iterator[UUID]:
    for text in texts:
        try:
            yield UUID(text)
        except ValueError:
            continue  # no run's
