"""Connections and transactions on SQLite and PostgreSQL. Knows no table."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from contextvars import ContextVar
from datetime import datetime
from typing import Any, TypeVar, cast
from uuid import UUID

import orjson
from sqlalchemy import Connection, ExceptionContext, Executable, Row, event, func, select
from sqlalchemy.engine import CursorResult, make_url
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from forebay_server.db import sqlite_driver
from forebay_server.db.broker import Broker, Topic
from forebay_server.db.columns import now
from forebay_server.db.prepared import Prepared
from forebay_server.db.shared_commits import SharedCommits

T = TypeVar("T")

_asked_at: ContextVar[float] = ContextVar("asked_at", default=float("-inf"))  # for a connection

BUSY_TIMEOUT_SECONDS = 10
SQLITE_READERS = 4

# Within these PostgreSQL answers or is taken for gone, also where no packet comes back. At most one
# of the three is waited out in a request, since whoever has waited in vain is answered with 503.
CONNECT_SECONDS = 4.0
PING_SECONDS = 2.0  # of a pooled connection, before it is used
TRUSTED_SECONDS = 0.5  # in which a connection that was used needs no ping,
AT_ONCE_SECONDS = 0.05  # when it was free within these
CHECKOUT_SECONDS = 6.0  # for a connection: a free one, tried, or a new one
STATEMENT_SECONDS = 8.0  # the database itself gives up after 10, if it still hears anything
CLOSE_SECONDS = 3.0  # at the end

# Of a session of PostgreSQL, or of each transaction where a pooler lends them.
BOUNDS = {
    "lock_timeout": "2s",
    "statement_timeout": "10s",
    "idle_in_transaction_session_timeout": "10s",
}


class Transaction:
    """One transaction: statements, its time, and what to do once it is committed."""

    def __init__(
        self, connection: AsyncConnection, dialect: str, broker: Broker, *, begins: bool = True
    ) -> None:
        """Unless it `begins`, each statement is a transaction of its own on PostgreSQL."""
        self.connection = connection
        self.dialect = dialect
        self._broker = broker
        self._begins = begins
        self._now: datetime | None = None
        self._after_commit: list[Callable[[], None]] = []
        # The pool whose objects alone the caller may see in lists; None: no such bound.
        self.pool_id: UUID | None = None
        self.run_id: UUID | None = None  # the same of a caller that is the process of a run

    async def execute(self, statement: Executable, values: Any = None) -> CursorResult[Any]:
        """Run a statement; `values` may be a list of rows to insert."""
        return await self.connection.execute(statement, values)

    async def run(self, prepared: Prepared, values: Mapping[str, Any]) -> Sequence[Row[Any]]:
        """The rows of a statement that was prepared."""
        connection = self.connection.sync_connection
        driver = connection and connection.connection.driver_connection
        if driver is None or not prepared.is_fixed or self._begins_with_next(driver):
            found = await self.execute(prepared.statement, values)
            return found.all() if found.returns_rows else ()
        assert connection is not None
        return await prepared.run(connection, driver, values)

    def _begins_with_next(self, driver: Any) -> bool:
        """Whether the next statement, which SQLAlchemy must run then, begins the transaction."""
        is_remote = self.dialect != "sqlite"  # there the driver itself begins it
        return is_remote and self._begins and not driver.is_in_transaction()

    async def rows(self, statement: Executable) -> Sequence[Row[Any]]:
        """All rows."""
        return (await self.connection.execute(statement)).all()

    async def row(self, statement: Executable) -> Row[Any] | None:
        """The first row, if any."""
        return (await self.connection.execute(statement)).first()

    async def scalar(self, statement: Executable) -> Any:
        """The first column of the first row, or None."""
        return (await self.connection.execute(statement)).scalar()

    async def now(self) -> datetime:
        """The database's time, the same during the whole transaction.

        On SQLite the one process that serves it is the database, so it is that process's clock.
        """
        if self._now is None:
            if self.dialect == "sqlite":
                self._now = now()
            else:
                self._now = cast(datetime, await self.scalar(select(func.clock_timestamp())))
        return self._now

    def after_commit(self, action: Callable[[], None]) -> None:
        """Run `action` once the transaction is committed; never when it is rolled back."""
        self._after_commit.append(action)

    def publish(self, topic: Topic[T], notices: Sequence[T]) -> None:
        """Tell the subscribers of `topic` once the transaction is committed."""
        self.after_commit(lambda: self._broker.publish(topic, notices))

    def committed(self) -> None:
        """Run what waited for the commit."""
        for action in self._after_commit:
            action()


class Database:
    """The engine behind the server; `read` and `write` open transactions."""

    def __init__(
        self,
        url: str,
        *,
        pooler_url: str | None = None,
        connections: int = 10,
        synchronous: str = "FULL",
        may_take_long: bool = False,
    ) -> None:
        """Transactions go through `pooler_url` where there is one: see `db.pooler`.

        With `may_take_long` statements have all the time they need, as migrations do.
        """
        self.url = make_url(url)
        self.dialect = self.url.get_backend_name()
        self.broker = Broker()
        self._shared: SharedCommits | None = None
        if self.dialect == "sqlite":
            self._writer = _sqlite_engine(url, "BEGIN IMMEDIATE", synchronous, pool_size=1)
            self._reader = _sqlite_engine(url, "BEGIN", synchronous, pool_size=SQLITE_READERS)
            self._shared = SharedCommits(self._writer)
        else:
            seconds = None if may_take_long else STATEMENT_SECONDS
            if pooler_url is not None:
                self._reader = self._writer = _pooled_engine(pooler_url, connections, seconds)
            else:
                self._writer = _postgres_engine(url, connections, seconds, server_settings=BOUNDS)
                # A single statement needs no BEGIN and COMMIT around it.
                self._reader = self._writer.execution_options(isolation_level="AUTOCOMMIT")

    @property
    def engine(self) -> AsyncEngine:
        """The writing engine, for migrations."""
        return self._writer

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Transaction]:
        """A transaction that only reads."""
        async with self._connected(self._reader) as connection:
            begins = self._reader is self._writer
            yield Transaction(connection, self.dialect, self.broker, begins=begins)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Transaction]:
        """A transaction that is committed at the end of the block, or wholly undone.

        On SQLite writers of this process follow one another, so that the database is never found
        locked, and share commits. Raises `Overloaded` when too many wait already.
        """
        if self._shared is None:
            connected = self._transaction()
        else:
            connected = self._shared.write()
        async with connected as connection:
            transaction = Transaction(connection, self.dialect, self.broker)
            yield transaction
        transaction.committed()

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[AsyncConnection]:
        async with self._connected(self._writer) as connection, connection.begin():
            yield connection

    @asynccontextmanager
    async def _connected(self, engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
        """A connection of the pool. Raises `TimeoutError` when there is none in time."""
        is_remote = self.dialect != "sqlite"
        async with AsyncExitStack() as stack:
            _asked_at.set(time.monotonic())
            async with asyncio.timeout(CHECKOUT_SECONDS if is_remote else None):
                connection = await stack.enter_async_context(engine.connect())
            yield connection

    async def close(self) -> None:
        """Close every connection; one to a silent database is given up."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._writer.dispose()
                await self._reader.dispose()


