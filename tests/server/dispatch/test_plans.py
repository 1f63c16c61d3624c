"""How the database finds the runs of a claim: never by reading a backlog."""

from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event

from forebay_server.db.engine import Database
from forebay_server.dispatch import claiming
from forebay_server.dispatch.queries import Asked
from forebay_server.flow_runs.facts import Proposer
from tests.conftest import settings  # SQLite only: it tells its plan in so many words
from tests.server.flow_runs.builders import a_place, a_run

__all__ = ["settings"]

GROWING = ("SCAN claim", "SCAN flow_run", "SCAN flow_run_state", "SCAN worker")


@pytest.mark.parametrize("limit", [None, 10])
async def test_no_growing_table_is_read_whole(database: Database, limit: int | None) -> None:
    place = await a_place(database, concurrency_limit=limit)
    for _ in range(3):
        await a_run(database, place.queue_id)
    asked = Asked("p", (), 2, "w", "w", attempt=uuid4())
    seen: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if statement.startswith(("SELECT", "WITH")):
            seen.append((statement, parameters))

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    async with database.write() as db:
        holder = claiming.Holder(Proposer("w", is_worker=True), "w")
        outcome = await claiming.claim(db, asked, holder)
    event.remove(database.engine.sync_engine, "before_cursor_execute", note)

    async with database.read() as db:
        plan = [
            row.detail
            for statement, parameters in seen
            for row in await db.connection.exec_driver_sql(
                f"EXPLAIN QUERY PLAN {statement}", parameters
            )
        ]
    assert len(outcome.runs) == 2
    assert [step for step in plan if step.startswith(GROWING)] == []
    assert any("ix_flow_run_due" in step for step in plan)
