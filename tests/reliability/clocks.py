"""Clocks jump, drift and differ: no lease ends that is renewed, every other does, schedules fire once.

`python -m tests.reliability.clocks`. Virtual time, since libfaketime is rarely installed: servers in
this process, each with a clock of its own, and a PostgreSQL whose clock is set as well.
"""

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import asyncpg

from forebay_server.services.scheduler import Scheduler
from forebay_server.settings import ServerSettings
from forebay_server.start import prepare
from tests.reliability import virtual_time
from tests.reliability.clients import a_flow, propose, sent
from tests.reliability.ground import Figures, Ground, main
from tests.reliability.observers import Eyes, at, looking
from tests.reliability.sides import Side, a_side
from tests.reliability.virtual_time import Clock

JUMPS = {"quick": 10, "night": 200}
JUMP_SECONDS = (3600.0, 86400.0, -3600.0, -86400.0, 30.0, -30.0, 7.0, -7.0)
DRIFT = 0.01
SWEEP_SECONDS = 5
WATCHED_SECONDS = 120  # after each jump
POOL = "clocks"
WORKERS = {"own": 5, "stock": 30}  # by name, their heartbeats' interval
# A lease, the anew that a jump gives, and a sweep.
DEAD_SECONDS = {"own": 2 * 20 + 2 * SWEEP_SECONDS, "stock": 2 * 90 + 2 * SWEEP_SECONDS}
NEW_YORK = ZoneInfo("America/New_York")

_process: ContextVar[int] = ContextVar("process")


@dataclass
class Clocks(Clock):
    """What the time is, and how far each process and the database are from it."""

    at: datetime = virtual_time.START
    of_processes: Counter[int] = field(default_factory=Counter)
    of_database: float = 0.0

    def now(self) -> datetime:
        """The time as the process tells it on whose behalf this is asked."""
        return self.at + timedelta(seconds=self.of_processes[_process.get()])

    async def advance(self, seconds: float, database: asyncpg.Connection | None) -> None:
        """Let time pass; the database's clock goes along."""
        self.at += timedelta(seconds=seconds)
        await self.set(database)

    async def set(self, database: asyncpg.Connection | None) -> None:
        """Set the database's clock."""
        if database is not None:
            seen = self.at + timedelta(seconds=self.of_database)
            await database.execute("UPDATE virtual.clock SET at = $1", seen)

    @property
    def authority(self) -> datetime:
        """The time that leases and schedules go by: the database's, on SQLite its one process's."""
        return self.at + timedelta(seconds=self.of_database)