def _json_engine(url: str, **options: Any) -> AsyncEngine:
    return create_async_engine(
        url,
        json_serializer=lambda value: orjson.dumps(value).decode(),
        json_deserializer=orjson.loads,
        hide_parameters=True,  # what callers sent is not to be in an error's text, and so in logs
        **options,
    )


def _sqlite_engine(url: str, begin: str, synchronous: str, *, pool_size: int) -> AsyncEngine:
    engine = _json_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=BUSY_TIMEOUT_SECONDS,
        connect_args={
            "async_creator_fn": sqlite_driver.connect,
            "timeout": BUSY_TIMEOUT_SECONDS,
            "isolation_level": None,  # the driver must not begin transactions by itself
        },
    )

    @event.listens_for(engine.sync_engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute(f"PRAGMA synchronous={synchronous}")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Connection) -> None:
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite_driver.Connection)
        driver.begin(begin)

    return engine


def _pooled_engine(url: str, connections: int, statement_seconds: float | None) -> AsyncEngine:
    # Which only this database needs.
    from forebay_server.db.pooler import connect_args

    return _postgres_engine(url, connections, statement_seconds, **connect_args(BOUNDS))


def _postgres_engine(
    url: str,
    connections: int,
    statement_seconds: float | None,
    *,
    server_settings: Mapping[str, str] | None = None,
    **connect_args: Any,
) -> AsyncEngine:
    engine = _json_engine(
        url,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=10,
        connect_args={
            "server_settings": {"application_name": "forebay", **(server_settings or {})},
            "timeout": CONNECT_SECONDS,
            "command_timeout": statement_seconds,
            **connect_args,
        },
    )

    @event.listens_for(engine.sync_engine, "checkin")
    def _note(_connection: Any, record: Any) -> None:
        record.info["used_at"] = time.monotonic()

    @event.listens_for(engine.sync_engine, "checkout")
    def _check(connection: Any, record: Any, _proxy: Any) -> None:
        """One that has just been used is taken for alive: a ping would be a journey of its own."""
        at = time.monotonic()
        idle = at - record.info.get("used_at", float("-inf"))
        # Whoever has waited for it has none of its patience left for a statement that hangs.
        is_trusted = idle < TRUSTED_SECONDS and at - _asked_at.get() < AT_ONCE_SECONDS
        if connection is not None and not is_trusted and not _ping(connection):
            raise InvalidatePoolError

    @event.listens_for(engine.sync_engine, "handle_error")
    def _cut_off(context: ExceptionContext) -> None:
        """A connection that was silent once is not asked to roll back or to say farewell."""
        if isinstance(context.original_exception, TimeoutError) and context.connection is not None:
            driver = context.connection.connection.driver_connection
            if driver is not None:
                driver.terminate()
            context.is_disconnect = True

    return engine


def _ping(connection: Any) -> bool:
    """Whether a pooled connection answers; if not, the pool's others are not trusted either."""
    return bool(connection.run_async(_is_alive))


async def _is_alive(driver: Any) -> bool:
    # Which only this database needs.
    from asyncpg import InterfaceError, InternalClientError, PostgresError

    try:
        await driver.fetchrow(";", timeout=PING_SECONDS)
    except (InterfaceError, InternalClientError, PostgresError, OSError):
        driver.terminate()
        return False
    return True
