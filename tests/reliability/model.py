"""A model says what the server answers: random steps on both databases, every answer compared.

`python -m tests.reliability.model` (2,000 steps; `--tier night` 200,000)

A difference is shrunk to the fewest steps that show it, which are printed.
"""

import asyncio
import logging
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import get_state_machine_test

from tests.reliability.ground import Figures, Ground, main
from tests.reliability.sides import both
from tests.reliability.story import Story
from tests.reliability.story_ground import Tally

STEPS = {"quick": 2000, "night": 200_000}
STEPS_PER_STORY = 50
MOST_STORIES_AT_ONCE = 200  # of one search, which remembers what it has tried


def play(ground: Ground, steps: int | None = None) -> Figures:
    """Tell stories of so many steps in all, on both databases."""
    wanted = steps or STEPS[ground.options.tier]
    logging.getLogger("forebay_server").setLevel(logging.ERROR)  # rescues are what is tried here
    tally = Tally()
    mismatch: str | None = None
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        file = Path(folder) / "forebay.db"
        servers = both(file, ground.database_url, Path(folder))
        sides = runner.run(servers.__aenter__())
        try:
            number = ground.options.seed
            while tally.steps < wanted:
                stories = -(-(wanted - tally.steps) // STEPS_PER_STORY)
                _tell(partial(Story, runner, sides, tally), number, stories)
                number += 1
        except AssertionError as error:
            mismatch = str(error)
        finally:
            runner.run(servers.__aexit__(None, None, None))
        return {
            "steps": tally.steps,
            "answers_compared": sides.compared,
            "states_seen": len(tally.worlds),
            "run_states_seen": len(tally.states),
            "verdicts": dict(sorted(tally.answers.items())),
            "mismatches": int(mismatch is not None),
            **({"first_mismatch": mismatch} if mismatch else {}),
            "ok": mismatch is None and tally.steps >= wanted,
        }


def _tell(story: Any, number: int, stories: int) -> None:
    options = settings(
        max_examples=min(stories, MOST_STORIES_AT_ONCE),
        stateful_step_count=STEPS_PER_STORY,
        deadline=None,
        database=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    seed(number)(get_state_machine_test(story, settings=options))()


if __name__ == "__main__":
    main("model", play, db="postgres")
