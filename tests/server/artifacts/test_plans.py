"""How the database finds artifacts: never by reading all versions."""

from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Select
from sqlalchemy.dialects import sqlite

from forebay_server.artifacts import queries
from forebay_server.artifacts.criteria import ArtifactCriteria, LatestCriteria
from forebay_server.artifacts.filters import ArtifactSort
from forebay_server.db.engine import Database
from tests.conftest import settings  # SQLite only: it tells its plan in so many words

__all__ = ["settings"]

OF_KEY = {"artifacts": {"key": {"any_": ["k"]}}}
OF_RUN = {"artifacts": {"flow_run_id": {"any_": [uuid4()]}}}


async def plan(database: Database, statement: Select[Any]) -> list[str]:
    compiled = statement.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
    async with database.read() as db:
        rows = await db.connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}")
        return [row.detail for row in rows]


@pytest.mark.parametrize(
    ("body", "sort", "index"),
    [
        (OF_KEY, ArtifactSort.UPDATED_DESC, "ix_artifact_key_updated"),
        (OF_KEY, ArtifactSort.ID_DESC, "ix_artifact_key"),
        (OF_RUN, ArtifactSort.ID_DESC, "ix_artifact_flow_run_id"),
        ({}, ArtifactSort.UPDATED_DESC, "ix_artifact_updated"),
        ({}, ArtifactSort.CREATED_DESC, "ix_artifact_created"),
    ],
)
async def test_pages_are_read_by_index(
    database: Database, body: dict[str, Any], sort: ArtifactSort, index: str
) -> None:
    criteria = ArtifactCriteria.model_validate(body)

    steps = await plan(database, queries.selected([*criteria.conditions()], sort, 200, 0))

    assert any(f"USING INDEX {index} " in f"{step} " for step in steps), steps
    assert not any("TEMP B-TREE" in step for step in steps) or body is OF_RUN, steps


async def test_the_latest_of_all_keys_cost_no_look_at_all_versions(database: Database) -> None:
    statement = queries.selected_latest(
        [*LatestCriteria().conditions()], ArtifactSort.KEY_ASC, 9, 0
    )

    steps = await plan(database, statement)

    assert not any(step.startswith("SCAN artifact ") or step == "SCAN artifact" for step in steps)
    assert any(step.startswith("SEARCH artifact USING INDEX") for step in steps), steps
