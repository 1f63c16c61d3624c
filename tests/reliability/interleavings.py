"""Several servers' transactions on PostgreSQL, a statement at a time, in orders that seeds give.

`python -m tests.reliability.interleavings --seed 1` (1,000 schedules; `--tier night` 100,000)

Answers are lost (the caller asks again), doubled (two callers send the same) and callers die at
any statement. After each schedule the database is looked at, and what is left is carried out.
Seeds that have failed once are in `seeds/interleavings.txt`; they are always played first.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import asyncpg

from forebay_server.db import retries
from tests.reliability.ground import Figures, Ground, main
from tests.reliability.interleaved import Scene
from tests.reliability.observers import forbid_overshoot, looking
from tests.reliability.stepping import Schedule, SteppedDatabase

SCHEDULES = {"quick": 1000, "night": 100_000}
DEATH = 0.02  # at each step
SEEDS = Path(__file__).parent / "seeds" / "interleavings.txt"


def _seeds(first: int) -> Iterator[int]:
    """Those that have failed before, then new ones."""
    if SEEDS.exists():
        yield from (int(line) for line in SEEDS.read_text().split())
    yield from range(first * 1_000_000, (first + 1) * 1_000_000)


async def _play_all(ground: Ground, most: int) -> Figures:
    totals: Counter[str] = Counter()
    failed: dict[int, str] = {}
    plain = ground.database_url.replace("+asyncpg", "")
    monitor = await asyncpg.connect(plain)
    servers = [SteppedDatabase(ground.database_url) for _ in range(ground.options.servers)]
    give_up_at = time.monotonic() + ground.options.seconds
    async with looking(ground.database_url) as eyes:
        await forbid_overshoot(eyes)
        scene = Scene(servers, monitor)
        await scene.set_up()
        for seed in _seeds(ground.options.seed):
            if totals["schedules"] >= most or time.monotonic() > give_up_at or len(failed) > 4:
                break
            rng = random.Random(seed)
            schedule = Schedule(rng, monitor, DEATH)
            try:
                problems = await scene.play(schedule, rng)
            except Exception as error:  # noqa: BLE001 - whatever it is, this seed leads to it
                problems = [f"{type(error).__name__}: {error}"]
            finally:
                await schedule.end()
            totals["schedules"] += 1
            for name in ("steps", "waits", "deaths"):
                totals[name] += getattr(schedule, name)
            if problems:
                failed[seed] = "; ".join(problems)[:2000]
    for server in servers:
        await server.close()
    await monitor.close()
    return {
        **{name: totals[name] for name in ("schedules", "steps", "waits", "deaths")},
        "operations": dict(sorted(scene.outcomes.items())),
        "violations": len(failed),
        "failing_seeds": failed,
        "ok": not failed and totals["schedules"] > 0,
    }


def play(ground: Ground, schedules: int | None = None) -> Figures:
    """Play so many schedules, or as many as there is time for."""
    most = schedules or SCHEDULES[ground.options.tier]
    with patch.object(retries, "pause_seconds", _at_once):
        figures = asyncio.run(_play_all(ground, most))
    _keep(figures["failing_seeds"])
    return figures


def _at_once(_attempt: int) -> float:
    """Chance decides nothing that the seed does not: who has lost tries again at once."""
    return 0.0


def _keep(failed: dict[int, Any]) -> None:
    known = SEEDS.read_text().split() if SEEDS.exists() else []
    new = [str(seed) for seed in failed if str(seed) not in known]
    if new:
        SEEDS.parent.mkdir(exist_ok=True)
        SEEDS.write_text("\n".join([*known, *new]) + "\n")


if __name__ == "__main__":
    main("interleavings", play, db="postgres", servers=3, seconds=3600.0)
