"""One server twice, on SQLite and on PostgreSQL: each request goes to both, each answer is compared.

Ids are given by each side itself, so requests name objects and answers are compared by the order
in which ids appear.
"""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx2 as httpx
import orjson
from sqlalchemy import and_, select, text

from forebay_server.app import create_app
from forebay_server.claims.tables import claims
from forebay_server.db.engine import Database
from forebay_server.flow_runs import transitions
from forebay_server.flow_runs.tables import flow_runs
from forebay_server.services import late_runs
from forebay_server.services.rescuer import Rescuer
from forebay_server.settings import ServerSettings
from forebay_server.start import prepare
from tests.reliability import virtual_time
from tests.reliability.virtual_time import Clock

UUID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
NAMED = re.compile("<([a-z0-9]+)>")  # an object in a request, by the name it was given
PUT_OFF_SECONDS = 10.0  # by chance around this; here always this, so that times can be compared
HEADERS = ("x-forebay-claim", "x-forebay-drain")  # of answers that are compared
EVERYTHING = (
    select(
        *(flow_runs.c[name] for name in ("name", "state_type", "state_name", "state_timestamp")),
        *(flow_runs.c[name] for name in ("epoch", "rescue_count", "infrastructure_pid")),
        *(claims.c[name] for name in ("epoch", "started_epoch", "worker_name", "expires_at")),
    )
    .outerjoin(claims, and_(claims.c.flow_run_id == flow_runs.c.id, claims.c.ended_at.is_(None)))
    .order_by(flow_runs.c.created, flow_runs.c.id)
)

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Answer:
    """What both servers answered."""

    status: int
    body: Any
    claim: str | None  # the header that names the run's claim


@dataclass
class Side:
    """A server in this process."""

    api: httpx.AsyncClient
    database: Database
    rescuer: Rescuer = field(default_factory=Rescuer)
    ids: dict[str, str] = field(default_factory=dict)  # by the name of the object
    seen: dict[str, str] = field(default_factory=dict)  # ids as they are compared

    async def send(
        self, method: str, path: str, body: Any, headers: Mapping[str, str]
    ) -> tuple[int, Any, dict[str, str]]:
        """Status, body and headers of an answer, with the ids that are compared."""
        answer = await self.api.request(
            method,
            self._meant(path),
            content=None if body is None else self._meant(orjson.dumps(body).decode()),
            headers={
                "content-type": "application/json",
                **{name: self._meant(value) for name, value in headers.items()},
            },
        )
        told = answer.json() if answer.content else None
        kept = {name: answer.headers[name] for name in HEADERS if name in answer.headers}
        return answer.status_code, self._compared(told), self._compared(kept)

    async def rows(self) -> list[Row]:
        """Every run with its live claim, the oldest run first."""
        async with self.database.read() as db:
            return [tuple(map(str, row)) for row in await db.rows(EVERYTHING)]

    async def sweep(self) -> None:
        """Let the services that mind the time have their turn."""
        await self.rescuer.tick(self.database)
        await late_runs.tick(self.database)

    async def forget(self) -> None:
        """Delete everything but the flow."""
        async with self.database.write() as db:
            for table in ("flow_run", "work_pool", "sweep"):
                await db.execute(text(f"DELETE FROM {table}"))
        self.rescuer = Rescuer()
        self.ids = {"flow": self.ids["flow"]} if self.ids else {}

    def _meant(self, value: str) -> str:
        return NAMED.sub(lambda found: self.ids[found[1]], value)

    def _compared(self, value: Any) -> Any:
        if isinstance(value, str):
            return UUID.sub(self._named, value)
        if isinstance(value, list):
            return [self._compared(each) for each in value]
        if isinstance(value, dict):
            return {k: self._compared(value[k]) for k in sorted(value) if k != "request_id"}
        return value

    def _named(self, found: re.Match[str]) -> str:
        return self.seen.setdefault(found[0], f"#{len(self.seen)}")


@dataclass
class Sides:
    """Both servers and the one clock; counts what it compares."""

    sqlite: Side
    postgres: Side
    clock: Clock
    connection: asyncpg.Connection
    compared: int = 0

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        new: str | None = None,
        **headers: str,
    ) -> Answer:
        """The answer that both gave; `new` is the name of what it makes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        first = await self.sqlite.send(method, path, body, named)
        second = await self.postgres.send(method, path, body, named)
        self.compared += 1
        assert first == second, f"{method} {path} {body}:\n sqlite {first}\n postgres {second}"
        status, told, kept = first
        assert status < 500, f"{method} {path} {body}: {status} {told}"
        if new is not None and status == 201:
            for side in (self.sqlite, self.postgres):
                ids = {label: id for id, label in side.seen.items()}
                side.ids[new] = ids[told["id"]]
        return Answer(status, told, kept.get("x-forebay-claim"))

    async def rows(self) -> list[Row]:
        """Every run with its live claim, as both databases have them."""
        first, second = await self.sqlite.rows(), await self.postgres.rows()
        assert first == second, f"sqlite   {first}\npostgres {second}"
        return first

    async def advance(self, seconds: float) -> None:
        """Let time pass, and the services look once."""
        await self.clock.advance(seconds, self.connection)
        await self.sqlite.sweep()
        await self.postgres.sweep()

    async def begin(self) -> None:
        """Begin anew with nothing but a flow."""
        for side in (self.sqlite, self.postgres):
            await side.forget()
        if not self.sqlite.ids:
            await self.send("POST", "/flows/", {"name": "model"}, new="flow")


@asynccontextmanager
async def both(sqlite: Path, postgres_url: str, home: Path) -> AsyncIterator[Sides]:
    """Servers on a new SQLite file and on a migrated PostgreSQL database, in virtual time."""
    clock = Clock()
    async with AsyncExitStack() as stack:
        stack.enter_context(virtual_time.in_this_process(clock))
        spread = (PUT_OFF_SECONDS, PUT_OFF_SECONDS)
        stack.enter_context(virtual_time.constant(transitions, "BACKOFF_SECONDS", spread))
        connection = await asyncpg.connect(postgres_url.replace("+asyncpg", ""))
        stack.push_async_callback(connection.close)
        await virtual_time.in_database(connection)
        sqlite_url = f"sqlite+aiosqlite:///{sqlite}"
        await prepare(ServerSettings(database_url=sqlite_url, require_token=False))
        sides = [
            await stack.enter_async_context(a_side(url, home))
            for url in (sqlite_url, postgres_url)
        ]
        yield Sides(*sides, clock, connection)


@asynccontextmanager
async def a_side(url: str, home: Path) -> AsyncIterator[Side]:
    """A server on a migrated database."""
    settings = ServerSettings(
        home=home,
        database_url=url,
        require_token=False,
        run_services=False,
        sqlite_synchronous="NORMAL",  # nothing here loses its power
    )
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        base = "http://localhost/api"
        async with httpx.AsyncClient(transport=transport, base_url=base) as api:
            yield Side(api, app.state.database)
