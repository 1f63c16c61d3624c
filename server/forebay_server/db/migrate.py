"""Brings a database to the schema of this code. Imports Alembic only when there is work."""

import sys
from pathlib import Path

from sqlalchemy import Connection, inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

MIGRATIONS = Path(__file__).parent / "migrations"
ADVISORY_LOCK = 0x666F7265626179  # "forebay": only one process prepares it at a time


class NewerSchema(Exception):
    """The database was made by a newer version than this code."""


def newest_revision() -> str:
    """The revision that this code was written for: file names begin with a growing number."""
    stems = [path.stem for path in (MIGRATIONS / "versions").glob("[0-9]*.py")]
    return max(stems, default="").partition("_")[0]


def stored_revision(connection: Connection) -> str | None:
    """The revision of the database, None when it is empty."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)


async def upgrade(engine: AsyncEngine) -> bool:
    """Migrate to the newest revision, all in one transaction; whether there was work.

    Raises `NewerSchema`, having changed nothing, when the database is ahead of this code.
    """
    async with engine.begin() as connection:
        await exclude_others(connection)
        stored = await connection.run_sync(stored_revision)
        newest = newest_revision()
        if stored == newest:
            return False
        if stored is not None and stored > newest:
            raise NewerSchema(f"the database has schema {stored}, this version knows {newest}")
        await connection.run_sync(_run)
        return True


async def exclude_others(connection: AsyncConnection) -> None:
    """Wait until no other process prepares the database, and keep them out of this transaction.

    However long that takes: another one's migration may outlast the usual bounds, and so may
    this one's. On SQLite the process that holds the file's lock is the only one.
    """
    if connection.dialect.name == "postgresql":
        await connection.execute(text("SET LOCAL lock_timeout = 0"))
        await connection.execute(text("SET LOCAL statement_timeout = 0"))
        await connection.execute(
            text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK}
        )


def _run(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def write_revision(message: str) -> None:
    """Write the next migration from the difference between the tables and the last one."""
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine
    from sqlalchemy.pool import StaticPool

    following = f"{int(newest_revision() or 0) + 1:04}"
    with create_engine("sqlite://", poolclass=StaticPool).connect() as connection:
        _run(connection)
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.revision(config, message=message, autogenerate=True, rev_id=following)


if __name__ == "__main__":
    write_revision(sys.argv[1])
