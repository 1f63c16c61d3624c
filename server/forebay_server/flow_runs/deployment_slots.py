"""The slot that a run takes of its deployment's limit: read before a decision, written after.

A lease holds the slot. While a claim of the run lives, so does the lease; a run without a claim
renews it itself, which stock engines do.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Uuid, column, func, select
from sqlalchemy import table as named_table

from forebay.wire.concurrency_limits import (
    DEFAULT_LEASE_SECONDS,
    ConcurrencyLeaseHolder,
    HolderType,
)
from forebay.wire.states import State, StateCreate, StateType
from forebay_server.concurrency_limits import slots
from forebay_server.concurrency_limits.rules import Limit
from forebay_server.concurrency_limits.tables import concurrency_leases, concurrency_limits
from forebay_server.db.columns import Json
from forebay_server.db.engine import Transaction
from forebay_server.db.together import Change, deleted
from forebay_server.flow_runs.facts import DeploymentSlots
from forebay_server.flow_runs.tables import flow_runs

CANCEL_NEW = "CANCEL_NEW"

# Named as text: deployments build on runs, not the other way.
deployments = named_table(
    "deployment",
    column("id", Uuid()),
    column("global_concurrency_limit_id", Uuid()),
    column("concurrency_options", Json),
)
# For the statement that reads the facts, beside the run.
columns = (
    deployments.c.global_concurrency_limit_id.label("limit_id"),
    deployments.c.concurrency_options,
    select(func.max(concurrency_leases.c.expires_at))
    .where(concurrency_leases.c.flow_run_id == flow_runs.c.id)
    .scalar_subquery()
    .label("slot_expires_at"),
)


async def read(
    db: Transaction, row: Row[Any], proposed: StateCreate, at: datetime
) -> tuple[DeploymentSlots | None, Limit | None]:
    """What the deployment's limit says about a locked run, and the limit where it matters.

    The limit is locked only for a run that needs a slot of it and has none. A run that begins to
    run has its slot renewed here: it is the last moment to notice that it was lost.
    """
    if row.limit_id is None:
        return None, None
    expires_at: datetime | None = row.slot_expires_at
    is_held = expires_at is not None and (row.claim_epoch is not None or expires_at > at)
    if is_held and proposed.type is StateType.RUNNING:
        is_its = concurrency_leases.c.flow_run_id == row.id
        is_held = await slots.renew(db, is_its, DEFAULT_LEASE_SECONDS)
    if is_held or proposed.type not in (StateType.PENDING, StateType.RUNNING):
        return DeploymentSlots(is_held=is_held), None
    is_meant = (concurrency_limits.c.id == row.limit_id) & concurrency_limits.c.active
    limits = await slots.measure(db, await slots.lock(db, is_meant))
    if not limits:
        return None, None
    (limit,) = limits
    cancels_new = (row.concurrency_options or {}).get("collision_strategy") == CANCEL_NEW
    return DeploymentSlots(limit.limit, limit.free, cancels_new), limit


async def take(db: Transaction, limit: Limit, row: Row[Any], state: State) -> None:
    """Take a slot for the run, which `state` will name. The limit is locked and was looked at."""
    seconds = DEFAULT_LEASE_SECONDS
    if state.type is StateType.PENDING:
        grace = (row.concurrency_options or {}).get("grace_period_seconds")
        seconds = float(grace or DEFAULT_LEASE_SECONDS)
    holder = ConcurrencyLeaseHolder(type=HolderType.FLOW_RUN, id=row.id)
    hold = slots.Hold(seconds, holder, flow_run_id=row.id)
    lease_id = await slots.occupy(db, [limit], 1, hold)
    state.state_details.deployment_concurrency_lease_id = lease_id


def release(run_id: UUID) -> Change:
    """The change that gives the run's slot back."""
    return deleted(concurrency_leases, flow_run_id=run_id)
