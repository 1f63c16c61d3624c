"""Takes runs that have ended off queues and deployments that are about to be deleted.

The database would do so in the transaction that deletes, which for hundreds of thousands of runs
takes longer than a statement may. Named as text: runs build on pools, not the other way.
"""

from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from sqlalchemy import ColumnClause, Select, Uuid, column, func, select, table, update

from forebay_server.db.engine import Database, Transaction

RUNS_AT_ONCE = 1_000  # in one transaction; so many are left to the deletion itself

_runs = table(
    "flow_run",
    column("id", Uuid()),
    column("work_queue_id", Uuid()),
    column("deployment_id", Uuid()),
    column("end_time"),
)
OF_QUEUE = _runs.c.work_queue_id
OF_DEPLOYMENT = _runs.c.deployment_id


async def part(
    database: Database,
    referring: ColumnClause[UUID],
    ids: Select[tuple[UUID]] | Sequence[UUID],
    check: Callable[[Transaction], Awaitable[None]],
) -> None:
    """Set `referring` to null on runs that ended and refer to one of `ids`, where they are many.

    Some at a time, once `check` has found in a transaction before that nothing will refuse the
    deletion; it raises what the deletion would.
    """
    is_meant = (referring.in_(ids), _runs.c.end_time.is_not(None))
    some = select(_runs.c.id).where(*is_meant).limit(RUNS_AT_ONCE)
    async with database.read() as db:
        found = await db.scalar(select(func.count()).select_from(some.subquery()))
    if found < RUNS_AT_ONCE:
        return
    async with database.write() as db:
        await check(db)
    locked = some.with_for_update(skip_locked=True)
    change = update(_runs).where(_runs.c.id.in_(locked)).values({referring.name: None})
    parted = RUNS_AT_ONCE
    while parted == RUNS_AT_ONCE:
        async with database.write() as db:
            parted = (await db.execute(change)).rowcount
