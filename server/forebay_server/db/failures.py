"""What an error of a database means: that it is away for now, or cannot be written. Knows no table.

PostgreSQL says it with codes, SQLite with words alone.
"""

from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

UNWRITABLE = frozenset({"53100", "25006"})  # the disk is full; only reading is allowed
LOST_RACES = frozenset({"40001", "40P01", "55P03"})  # serialisation, deadlock, lock timeout
PASSING_CLASSES = frozenset({"08", "53", "57"})  # connection, resources, shutdown
# Of SQLite, and of PostgreSQL's driver about a connection that is being lost.
PASSING_WORDS = ("locked", "connection is closed", "another operation")
# Of SQLite; the last two are what a full or failing disk looks like from its shared memory.
UNWRITABLE_WORDS = ("full", "readonly", "disk i/o error", "unable to open database file")


def sqlstate(error: BaseException) -> str:
    """PostgreSQL's five-character code; empty where there is none."""
    return (getattr(error.orig, "sqlstate", None) or "") if isinstance(error, DBAPIError) else ""


def words(error: BaseException) -> str:
    """What the driver says. SQLAlchemy repeats the statement and what it was given as well."""
    return str(error.orig if isinstance(error, DBAPIError) else error)


def is_lost_race(error: BaseException) -> bool:
    """Whether the transaction lost against a concurrent one, and may be run again at once."""
    return sqlstate(error) in LOST_RACES


def is_unwritable(error: BaseException) -> bool:
    """Whether the database cannot be written, while it may still be read."""
    if sqlstate(error) in UNWRITABLE:
        return True
    is_from_sqlite = isinstance(error, OperationalError) and not sqlstate(error)
    return is_from_sqlite and any(said in words(error).lower() for said in UNWRITABLE_WORDS)


def is_passing(error: BaseException) -> bool:
    """Whether the same may succeed in a while: the database is away, ending, or overloaded."""
    if isinstance(error, PoolTimeout | OSError):
        return True
    return isinstance(error, DBAPIError) and (
        error.connection_invalidated
        or is_lost_race(error)
        or sqlstate(error)[:2] in PASSING_CLASSES
        or any(said in words(error).lower() for said in PASSING_WORDS)
    )
