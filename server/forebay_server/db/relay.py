"""Carries notices between the processes that serve one PostgreSQL database. Knows no table.

They are sent after the commit, on a connection that does nothing else: a transaction that
notifies holds a lock of the whole database until it is on disk, so that hot transactions which
did it would commit one after the other. What is lost because a process dies in between, or a
connection does, is made good by a gap: whoever hears of one looks for itself.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import orjson
from pydantic import TypeAdapter
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from forebay_server.db.broker import Lost, Subscription, Topic
from forebay_server.db.engine import Database

logger = logging.getLogger(__name__)

CHANNEL = "forebay"
APPLICATION = "forebay relay"  # as the database shows the connection
RETRY_SECONDS = 5.0
GATHERING_SECONDS = 0.01  # after each sending, so that many small ones cost little
PER_MESSAGE = 30  # notices; PostgreSQL takes 8,000 bytes


class Relay:
    """One topic's way to other processes and back; on SQLite there is nobody to tell."""

    def __init__(
        self, database: Database, topic: Topic[Any], kind: type, on_gap: Callable[[], None]
    ) -> None:
        self._database = database
        self._topic = topic
        self._notices: TypeAdapter[list[Any]] = TypeAdapter(list[kind])  # type: ignore[valid-type]
        self._on_gap = on_gap
        self._sender = str(uuid4())  # as which this process is known to the others
        self._is_receiving = False
        self.connected = asyncio.Event()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Send and receive during the block."""
        if self._database.dialect == "sqlite":
            yield
            return
        task = asyncio.create_task(self._keep_connected(), name=f"relay of {self._topic.name}")
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _keep_connected(self) -> None:
        """Connect again whenever the connection is lost; until then others may be missed."""
        from asyncpg import InterfaceError, PostgresError  # which only this database needs

        engine = create_async_engine(
            self._database.url,
            poolclass=NullPool,
            connect_args={"server_settings": {"application_name": APPLICATION}},
        )
        while True:
            try:
                async with engine.connect() as connection:
                    raw = await connection.get_raw_connection()
                    await self._serve(raw.driver_connection)
                logger.warning("notices of other processes are not received for a while")
            except (SQLAlchemyError, PostgresError, InterfaceError, OSError, Lost) as error:
                logger.warning("notices of other processes are not received: %s", error)
            self.connected.clear()
            self._on_gap()
            await asyncio.sleep(RETRY_SECONDS)

    async def _serve(self, driver: Any) -> None:
        """Send and receive until the connection is closed."""
        closed = asyncio.Event()
        driver.add_termination_listener(lambda _: closed.set())
        await driver.execute("SET synchronous_commit = off")
        await driver.add_listener(CHANNEL, self._receive)
        with self._database.broker.subscribe(self._topic, self._is_own) as subscription:
            await self._send(driver, None)
            self.connected.set()
            self._on_gap()
            sending = asyncio.create_task(self._send_all(driver, subscription))
            closing = asyncio.create_task(closed.wait())
            try:
                await asyncio.wait({sending, closing}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                sending.cancel()
                closing.cancel()
            if sending.done() and not sending.cancelled():
                sending.result()  # which raises what ended it

    def _is_own(self, _notice: object) -> bool:
        """Whether a notice comes from this process, and not from another through this relay."""
        return not self._is_receiving

    async def _send_all(self, driver: Any, subscription: Subscription[Any]) -> None:
        while True:
            try:
                notices = await subscription.take()
            except Lost:
                await self._send(driver, None)
                raise
            for part in _parts(list(dict.fromkeys(notices))):
                await self._send(driver, part)
            await asyncio.sleep(GATHERING_SECONDS)

    async def _send(self, driver: Any, notices: Sequence[Any] | None) -> None:
        """Send notices; none means a gap: some may not have been sent."""
        told = None if notices is None else self._notices.dump_python(list(notices), mode="json")
        message = orjson.dumps([self._sender, self._topic.name, told]).decode()
        await driver.execute("SELECT pg_notify($1, $2)", CHANNEL, message)

    def _receive(self, _connection: Any, _pid: int, _channel: str, message: str) -> None:
        sender, topic, told = orjson.loads(message)
        if sender == self._sender or topic != self._topic.name:
            return
        if told is None:
            self._on_gap()
            return
        self._is_receiving = True
        try:
            self._database.broker.publish(self._topic, self._notices.validate_python(told))
        finally:
            self._is_receiving = False


def _parts(notices: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(notices), PER_MESSAGE):
        yield notices[start : start + PER_MESSAGE]
