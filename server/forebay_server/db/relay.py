"""Carries notices between the processes that serve one PostgreSQL database. Knows no table.

They are sent after the commit, on a connection that does nothing else: a transaction that
notifies holds a lock of the whole database until it is on disk, so that hot transactions which
did it would commit one after the other. Notices wait while the connection is lost. Whoever may
have missed some is dropped, and looks for itself when it comes again.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import uuid4

import orjson
from pydantic import TypeAdapter
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from forebay_server.db.broker import Lost, Topic
from forebay_server.db.engine import Database

logger = logging.getLogger(__name__)

CHANNEL = "forebay"
APPLICATION = "forebay relay"  # as the database shows the connection
FIRST_RETRY_SECONDS = 0.1  # doubles
LAST_RETRY_SECONDS = 5.0
GATHERING_SECONDS = 0.01  # after each sending, so that many small ones cost little
MAX_MESSAGE_BYTES = 7_900  # PostgreSQL takes 8,000
MAX_WAITING = 500  # messages; what comes then waits as notices, of which a topic has a bound
HEARTBEAT_SECONDS = 5.0  # a connection that carries nothing is tried this often
ANSWER_SECONDS = 5.0  # for the database to take a connection or a message

MISSED = "notices of another process may have been missed"


class Relay:
    """The way of topics to other processes and back; on SQLite there is nobody to tell.

    `on_absence` is called each time that the connection cannot be had: nobody is dropped then,
    since what they would read may be as far away.
    """

    def __init__(
        self,
        database: Database,
        topics: Mapping[Topic[Any], type],
        on_absence: Callable[[], None] = lambda: None,
    ) -> None:
        self._database = database
        self._topics = {topic.name: topic for topic in topics}
        self._notices: dict[str, TypeAdapter[list[Any]]] = {
            topic.name: TypeAdapter(list[kind])  # type: ignore[valid-type]
            for topic, kind in topics.items()
        }
        self._on_absence = on_absence
        self._sender = str(uuid4())  # as which this process is known to the others
        self._sent = 0  # messages, which are numbered from 1
        self._heard: dict[str, int] = {}  # the last number by sender
        self._outbox: asyncio.Queue[str] = asyncio.Queue(MAX_WAITING)
        self._unconfirmed: str | None = None  # sent, perhaps: sent again on the next connection
        self._is_receiving = False
        self.connected = asyncio.Event()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Send and receive during the block, if possible from its beginning."""
        if self._database.dialect == "sqlite":
            yield
            return
        gathering = [
            asyncio.create_task(self._gather(topic), name=f"relay of {topic.name}")
            for topic in self._topics.values()
        ]
        tasks = [*gathering, asyncio.create_task(self._keep_connected(), name="relay")]
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(ANSWER_SECONDS):
                    await self.connected.wait()
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # ------------------------------------------------------------------------------- sending

    async def _gather(self, topic: Topic[Any]) -> None:
        """Put what this process publishes on `topic` in the outbox, for ever.

        It begins with a gap: a process whose place this one takes may have died before it told
        what it had committed.
        """
        while True:
            with self._database.broker.subscribe(topic, self._is_own, is_spared=True) as own:
                await self._outbox.put(self._message(topic, None))
                try:
                    while True:
                        notices = list(dict.fromkeys(await own.take()))
                        for told in self._parts(topic, notices):
                            await self._outbox.put(self._message(topic, told))
                        await asyncio.sleep(GATHERING_SECONDS)
                except Lost:
                    logger.warning("too many notices wait for other processes")

    def _is_own(self, _notice: object) -> bool:
        """Whether a notice comes from this process, and not from another through this relay."""
        return not self._is_receiving

    def _parts(self, topic: Topic[Any], notices: Sequence[Any]) -> Iterator[list[Any] | None]:
        """`notices` in parts that a message takes; None where a single one is too large."""
        part: list[Any] = []
        size = 0
        for notice in self._notices[topic.name].dump_python(list(notices), mode="json"):
            length = len(orjson.dumps(notice)) + 1
            if part and size + length > MAX_MESSAGE_BYTES - self._overhead(topic):
                yield part
                part, size = [], 0
            if length > MAX_MESSAGE_BYTES - self._overhead(topic):
                yield None
                continue
            part.append(notice)
            size += length
        if part:
            yield part

    def _overhead(self, topic: Topic[Any]) -> int:
        return len(self._sender) + len(topic.name) + 40  # quotes, commas, brackets, the number

    def _message(self, topic: Topic[Any], told: list[Any] | None) -> str:
        """Notices as others get them; none means a gap: some may not have been sent."""
        self._sent += 1
        return orjson.dumps([self._sender, self._sent, topic.name, told]).decode()

    async def _send_all(self, driver: Any) -> None:
        """Send what is in the outbox, for ever; raises when the database does not answer."""
        while True:
            if self._unconfirmed is None:
                try:
                    async with asyncio.timeout(HEARTBEAT_SECONDS):
                        self._unconfirmed = await self._outbox.get()
                except TimeoutError:
                    await driver.execute("SELECT 1")
                    continue
            await driver.execute("SELECT pg_notify($1, $2)", CHANNEL, self._unconfirmed)
            self._unconfirmed = None

    # ----------------------------------------------------------------------------- receiving

    def _receive(self, _connection: Any, _pid: int, _channel: str, message: str) -> None:
        sender, number, name, told = orjson.loads(message)
        topic = self._topics.get(name)
        if sender == self._sender or topic is None or number <= self._heard.get(sender, 0):
            return
        self._heard[sender] = number
        if told is None:
            self._database.broker.drop(topic, MISSED)
            return
        self._is_receiving = True
        try:
            self._database.broker.publish(topic, self._notices[name].validate_python(told))
        finally:
            self._is_receiving = False

    # ---------------------------------------------------------------------------- connection

    async def _keep_connected(self) -> None:
        """Connect again whenever the connection is lost."""
        # Which only this database needs.
        from asyncpg import InterfaceError, InternalClientError, PostgresError

        driver_errors = (InterfaceError, InternalClientError, PostgresError)

        engine = create_async_engine(
            self._database.url,
            poolclass=NullPool,
            connect_args={
                "server_settings": {"application_name": APPLICATION},
                "timeout": ANSWER_SECONDS,
                "command_timeout": ANSWER_SECONDS,
            },
        )
        pause = FIRST_RETRY_SECONDS
        while True:
            try:
                async with engine.connect() as connection:
                    raw = await connection.get_raw_connection()
                    await self._serve(raw.driver_connection)
            except (SQLAlchemyError, *driver_errors, OSError) as error:
                logger.warning("notices of other processes are not received: %s", error)
            if self.connected.is_set():
                self.connected.clear()
                pause = FIRST_RETRY_SECONDS
            self._on_absence()
            await asyncio.sleep(pause)
            pause = min(2 * pause, LAST_RETRY_SECONDS)

    async def _serve(self, driver: Any) -> None:
        """Send and receive until the connection is closed."""
        closed = asyncio.Event()
        tasks: list[asyncio.Task[Any]] = []
        driver.add_termination_listener(lambda _: closed.set())
        try:
            await driver.execute("SET synchronous_commit = off")
            await driver.add_listener(CHANNEL, self._receive)
            for topic in self._topics.values():
                self._database.broker.drop(topic, MISSED)
            self.connected.set()
            sending = asyncio.create_task(self._send_all(driver))
            tasks = [sending, asyncio.create_task(closed.wait())]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()  # which raises what ended it
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            driver.terminate()  # says no farewell, for which a silent database would be awaited
