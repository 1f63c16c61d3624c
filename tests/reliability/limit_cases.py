"""Ways round a limit that must not lead round it, each scripted; true when the limit held."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import uuid4

import httpx2 as httpx

from tests.reliability.clients import a_run, poll, propose, sent

Apis = Sequence[httpx.AsyncClient]
Case = Callable[[Apis, str], Awaitable[bool]]


async def _a_pool(apis: Apis, limit: int | None, *queues: str) -> str:
    name = f"case-{uuid4()}"
    body = {"name": name, "type": "process", "concurrency_limit": limit}
    await sent(apis[0], "POST", "/work_pools/", body)
    for priority, queue in enumerate(queues, start=1):
        body = {"name": queue, "priority": priority}
        await sent(apis[0], "POST", f"/work_pools/{name}/queues", body)
    return name


async def _statuses(apis: Apis, runs: Sequence[str], type: str) -> list[str]:
    """What comes of proposing `type` for all runs at once, through all servers in turn."""
    answers = await asyncio.gather(
        *(propose(apis[i % len(apis)], run, type, worker=f"w{i}") for i, run in enumerate(runs))
    )
    return sorted(_status(answer) for answer in answers)


def _status(answer: httpx.Response) -> str:
    """What came of a proposal; the HTTP status where it was not even decided."""
    return str(answer.json()["status"] if answer.is_success else answer.status_code)


async def _offers(api: httpx.AsyncClient, pool: str, queue: str | None = None) -> list[Any]:
    """What a poll gets."""
    answer = await poll(api, pool, queue=queue)
    if answer.status_code != 200:
        raise RuntimeError(f"poll: {answer.status_code} {answer.text}")
    offers: list[Any] = answer.json()
    return offers


async def two_queues_below_one_pool(apis: Apis, flow: str) -> bool:
    pool = await _a_pool(apis, 1, "a", "b")
    runs = [await a_run(apis[0], flow, pool, queue) for queue in "ab"]
    offers = [await _offers(apis[-1], pool, queue) for queue in "ab"]

    statuses = await _statuses(apis, runs, "PENDING")

    return [len(offered) for offered in offers] == [1, 1] and statuses == ["ACCEPT", "REJECT"]


async def a_more_urgent_run_between_poll_and_claim(apis: Apis, flow: str) -> bool:
    pool = await _a_pool(apis, 1, "urgent", "usual")
    usual = await a_run(apis[0], flow, pool, "usual")
    offered = await _offers(apis[0], pool)
    urgent = await a_run(apis[-1], flow, pool, "urgent")
    offered += await _offers(apis[-1], pool)

    statuses = await _statuses(apis, [usual, urgent], "PENDING")

    return len(offered) == 2 and statuses == ["ACCEPT", "REJECT"]


async def running_without_a_poll_or_a_claim(apis: Apis, flow: str) -> bool:
    pool = await _a_pool(apis, 2)
    runs = [await a_run(apis[0], flow, pool) for _ in range(8)]

    statuses = await _statuses(apis, runs, "RUNNING")

    return statuses == ["ACCEPT"] * 2 + ["REJECT"] * 6


async def cancelling_holds_its_slot(apis: Apis, flow: str) -> bool:
    pool = await _a_pool(apis, 1)
    first, second = [await a_run(apis[0], flow, pool) for _ in range(2)]
    for type in ("PENDING", "RUNNING", "CANCELLING"):
        await propose(apis[0], first, type, worker="w")

    while_cancelling = await _statuses(apis, [second], "PENDING")
    await propose(apis[-1], first, "CANCELLED", worker="w")
    afterwards = await _statuses(apis, [second], "PENDING")

    return while_cancelling == ["REJECT"] and afterwards == ["ACCEPT"]


async def a_lowered_limit_stops_intake(apis: Apis, flow: str) -> bool:
    pool = await _a_pool(apis, 3)
    runs = [await a_run(apis[0], flow, pool) for _ in range(4)]
    before = await _statuses(apis, runs[:3], "PENDING")
    await sent(apis[0], "PATCH", f"/work_pools/{pool}", {"concurrency_limit": 1})
    await propose(apis[0], runs[0], "RUNNING", worker="w0")
    await propose(apis[0], runs[0], "COMPLETED", worker="w0")

    above = await _statuses(apis, runs[3:], "PENDING")

    return before == ["ACCEPT"] * 3 and above == ["REJECT"]


async def pausing_and_resuming(apis: Apis, flow: str) -> bool:
    pool = await _a_pool(apis, 1)
    runs = [await a_run(apis[0], flow, pool) for _ in range(2)]
    await sent(apis[0], "PATCH", f"/work_pools/{pool}", {"is_paused": True})
    paused = await _statuses(apis, runs, "PENDING")
    await sent(apis[-1], "PATCH", f"/work_pools/{pool}", {"is_paused": False})

    resumed = await _statuses(apis, runs, "PENDING")

    return paused == ["REJECT"] * 2 and resumed == ["ACCEPT", "REJECT"]


async def a_retry_keeps_to_the_limit(apis: Apis, flow: str) -> bool:
    pool = await _a_pool(apis, 1)
    policy: dict[str, Any] = {"retries": 3, "retry_delay": 0}
    retried = await a_run(apis[0], flow, pool, empirical_policy=policy)
    other = await a_run(apis[0], flow, pool)
    for type in ("PENDING", "RUNNING", "FAILED"):  # the last one becomes AwaitingRetry
        await propose(apis[0], retried, type, worker="w")

    statuses = [*await _statuses(apis, [other], "PENDING")]
    again = _status(await propose(apis[-1], retried, "RUNNING", worker="w"))

    return (statuses == ["REJECT"]) == (again == "ACCEPT")


CASES: tuple[Case, ...] = (
    two_queues_below_one_pool,
    a_more_urgent_run_between_poll_and_claim,
    running_without_a_poll_or_a_claim,
    cancelling_holds_its_slot,
    a_lowered_limit_stops_intake,
    pausing_and_resuming,
    a_retry_keeps_to_the_limit,
)
