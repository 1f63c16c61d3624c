"""The statements of the checks. They read only, and may run beside a serving process."""

from pathlib import Path
from typing import Any

from sqlalchemy import Select, exists, func, select, text

from forebay.wire.states import HOLDING, TERMINAL
from forebay_server.claims import queries as claim_queries
from forebay_server.claims.tables import claims
from forebay_server.db.columns import now as process_now
from forebay_server.db.engine import Database, Transaction
from forebay_server.db.migrate import newest_revision, stored_revision
from forebay_server.doctor import findings
from forebay_server.doctor.findings import SHOWN, Finding
from forebay_server.flow_runs.tables import flow_runs

MOST_CLOCK_SECONDS = 5.0
LARGEST = 5  # tables whose sizes are told


async def check(database: Database) -> list[Finding]:
    """Every check; those of rows only where the schema is the one that they are about."""
    async with database.read() as db:
        stored = await db.connection.run_sync(lambda connection: stored_revision(connection))
        schema = findings.of_schema(stored, newest_revision())
        found = [schema]
        if schema.ok:
            found += [
                await _claims_of_ended_runs(db),
                await _unclaimed_runs(db),
                await _forced_claims(db),
            ]
        return [*found, await _clock(db), findings.of_size(await _sizes(database, db))]


async def _claims_of_ended_runs(db: Transaction) -> Finding:
    """A slot that such a claim holds is never given back."""
    wrong = (
        select(claims.c.flow_run_id.label("id"))
        .join(flow_runs, flow_runs.c.id == claims.c.flow_run_id)
        .where(claim_queries.is_live(), flow_runs.c.state_type.in_(TERMINAL))
    )
    return await _of_rows(db, "claims", wrong, "claims of runs that have ended")


async def _unclaimed_runs(db: Transaction) -> Finding:
    """Nobody would notice the loss of whoever runs such a run."""
    is_claimed = exists().where(claims.c.flow_run_id == flow_runs.c.id, claim_queries.is_live())
    wrong = select(flow_runs.c.id).where(
        flow_runs.c.state_type.in_(HOLDING), flow_runs.c.work_queue_id.is_not(None), ~is_claimed
    )
    return await _of_rows(db, "runs", wrong, "runs that are active without a claim")


async def _forced_claims(db: Transaction) -> Finding:
    """Limits hold but for these."""
    forced = select(claims.c.flow_run_id).where(claims.c.is_forced)
    live = forced.where(claim_queries.is_live())
    forced = forced.where(claims.c.started_epoch.is_(None))  # an adopted claim is the same one
    newest = forced.order_by(claims.c.created.desc(), claims.c.id.desc())
    return findings.of_forced(
        await _count(db, forced),
        await _count(db, live),
        [str(row.flow_run_id) for row in await db.rows(newest.limit(SHOWN))],
    )


async def _count(db: Transaction, rows: Select[Any]) -> int:
    return int(await db.scalar(select(func.count()).select_from(rows.subquery())))


async def _of_rows(db: Transaction, name: str, wrong: Select[Any], what: str) -> Finding:
    count = await _count(db, wrong)
    ids = [str(row.id) for row in await db.rows(wrong.limit(SHOWN))] if count else []
    return findings.of_rows(name, count, ids, what)


async def _clock(db: Transaction) -> Finding:
    if db.dialect == "sqlite":
        return findings.of_clock(0.0, MOST_CLOCK_SECONDS)  # there is one clock
    before = process_now()
    there = await db.scalar(select(func.clock_timestamp()))
    here = before + (process_now() - before) / 2
    return findings.of_clock((here - there).total_seconds(), MOST_CLOCK_SECONDS)


async def _sizes(database: Database, db: Transaction) -> dict[str, int]:
    """Bytes of the database and of its parts."""
    if db.dialect == "sqlite":
        path = Path(database.url.database or "")
        parts = {"database": path, "write-ahead log": path.with_name(path.name + "-wal")}
        return {name: part.stat().st_size for name, part in parts.items() if part.exists()}
    whole = await db.scalar(text("SELECT pg_database_size(current_database())"))
    largest = text(
        "SELECT relname AS name, pg_total_relation_size(oid) AS size FROM pg_class "
        "WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace "
        f"ORDER BY size DESC LIMIT {LARGEST}"
    )
    return {"database": whole, **{row.name: row.size for row in await db.rows(largest)}}
