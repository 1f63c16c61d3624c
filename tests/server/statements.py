"""What the server sends to its database, how that is carried out, and what it costs there."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import event, text

from forebay_server.db.engine import Database, Transaction

Statement = tuple[str, Any]  # with its values

# By this connection, by way of whichever index, also to be changed; since some moment before.
ROWS_READ = text(
    "SELECT coalesce(sum(seq_tup_read + coalesce(idx_tup_fetch, 0)), 0) "
    "FROM pg_stat_xact_user_tables"
)


@contextmanager
def recorded(database: Database) -> Iterator[list[Statement]]:
    """The statements of the block, whichever connection they take."""
    sent: list[Statement] = []

    def note(_c: Any, _cursor: Any, statement: str, values: Any, *_: Any) -> None:
        if not statement.startswith("BEGIN"):
            sent.append((statement, values))

    # On PostgreSQL the reading engine is the same in other words, and tells the same.
    engines = {database.engine.sync_engine}
    if database.dialect == "sqlite":
        engines.add(database._reader.sync_engine)
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", note)


@dataclass
class Weighed:
    """A transaction, and once it is over what it cost: rows read, or steps of SQLite's machine."""

    db: Transaction
    cost: int = 0
    sent: list[Statement] = field(default_factory=list)


@asynccontextmanager
async def weighed(database: Database) -> AsyncIterator[Weighed]:
    """A transaction that is weighed."""
    with recorded(database) as sent:
        async with database.write() as db:
            found = Weighed(db)
            if database.dialect == "sqlite":
                raw = await db.connection.get_raw_connection()
                driver: Any = raw.driver_connection

                def count() -> None:
                    found.cost += 1

                await driver.set_progress_handler(count, 1)
                yield found
                await driver.set_progress_handler(None, 0)
            else:
                before = int(await db.scalar(ROWS_READ))
                yield found
                found.cost = int(await db.scalar(ROWS_READ)) - before
                sent[:] = sent[1:-1]
    found.sent = sent


async def read_whole(database: Database, statement: Statement) -> list[str]:
    """Tables of which a statement reads each row, by its plan."""
    words, values = statement
    if words.startswith("INSERT") and " VALUES " in words:
        return []
    one = values[0] if isinstance(values, list) else values
    async with database.read() as db:
        if database.dialect == "sqlite":
            rows = await db.connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {words}", one)
            steps = [row.detail for row in rows]
            # A partial index holds those rows only that it is about.
            return [step[5:] for step in steps if step.startswith("SCAN") and "INDEX" not in step]
        rows = await db.connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {words}", one)
        found = rows.scalar()
    left = [(json.loads(found) if isinstance(found, str) else found)[0]["Plan"]]
    whole = []
    while left:
        node = left.pop()
        left += node.get("Plans", [])
        if node["Node Type"] == "Seq Scan":
            whole.append(node["Relation Name"])
    return whole
