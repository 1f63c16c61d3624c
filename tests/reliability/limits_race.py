"""Many pollers claim runs below one limit, through several servers: never over it, never twice.

`python -m tests.reliability.limits_race --db postgres --servers 2`
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2 as httpx

from tests.reliability.clients import a_flow, a_run, client, poll, propose, sent
from tests.reliability.ground import Figures, Ground, main
from tests.reliability.limit_cases import CASES
from tests.reliability.observers import (
    Eyes,
    Watch,
    at,
    contradictions,
    forbid_overshoot,
    key,
    looking,
    most_at_once,
    watching,
)

ROUNDS = {"quick": 200, "night": 5000}
POLLERS = (2, 4, 8, 16, 32, 64)
LIMITS = (1, 5)
# Times are taken before the commit that they stand for, and a loaded machine is slow.
BLUR = timedelta(milliseconds=250)
ROUND_SECONDS = 60.0
FULL_SECONDS = 5.0  # for taking every slot
LATE_CLAIMS = 0.1  # of the offers that are known to be claimed, those that are tried nevertheless
REST_SECONDS = 0.04  # at most, after an offer of nothing


@dataclass
class Round:
    """One pool with its runs, and what pollers made of them."""

    pool: str
    pool_id: str
    limit: int
    limited: str  # pool or queue
    queues: Sequence[str]
    runs: set[str]
    accepted: Counter[str] = field(default_factory=Counter)
    put_off: set[str] = field(default_factory=set)  # refused for want of a slot, so due later
    empty_polls: list[tuple[datetime, datetime]] = field(default_factory=list)
    full: asyncio.Event = field(default_factory=asyncio.Event)  # as many held as there may be

    @property
    def is_over(self) -> bool:
        """Whether nothing that is due is left."""
        return self.runs <= self.put_off | set(self.accepted)


@dataclass
class Tally:
    """What came of all rounds."""

    rounds: int = 0
    over_limit: int = 0
    claimed_twice: int = 0
    idle_slots: int = 0
    unfinished: int = 0
    put_off: int = 0
    bad_answers: Counter[str] = field(default_factory=Counter)
    peaks: Counter[int] = field(default_factory=Counter)  # the most held, by limit


async def race(ground: Ground, rounds: int) -> Figures:
    """Play the scripted cases, then `rounds` rounds."""
    apis = [client(server.api_url) for server in ground.servers()]
    rng = random.Random(ground.options.seed)
    tally = Tally()
    broken: list[str] = []
    async with looking(ground.database_url) as eyes:
        await forbid_overshoot(eyes)
        flow = await a_flow(apis[0])
        async with watching(ground.database_url) as watch:
            for case in CASES:
                broken += [case.__name__] * (not await case(apis, flow))
            give_up_at = time.monotonic() + ground.options.seconds
            for number in range(rounds):
                if time.monotonic() > give_up_at:
                    break
                await _play(apis, flow, eyes, watch, tally, number, rng)
        lost = await contradictions(eyes)
    for api in apis:
        await api.aclose()
    peaks = {str(limit): tally.peaks[limit] for limit in LIMITS}
    is_ok = (
        not broken
        and not tally.bad_answers
        and tally.over_limit == tally.claimed_twice == tally.idle_slots == tally.unfinished == 0
        and not watch.doubled
        and lost == 0
        and (tally.rounds < 10 or all(tally.peaks[limit] == limit for limit in LIMITS))
    )
    return {
        "rounds": tally.rounds,
        "rounds_over_limit": tally.over_limit,
        "claims_twice": tally.claimed_twice + len(watch.doubled),
        "peak_by_limit": peaks,
        "idle_slots": tally.idle_slots,
        "unfinished": tally.unfinished,
        "put_off": tally.put_off,
        "cases": len(CASES),
        "cases_broken": broken,
        "bad_answers": dict(tally.bad_answers),
        "contradictions": lost,
        "samples": watch.samples,
        "ok": is_ok,
    }


async def _play(
    apis: Sequence[httpx.AsyncClient],
    flow: str,
    eyes: Eyes,
    watch: Watch,
    tally: Tally,
    number: int,
    rng: random.Random,
) -> None:
    pollers = POLLERS[number % len(POLLERS)]
    played = await _arrange(apis[0], flow, number, rng)
    began = time.monotonic()
    start = asyncio.Event()
    tasks = [
        asyncio.create_task(
            _serve(apis[i % len(apis)], played, f"w{i}", start, tally, random.Random(rng.random()))
        )
        for i in range(pollers)
    ]
    if pollers < played.limit:
        played.full.set()  # there are too few to fill it
    start.set()
    await asyncio.gather(*tasks)
    tally.rounds += 1
    tally.unfinished += not played.is_over or time.monotonic() - began > ROUND_SECONDS
    tally.claimed_twice += sum(times > 1 for times in played.accepted.values())
    tally.put_off += len(played.put_off)
    await _judge(eyes, watch, played, tally)


async def _arrange(api: httpx.AsyncClient, flow: str, number: int, rng: random.Random) -> Round:
    limit, limited = rng.choice(LIMITS), rng.choice(["pool", "queue", "pool of two queues"])
    name = f"pool-{number}"
    pool_limit = None if limited == "queue" else limit
    body = {"name": name, "type": "process", "concurrency_limit": pool_limit}
    pool = await sent(api, "POST", "/work_pools/", body)
    queues = ["default"]
    if limited == "queue":
        change = {"concurrency_limit": limit}
        await sent(api, "PATCH", f"/work_pools/{name}/queues/default", change)
    elif limited != "pool":
        await sent(api, "POST", f"/work_pools/{name}/queues", {"name": "other"})
        queues.append("other")
    number_of_runs = 2 * limit + 2
    runs = {await a_run(api, flow, name, queues[i % len(queues)]) for i in range(number_of_runs)}
    return Round(name, pool["id"], limit, limited.split()[0], queues, runs)


async def _serve(
    api: httpx.AsyncClient,
    played: Round,
    worker: str,
    start: asyncio.Event,
    tally: Tally,
    rng: random.Random,
) -> None:
    """A worker that claims what it is offered and carries it out, one run at a time."""
    is_choosy = len(played.queues) > 1 and worker != "w0"  # one at least serves all queues
    queue = rng.choice([None, *played.queues]) if is_choosy else None
    await start.wait()
    give_up_at = time.monotonic() + ROUND_SECONDS
    while not played.is_over and time.monotonic() < give_up_at:
        asked = datetime.now(UTC)
        answer = await poll(api, played.pool, queue=queue)
        if answer.status_code != 200:
            tally.bad_answers[f"poll {answer.status_code}"] += 1
            continue
        offers = [offer["flow_run"]["id"] for offer in answer.json()]
        if not offers and queue is None:
            played.empty_polls.append((asked, datetime.now(UTC)))
        for run in offers:
            if run in played.put_off or (run in played.accepted and rng.random() > LATE_CLAIMS):
                continue
            if await _claim(api, played, run, worker, tally):
                await _until_full(played)
                await _carry_out(api, run, worker, tally, rng)
                break
        await asyncio.sleep(0.002 if offers else rng.uniform(0, REST_SECONDS))


async def _claim(
    api: httpx.AsyncClient, played: Round, run: str, worker: str, tally: Tally
) -> bool:
    verdict = await _verdict(await propose(api, run, "PENDING", worker=worker), tally)
    if verdict is None:
        return False
    if verdict["status"] == "ACCEPT":
        played.accepted[run] += 1
        if played.accepted.total() >= played.limit:
            played.full.set()
        return True
    if verdict["status"] == "REJECT" and verdict["state"]["type"] == "SCHEDULED":
        played.put_off.add(run)
    return False


async def _until_full(played: Round) -> None:
    """Hold the first claims until every slot is taken, which is when one more must be refused."""
    with suppress(TimeoutError):
        async with asyncio.timeout(FULL_SECONDS):
            await played.full.wait()
    played.full.set()


async def _carry_out(
    api: httpx.AsyncClient, run: str, worker: str, tally: Tally, rng: random.Random
) -> None:
    for type in ("RUNNING", "COMPLETED"):
        await asyncio.sleep(rng.uniform(0, 0.01))
        verdict = await _verdict(await propose(api, run, type, worker=worker), tally)
        if type == "RUNNING" and verdict and verdict["status"] == "WAIT":
            continue  # put off after it was offered to this worker; its claim is what counts
        if verdict is None or verdict["status"] != "ACCEPT":
            tally.bad_answers[f"{type} {verdict['status'] if verdict else 'unanswered'}"] += 1


async def _verdict(answer: httpx.Response, tally: Tally) -> dict[str, Any] | None:
    if not answer.is_success:
        tally.bad_answers[f"set_state {answer.status_code}"] += 1
        return None
    verdict: dict[str, Any] = answer.json()
    return verdict


async def _judge(eyes: Eyes, watch: Watch, played: Round, tally: Tally) -> None:
    """Count what the claims of a round show afterwards."""
    claims = await eyes.rows(
        "SELECT flow_run_id, created, ended_at, work_queue_id FROM claim "
        f"WHERE work_pool_id = '{_id(eyes, played.pool_id)}'"
    )
    spans = [(begin, end) for _, begin, end, _ in claims]
    place = played.pool_id if played.limited == "pool" else str(claims[0][3])
    most = max(most_at_once(spans), watch.peaks[key(place)])
    tally.over_limit += most > played.limit
    tally.peaks[played.limit] = max(tally.peaks[played.limit], most)
    begins = {key(run): at(begin) for run, begin, _, _ in claims}
    for asked, answered in played.empty_polls:
        held = sum(
            at(begin) - BLUR < answered and (end is None or at(end) + BLUR > asked)
            for begin, end in spans
        )
        is_due = any(
            key(run) not in begins or begins[key(run)] - BLUR > answered
            for run in played.runs - played.put_off
        )
        tally.idle_slots += is_due and held < played.limit


def _id(eyes: Eyes, id: str) -> str:
    return key(id) if "Sqlite" in type(eyes).__name__ else id


def play(ground: Ground) -> Figures:
    """Every figure of the race."""
    return asyncio.run(race(ground, ROUNDS[ground.options.tier]))


if __name__ == "__main__":
    main("limits_race", play, db="postgres", servers=2, seconds=1800)
