"""How the database finds the runs that schedules look after: whatever lies back costs nothing."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from forebay_server.db.engine import Database, Transaction
from forebay_server.deployments import scheduled_runs
from tests.server.work_pools.test_plans import plan

ASKED: dict[str, Callable[[Transaction], Awaitable[Any]]] = {
    "deleting what a schedule made": lambda db: scheduled_runs.delete(db, uuid4(), from_now=True),
    "polling a deployment": lambda db: scheduled_runs.read_due(
        db, [uuid4()], datetime.now(UTC), 200
    ),
    "finding who lacks runs": lambda db: scheduled_runs.find_lacking(db, None, 20),
}


@pytest.mark.parametrize("name", ASKED)
async def test_coming_runs_are_found_by_their_index(database: Database, name: str) -> None:
    if database.dialect != "sqlite":
        pytest.skip("an empty table's plan on PostgreSQL says nothing")

    steps = await plan(database, ASKED[name])

    of_runs = [step for step in steps if step.split()[1] == "flow_run"]
    assert of_runs and all("INDEX ix_flow_run_coming" in step for step in of_runs), steps
