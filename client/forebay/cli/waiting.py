"""Why runs wait, as the server explains it, with the command to try next. Knows no rule itself."""

import shlex
from typing import TYPE_CHECKING

from forebay.calls import explanations
from forebay.errors import ApiError, NotFound
from forebay.wire.explanations import Condition, Explanation, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from uuid import UUID

    from forebay.calls import Call
    from forebay.client import Client
    from forebay.wire.flow_runs import FlowRun

NO_SUCH_ENDPOINT = (404, 405)  # of a stock Prefect server
NEXT_STEPS = {
    Rule.POOL_PAUSED: "forebay work-pool resume {pool}",
    Rule.POOL_LIMIT: "forebay work-pool slots {pool}",
    Rule.WORKER_ONLINE: "forebay worker start -p {pool}",
    Rule.QUEUE_PAUSED: "forebay work-queue resume {queue} -p {pool}",
    Rule.QUEUE_LIMIT: "forebay work-queue slots {queue} -p {pool}",
    Rule.QUEUE_POLLED: "forebay worker start -p {pool} -q {queue}",
    Rule.DEPLOYMENT_LIMIT: "forebay gcl ls",
}


def explain_run(client: "Client", run: "FlowRun") -> Explanation | None:
    """Why the run does not begin; none from a server that cannot tell."""
    return _explanation(client, explanations.of_run(run.id))


def first_reason(client: "Client", run: "FlowRun") -> str | None:
    """The strongest reason for which a run waits."""
    found = explain_run(client, run)
    lines = (
        [] if found is None else told(found.conditions, run.work_pool_name, run.work_queue_name)
    )
    return next(iter(lines), None)


class QueueReasons:
    """Why queues of a pool give no run, each asked for once."""

    def __init__(self, client: "Client", pool_name: str) -> None:
        self._client = client
        self._pool_name = pool_name
        self._known: dict[UUID, str | None] = {}

    def of(self, run: "FlowRun") -> str | None:
        """The strongest reason why the run's queue would not give it when it is due."""
        id = run.work_queue_id
        if id is None:
            return "It is on no work queue."
        if id not in self._known:
            found = _explanation(self._client, explanations.of_queue(id))
            conditions = found.conditions if found else []
            held = [condition for condition in conditions if condition.rule is not Rule.DUE_RUN]
            lines = told(held, self._pool_name, run.work_queue_name)
            self._known[id] = next(iter(lines), None)
        return self._known[id]


def told(
    conditions: "Sequence[Condition]", pool_name: str | None, queue_name: str | None
) -> list[str]:
    """A line for each condition that holds a run; where its state does, nothing else matters."""
    held = [condition for condition in conditions if condition.is_blocking and not condition.met]
    by_state = [condition for condition in held if condition.rule is Rule.STATE]
    return list(_lines(by_state or held, pool_name or "POOL", queue_name or "QUEUE"))


def _lines(held: "Sequence[Condition]", pool: str, queue: str) -> "Iterator[str]":
    for condition in held:
        step = NEXT_STEPS.get(condition.rule)
        if step is None or "forebay " in condition.detail:
            yield condition.detail
        else:
            command = step.format(pool=shlex.quote(pool), queue=shlex.quote(queue))
            yield f"{condition.detail.rstrip('.')}: {command}"


def _explanation(client: "Client", call: "Call[Explanation]") -> Explanation | None:
    try:
        return client.send(call)
    except ApiError as error:
        if error.status in NO_SUCH_ENDPOINT and not isinstance(error, NotFound):
            return None
        raise