@dataclass
class World:
    """The servers, their clocks, and what was seen."""

    clocks: Clocks
    sides: list[Side]
    eyes: Eyes
    database: asyncpg.Connection | None
    rng: random.Random
    flow: str = ""
    jumps: Counter[str] = field(default_factory=Counter)
    wrong_expiries: int = 0
    never_expired: int = 0

    async def by(self, number: int) -> Side:
        """One of the servers, on whose clock things are from now on."""
        _process.set(number)
        return self.sides[number]

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, and every server sweep."""
        await self.clocks.advance(seconds, self.database)
        for number in range(len(self.sides)):
            side = await self.by(number)
            await side.sweep()

    async def jump(self) -> None:
        """Set a clock: of a process, of the database, or of the machine that all are on."""
        seconds = self.rng.choice(JUMP_SECONDS)
        whose = self.rng.choice(["process", "database", "all"]) if self.database else "all"
        if whose != "database":
            meant = [self.rng.randrange(len(self.sides))] if whose == "process" else None
            for number in meant or range(len(self.sides)):
                self.clocks.of_processes[number] += int(seconds)
        if whose != "process":
            self.clocks.of_database += seconds
        self.jumps[f"{whose} {'ahead' if seconds > 0 else 'back'}"] += 1
        await self.clocks.set(self.database)

    async def drift(self, seconds: float) -> None:
        """Let every clock go wrong by a part of what passed."""
        self.clocks.of_database += DRIFT * seconds
        for number in range(len(self.sides)):
            self.clocks.of_processes[number] += 0 if self.database else DRIFT * seconds  # type: ignore[assignment]


async def _held(world: World, worker: str) -> str:
    """A run that a worker has in hand."""
    side = await world.by(world.rng.randrange(len(world.sides)))
    due = world.clocks.authority - timedelta(seconds=60)
    state = {"type": "SCHEDULED", "state_details": {"scheduled_time": due.isoformat()}}
    body = {"flow_id": world.flow, "work_pool_name": POOL, "state": state}
    run = str((await sent(side.api, "POST", "/flow_runs/", body))["id"])
    await _beat(world, worker)
    for type in ("PENDING", "RUNNING"):
        (await propose(side.api, run, type, worker=worker)).raise_for_status()
    return run


async def _beat(world: World, worker: str) -> None:
    side = await world.by(world.rng.randrange(len(world.sides)))
    body = {"name": worker, "heartbeat_interval_seconds": WORKERS[worker]}
    await sent(side.api, "POST", f"/work_pools/{POOL}/workers/heartbeat", body)


async def _state(world: World, run: str) -> str:
    return str((await sent(world.sides[0].api, "GET", f"/flow_runs/{run}"))["state_type"])


async def _leases(world: World, jumps: int) -> None:
    """Jump with workers that live: nothing ends; then let each die after a jump: it does."""
    for _ in range(jumps):
        runs = {worker: await _held(world, worker) for worker in WORKERS}
        await world.pass_time(SWEEP_SECONDS)
        await world.jump()
        for passed in range(0, WATCHED_SECONDS, SWEEP_SECONDS):
            await world.pass_time(SWEEP_SECONDS)
            await world.drift(SWEEP_SECONDS)
            for worker, interval in WORKERS.items():
                if passed % interval == 0:
                    await _beat(world, worker)
        for run in runs.values():
            world.wrong_expiries += await _state(world, run) != "RUNNING"
        await world.jump()
        waited = 0
        for worker, run in runs.items():
            while waited < DEAD_SECONDS[worker]:
                await world.pass_time(SWEEP_SECONDS)
                waited += SWEEP_SECONDS
            world.never_expired += await _state(world, run) != "CRASHED"


# Schedules, and when they fire on a day; said a second time in other words.
Fires = Callable[[datetime], list[datetime]]


def _local(hour: int, minute: int) -> Fires:
    """A time of New York; one that is skipped is later, of two the first counts."""

    def of(day: datetime) -> list[datetime]:
        there = datetime(day.year, day.month, day.day, hour, minute, tzinfo=NEW_YORK, fold=0)
        return [there.astimezone(UTC)]

    return of


def _each(minutes: int) -> Fires:
    return lambda day: [day + timedelta(minutes=m) for m in range(0, 1440, minutes)]


def _on_leap_days(day: datetime) -> list[datetime]:
    return [day.replace(hour=12)] if (day.month, day.day) == (2, 29) else []


SCHEDULES: dict[str, tuple[dict[str, object], Fires]] = {
    "in the gap": ({"cron": "30 2 * * *", "timezone": NEW_YORK.key}, _local(2, 30)),
    "shown twice": ({"cron": "30 1 * * *", "timezone": NEW_YORK.key}, _local(1, 30)),
    "leap day": ({"cron": "0 12 29 2 *", "timezone": "UTC"}, _on_leap_days),
    "interval": (
        {"interval": 5400, "anchor_date": "2028-01-01T00:00:00Z", "timezone": "UTC"},
        _each(90),
    ),
}
STARTS = (  # around a leap day, and both changes of New York's clocks
    datetime(2028, 2, 28, tzinfo=UTC),
    datetime(2030, 3, 9, tzinfo=UTC),
    datetime(2030, 11, 2, tzinfo=UTC),
)
LIVED = timedelta(days=2)
STEP_SECONDS = 1800  # runs are made an hour ahead
JUMP_EVERY_STEPS = 20


async def _schedules(world: World, start: datetime) -> tuple[int, int, int]:
    """Live two days and more with clocks that jump: fires due, missed and doubled.

    Due is what the authority's clock went past; what it jumped over may or may not be made.
    """
    world.clocks.of_database = 0.0
    world.clocks.of_processes.clear()
    world.clocks.at = start
    await world.clocks.set(world.database)
    side = await world.by(0)
    schedulers = [Scheduler() for _ in world.sides]
    for number, scheduler in enumerate(schedulers):
        await scheduler.tick((await world.by(number)).database)
    ids = {}
    for name, (schedule, _) in SCHEDULES.items():
        body = {
            "name": f"{name} {start:%Y-%m-%d}",
            "flow_id": world.flow,
            "schedules": [{"schedule": schedule, "active": True}],
        }
        ids[name] = str((await sent(side.api, "POST", "/deployments/", body))["id"])
    spans: list[tuple[datetime, datetime]] = []
    steps = 0
    while world.clocks.at < start + LIVED:
        steps += 1
        if steps % JUMP_EVERY_STEPS == 0:
            await world.jump()
        began = world.clocks.authority
        await world.clocks.advance(STEP_SECONDS, world.database)
        spans.append((began, world.clocks.authority))
        for number in range(len(world.sides)):
            side = await world.by(number)
            await schedulers[number].tick(side.database)
    due = missed = doubled = 0
    for name, (_, fires) in SCHEDULES.items():
        made = Counter(await _made(world, ids[name]))
        doubled += sum(made.values()) - len(made)
        expected = {
            fire
            for begin, end in spans
            for day in _days(begin, end)
            for fire in fires(day)
            # A server has to have been there before a fire is due.
            if begin < fire <= end and fire > start + timedelta(seconds=STEP_SECONDS)
        }
        due += len(expected)
        missed += len(expected - set(made))
        # At a time that is none of the schedule's.
        doubled += sum(all(fire not in fires(day) for day in _days(fire, fire)) for fire in made)
    return due, missed, doubled


async def _made(world: World, deployment: str) -> list[datetime]:
    """When the runs of a deployment are to begin."""
    found = await world.eyes.rows(
        "SELECT deployment_id, expected_start_time FROM flow_run WHERE auto_scheduled"
    )
    wanted = deployment.replace("-", "")
    return [at(time) for id, time in found if str(id).replace("-", "") == wanted]


def _days(begin: datetime, end: datetime) -> Iterator[datetime]:
    day = begin.replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
    while day <= end:
        yield day
        day += timedelta(days=1)


@asynccontextmanager
async def _world(ground: Ground) -> AsyncIterator[World]:
    """Servers in this process on one database."""
    clocks = Clocks()
    async with AsyncExitStack() as stack:
        stack.enter_context(virtual_time.in_this_process(clocks))
        _process.set(0)
        database = None
        if ground.options.db == "postgres":
            url = ground.database_url.replace("+asyncpg", "")
            database = await asyncpg.connect(url)
            stack.push_async_callback(database.close)
            await virtual_time.in_database(database)
        else:
            await prepare(ServerSettings(database_url=ground.database_url, require_token=False))
        sides = []
        for number in range(ground.options.servers):
            _process.set(number)
            side = a_side(ground.database_url, ground.folder)
            sides.append(await stack.enter_async_context(side))
        _process.set(0)
        eyes = await stack.enter_async_context(looking(ground.database_url))
        world = World(clocks, sides, eyes, database, random.Random(ground.options.seed))
        world.flow = await a_flow(sides[0].api)
        await sent(sides[0].api, "POST", "/work_pools/", {"name": POOL, "type": "process"})
        yield world


async def turn_clocks(ground: Ground) -> Figures:
    """Leases first, then schedules."""
    logging.getLogger("forebay_server").setLevel(logging.ERROR)  # rescues are what is tried here
    give_up_at = time.monotonic() + ground.options.seconds
    due = missed = doubled = rounds = 0
    async with _world(ground) as world:
        while rounds < JUMPS[ground.options.tier] / 2 and time.monotonic() < give_up_at:
            await _leases(world, 1)
            rounds += 1
        for start in STARTS:
            more = await _schedules(world, start)
            due, missed, doubled = (
                a + b for a, b in zip((due, missed, doubled), more, strict=True)
            )
    return {
        "jumps": sum(world.jumps.values()),
        "kinds": dict(sorted(world.jumps.items())),
        "leases": rounds * len(WORKERS),
        "wrong_expiries": world.wrong_expiries,
        "never_expired": world.never_expired,
        "fires": due,
        "missed": missed,
        "doubled": doubled,
        "ok": world.wrong_expiries == world.never_expired == missed == doubled == 0
        and rounds > 0
        and due > 0,
    }


def play(ground: Ground) -> Figures:
    """Every figure of the clocks."""
    return asyncio.run(turn_clocks(ground))


if __name__ == "__main__":
    main("clocks", play, db="postgres", servers=2, seconds=1800)
