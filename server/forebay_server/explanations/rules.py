"""What of a run, a queue or a pool keeps runs from starting. Pure: no SQL, no HTTP, no clock."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from forebay.templates import Template
from forebay.wire.explanations import Condition, Explanation, LimitHolder, Rule
from forebay.wire.states import HOLDING, StateType
from forebay_server.work_pools.job_variables import unknown_variables

POLLED_WITHIN = timedelta(seconds=60)


@dataclass(frozen=True)
class Limit:
    """A limit (null: none) and who holds it."""

    limit: int | None
    held: int = 0
    holders: tuple[LimitHolder, ...] = ()

    @property
    def is_reached(self) -> bool:
        """Whether no slot is free."""
        return self.limit is not None and self.held >= self.limit


@dataclass(frozen=True)
class Pool:
    """A pool as it is now."""

    name: str
    is_paused: bool
    limit: Limit
    online_workers: int
    last_heartbeat: datetime | None = None
    template: Template = field(default_factory=dict)


@dataclass(frozen=True)
class Queue:
    """A queue as it is now."""

    name: str
    is_paused: bool
    limit: Limit
    last_polled: datetime | None = None


@dataclass(frozen=True)
class Run:
    """A run as it is now; the variables from the weakest layer to the strongest."""

    state_type: StateType
    state_name: str
    due: datetime | None = None
    retries_itself: bool = False
    deployment_limit: Limit = Limit(None)
    job_variables: tuple[Mapping[str, Any] | None, ...] = ()


def explain_run(run: Run, pool: Pool | None, queue: Queue | None, now: datetime) -> Explanation:
    """Why a run does not begin. Who has its slots already needs no more of them."""
    conditions = [_state(run), _scheduled_time(run.due, now)]
    if pool is None or queue is None:
        detail = "The run is on no work queue, so that no worker is given it."
        conditions.append(Condition(rule=Rule.PLACE, met=False, detail=detail))
        return _explanation(conditions)
    conditions += _pool_conditions(pool)
    conditions += _queue_conditions(queue, now)
    conditions.append(_limit(Rule.DEPLOYMENT_LIMIT, "The deployment", run.deployment_limit))
    conditions.append(_job_variables(pool, run.job_variables))
    if run.state_type in HOLDING:
        held = (Rule.POOL_LIMIT, Rule.QUEUE_LIMIT, Rule.DEPLOYMENT_LIMIT)
        conditions = [condition for condition in conditions if condition.rule not in held]
    return _explanation(conditions)


def explain_queue(
    queue: Queue, pool: Pool, first_due: datetime | None, now: datetime
) -> Explanation:
    """Why a queue gives no run now; `first_due` is the time of its first scheduled run."""
    conditions = [_due_run(first_due, now), *_pool_conditions(pool)]
    return _explanation([*conditions, *_queue_conditions(queue, now)])


def explain_pool(pool: Pool, first_due: datetime | None, now: datetime) -> Explanation:
    """Why a pool gives no run now; `first_due` is that of its queues that are not paused."""
    return _explanation([_due_run(first_due, now), *_pool_conditions(pool)])


def _explanation(conditions: list[Condition]) -> Explanation:
    may_start = all(condition.met for condition in conditions if condition.is_blocking)
    return Explanation(may_start=may_start, conditions=conditions)


def _state(run: Run) -> Condition:
    is_scheduled = run.state_type is StateType.SCHEDULED
    if run.retries_itself:
        detail = "The process that ran it before waits to try again by itself."
    elif is_scheduled:
        detail = f"The run is {run.state_name}."
    else:
        detail = f"The run is {run.state_name}; only scheduled runs are given to workers."
    return Condition(rule=Rule.STATE, met=is_scheduled and not run.retries_itself, detail=detail)


def _scheduled_time(due: datetime | None, now: datetime) -> Condition:
    if due is None or due <= now:
        return Condition(rule=Rule.SCHEDULED_TIME, met=True, detail="Its time has come.")
    detail = f"It is due in {_seconds(due - now)}."
    return Condition(rule=Rule.SCHEDULED_TIME, met=False, detail=detail)


def _due_run(first_due: datetime | None, now: datetime) -> Condition:
    if first_due is None:
        detail = "No run is scheduled."
    elif first_due <= now:
        detail = f"A run has been due for {_seconds(now - first_due)}."
    else:
        detail = f"The next run is due in {_seconds(first_due - now)}."
    is_due = first_due is not None and first_due <= now
    return Condition(rule=Rule.DUE_RUN, met=is_due, detail=detail)


def _pool_conditions(pool: Pool) -> Iterator[Condition]:
    yield _paused(Rule.POOL_PAUSED, f"The work pool {pool.name!r}", pool.is_paused)
    yield _limit(Rule.POOL_LIMIT, f"The work pool {pool.name!r}", pool.limit)
    if pool.online_workers:
        detail = f"{pool.online_workers} workers of the pool are online."
    elif pool.last_heartbeat is None:
        detail = f"No worker has ever served the pool: forebay worker start --pool {pool.name}"
    else:
        detail = f"No worker of the pool is online; the last was seen at {pool.last_heartbeat}."
    yield Condition(rule=Rule.WORKER_ONLINE, met=pool.online_workers > 0, detail=detail)


def _queue_conditions(queue: Queue, now: datetime) -> Iterator[Condition]:
    yield _paused(Rule.QUEUE_PAUSED, f"The work queue {queue.name!r}", queue.is_paused)
    yield _limit(Rule.QUEUE_LIMIT, f"The work queue {queue.name!r}", queue.limit)
    last = queue.last_polled
    if last is None:
        detail = "No worker has ever asked for runs of the queue."
    else:
        detail = f"A worker asked for runs of the queue {_seconds(now - last)} ago."
    is_polled = last is not None and now - last <= POLLED_WITHIN
    yield Condition(rule=Rule.QUEUE_POLLED, met=is_polled, detail=detail)


def _paused(rule: Rule, what: str, is_paused: bool) -> Condition:
    detail = f"{what} is {'paused' if is_paused else 'not paused'}."
    return Condition(rule=rule, met=not is_paused, detail=detail)


def _limit(rule: Rule, what: str, limit: Limit) -> Condition:
    if limit.limit is None:
        return Condition(rule=rule, met=True, detail=f"{what} has no limit.")
    return Condition(
        rule=rule,
        met=not limit.is_reached,
        detail=f"{what} holds {limit.held} of {limit.limit} slots.",
        limit=limit.limit,
        held=limit.held,
        holders=list(limit.holders) if limit.is_reached else [],
    )


def _job_variables(pool: Pool, layers: Iterable[Mapping[str, Any] | None]) -> Condition:
    """Unknown ones are accepted from stock clients and do nothing, which is worth knowing."""
    found = (unknown_variables(pool.template, layer) for layer in layers)
    unknown = sorted({name for names in found for name in names})
    detail = "Every job variable is one of the pool's template."
    if unknown:
        detail = (
            f"The pool's template declares no {', '.join(unknown)}: such variables do nothing."
        )
    return Condition(rule=Rule.JOB_VARIABLES, met=not unknown, is_blocking=False, detail=detail)


def _seconds(length: timedelta) -> str:
    return f"{length.total_seconds():.0f} s"
