"""Why a run does not start, as its pool, its queue, their workers and its deployment show it.

Reads only, so that looking changes nothing; which rule holds in the end is for the server to say.
"""

import shlex
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from forebay.calls import deployments, work_pools, work_queues
from forebay.cli.output import since
from forebay.cli.session import PAGE, every
from forebay.errors import NotFound
from forebay.wire.states import StateType
from forebay.wire.work_pools import AGENT_TYPE, WorkerStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from uuid import UUID

    from forebay.client import Client
    from forebay.wire.flow_runs import FlowRun
    from forebay.wire.slots import SlotHolder
    from forebay.wire.work_pools import WorkPool
    from forebay.wire.work_queues import WorkQueue


@dataclass(frozen=True)
class Reason:
    """One thing that keeps a run from being claimed."""

    rule: str  # a word for programs
    text: str
    next_step: str | None = None  # a command


@dataclass(frozen=True)
class Service:
    """How a pool is served at one moment."""

    pool: "WorkPool"
    queues: "Mapping[UUID, WorkQueue]"
    has_worker: bool

    def reasons(self, queue_id: "UUID | None") -> "Iterator[Reason]":
        """What keeps runs of the queue from being claimed; the first is the strongest."""
        yield from self._pool_reasons()
        queue = self.queues.get(queue_id) if queue_id else None
        if queue is None:
            yield Reason("no_queue", f"Its queue of the pool {self.pool.name!r} was deleted.")
        else:
            yield from self._queue_reasons(queue)
        if not self.has_worker and self.pool.type != AGENT_TYPE and ":" not in self.pool.type:
            yield Reason(
                "no_worker",
                f"No worker serves the pool {self.pool.name!r}",
                f"forebay worker start -p {shlex.quote(self.pool.name)}",
            )

    def _pool_reasons(self) -> "Iterator[Reason]":
        name, limit = self.pool.name, self.pool.concurrency_limit
        quoted = shlex.quote(name)
        if self.pool.is_paused:
            resume = f"forebay work-pool resume {quoted}"
            yield Reason("pool_paused", f"The pool {name!r} is paused", resume)
        if limit is not None and (self.pool.active_slots or 0) >= limit:
            text = f"The pool {name!r} has no free slot of {limit}"
            yield Reason("pool_limit", text, f"forebay work-pool slots {quoted}")

    def _queue_reasons(self, queue: "WorkQueue") -> "Iterator[Reason]":
        name, limit = queue.name, queue.concurrency_limit
        place = f"{shlex.quote(name)} -p {shlex.quote(self.pool.name)}"
        if queue.is_paused:
            resume = f"forebay work-queue resume {place}"
            yield Reason("queue_paused", f"The queue {name!r} is paused", resume)
        if limit is not None and (queue.active_slots or 0) >= limit:
            text = f"The queue {name!r} has no free slot of {limit}"
            yield Reason("queue_limit", text, f"forebay work-queue slots {place}")


def read_service(client: "Client", pool_name: str) -> Service:
    """The pool with its queues, and whether a worker is online. Raises `NotFound`."""
    pool = client.send(work_pools.read(pool_name))
    queues = {queue.id: queue for queue in every(client, work_queues.filter, pool=pool_name)}
    workers = client.send(work_pools.workers(pool_name))
    return Service(pool, queues, any(w.status is WorkerStatus.ONLINE for w in workers))


def reasons(client: "Client", run: "FlowRun") -> list[Reason]:
    """What keeps `run` from being claimed now; none for a run that waits for nothing."""
    if run.state_type is not StateType.SCHEDULED:
        return []
    if run.work_pool_name is None:
        return [Reason("no_pool", "No worker can take it: its deployment names no pool.")]
    found = list(read_service(client, run.work_pool_name).reasons(run.work_queue_id))
    found += _deployment_reasons(client, run)
    due = run.next_scheduled_start_time
    if due is not None and due > datetime.now(UTC):
        found.append(Reason("not_due", f"Its time is {since(due)}."))
    return found


def holders(client: "Client", run: "FlowRun", found: "Iterable[Reason]") -> "list[SlotHolder]":
    """The runs that hold the slots for which `run` waits; none when it waits for none."""
    rules = {reason.rule for reason in found}
    if "queue_limit" in rules and run.work_queue_id:
        return client.send(work_queues.slots(run.work_queue_id)).flow_runs
    if "pool_limit" in rules and run.work_pool_name:
        slots = client.send(work_pools.slots(run.work_pool_name, runs_of_each=PAGE))
        return [holder for queue in slots.queues for holder in queue.flow_runs]
    return []


def tell(reason: Reason) -> str:
    """The reason as one line, with the command to try next."""
    return f"{reason.text}: {reason.next_step}" if reason.next_step else reason.text


def _deployment_reasons(client: "Client", run: "FlowRun") -> "Iterator[Reason]":
    if run.deployment_id is None:
        return
    try:
        limit = client.send(deployments.read(run.deployment_id)).global_concurrency_limit
    except NotFound:
        return
    if limit is not None and limit.active and limit.active_slots >= limit.limit:
        text = f"The limit {limit.name!r} of its deployment has no free slot of {limit.limit}"
        yield Reason("deployment_limit", text, f"forebay gcl inspect {shlex.quote(limit.name)}")
