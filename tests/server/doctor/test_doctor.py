"""Faults that are planted are found, what is well is not, and the exit code tells."""

import json
from pathlib import Path
from uuid import UUID

import httpx2 as httpx
import pytest
from sqlalchemy import text, update
from typer.testing import CliRunner, Result

from forebay_server.claims.tables import claims
from forebay_server.db.engine import Database
from forebay_server.doctor import findings
from forebay_server.doctor.cli import app as command
from forebay_server.doctor.queries import check
from forebay_server.flow_runs.tables import flow_runs
from tests.server.flow_runs.builders import a_place, a_run, propose


async def found(database: Database) -> dict[str, findings.Finding]:
    return {finding.check: finding for finding in await check(database)}


async def a_running_run(api: httpx.AsyncClient, database: Database) -> UUID:
    run = await a_run(database, (await a_place(database)).queue_id)
    for type in ("PENDING", "RUNNING"):
        await propose(api, run, type, worker="w1")
    return run


async def test_a_database_in_use_is_well(api: httpx.AsyncClient, database: Database) -> None:
    await a_running_run(api, database)

    checks = await found(database)

    assert {name for name, finding in checks.items() if not finding.ok} == set()
    assert set(checks) == {"schema", "claims", "runs", "forced", "clock", "size"}


async def test_a_claim_of_a_run_that_has_ended_is_found(
    api: httpx.AsyncClient, database: Database
) -> None:
    run = await a_running_run(api, database)
    async with database.write() as db:
        await db.execute(update(flow_runs).values(state_type="COMPLETED"))

    finding = (await found(database))["claims"]

    assert not finding.ok
    assert finding.ids == [str(run)]


async def test_an_active_run_without_a_claim_is_found(
    api: httpx.AsyncClient, database: Database
) -> None:
    run = await a_running_run(api, database)
    async with database.write() as db:
        await db.execute(update(claims).values(ended_at=await db.now()))

    finding = (await found(database))["runs"]

    assert not finding.ok
    assert finding.ids == [str(run)]


async def test_claims_beyond_a_limit_are_counted_as_long_as_their_runs_are_kept(
    api: httpx.AsyncClient, database: Database
) -> None:
    full = await a_place(database, "full", queue_limit=1)
    within, first, second = [await a_run(database, full.queue_id) for _ in range(3)]
    await propose(api, within, "RUNNING", force=True)
    for run in (first, second):
        await propose(api, run, "RUNNING", force=True)
        await propose(api, run, "RUNNING", force=True)
    await propose(api, second, "COMPLETED")

    finding = (await found(database))["forced"]

    assert finding.ok
    assert finding.detail == "2 claims beyond a limit, 1 of them held now"
    assert finding.ids == [str(second), str(first)]


async def test_a_claim_beyond_a_limit_that_another_worker_adopts_is_counted_once(
    api: httpx.AsyncClient, database: Database
) -> None:
    place = await a_place(database, concurrency_limit=0)
    run = await a_run(database, place.queue_id)
    await propose(api, run, "PENDING", worker="w1", force=True)
    await propose(api, run, "RUNNING", worker="w1")
    async with database.write() as db:
        await db.execute(update(flow_runs).values(infrastructure_pid="job-1"))
    body = {"worker_name": "w1", "flow_run_id": str(run), "infrastructure_id": "job-1"}
    adopted = await api.post("/work_pools/p/adopt", json=body)

    finding = (await found(database))["forced"]

    assert adopted.status_code == 200, adopted.text
    assert finding.detail == "1 claims beyond a limit, 1 of them held now"


@pytest.mark.parametrize(("revision", "told"), [("0000", "migrates"), ("9999", "newer Forebay")])
async def test_another_schema_is_found_and_its_rows_are_let_be(
    app: object, database: Database, revision: str, told: str
) -> None:
    async with database.write() as db:
        await db.execute(text("UPDATE alembic_version SET version_num = :v"), {"v": revision})

    checks = await found(database)

    assert not checks["schema"].ok
    assert told in checks["schema"].detail
    assert "claims" not in checks


@pytest.mark.parametrize(("seconds", "ok"), [(0.2, True), (-4.9, True), (6, False), (-60, False)])
def test_a_clock_that_is_far_off_is_found(seconds: float, ok: bool) -> None:
    assert findings.of_clock(seconds, 5).ok is ok


def run_doctor(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


def test_the_exit_code_tells_scripts(migrated_sqlite: Path) -> None:
    url = f"sqlite+aiosqlite:///{migrated_sqlite}"

    well = run_doctor("--database-url", url, "-o", "json")
    missing = run_doctor("--database-url", f"{url}-gone")
    shown = run_doctor("--database-url", url)

    assert well.exit_code == 0
    assert all(finding["ok"] for finding in json.loads(well.stdout))
    assert missing.exit_code == 1
    assert "does not exist" in missing.stdout
    assert not Path(f"{migrated_sqlite}-gone").exists()
    assert "no runs that are active without a claim" in shown.stdout


def test_what_is_no_database_is_told(tmp_path: Path) -> None:
    file = tmp_path / "text.db"
    file.write_text("this is no database, whatever its name says" * 50)

    result = run_doctor("--database-url", f"sqlite+aiosqlite:///{file}")

    assert result.exit_code == 1
    assert "cannot be read" in result.stdout
