"""Builds the application; nothing happens at import."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI

from forebay import __version__
from forebay_server.access.authentication import Authenticator
from forebay_server.access.run_tokens import RunTokens
from forebay_server.blocks.vault import Vault
from forebay_server.db.broker import Topic
from forebay_server.db.engine import Database
from forebay_server.db.relay import Relay
from forebay_server.dispatch.waiting import WaitingRoom
from forebay_server.events.queries import STORED
from forebay_server.events.recorder import Recorder
from forebay_server.events.sources import EVENTS, Notice, Source
from forebay_server.events.streaming import Stream
from forebay_server.flow_run_events.queries import STATES
from forebay_server.flow_runs.offers import RecentOffers
from forebay_server.gate import Gate
from forebay_server.health.readiness import Readiness
from forebay_server.logs.queries import LINES, Lines
from forebay_server.openapi import describe
from forebay_server.protocol import install_error_handlers
from forebay_server.routing import grants, routes
from forebay_server.services.expiry import EXPIRY
from forebay_server.services.foreman import FOREMAN
from forebay_server.services.late_runs import LATE_RUNS
from forebay_server.services.leases import LEASES
from forebay_server.services.loops import Service, run_forever
from forebay_server.services.old_runs import old_runs
from forebay_server.services.rescuer import rescuer
from forebay_server.services.retention import retention
from forebay_server.services.scheduler import SCHEDULER
from forebay_server.settings import ServerSettings
from forebay_server.work_pools.notices import WORK, WorkNotice
from forebay_server.workers.heartbeats import Intake

RELAYED: dict[Topic[Any], type] = {WORK: WorkNotice, EVENTS: Notice, LINES: Lines}
EVENT_SOURCES: tuple[Source, ...] = (STORED, STATES)
SERVICES: tuple[Service, ...] = (EXPIRY, FOREMAN, LATE_RUNS, LEASES, SCHEDULER)


def _services(settings: ServerSettings) -> Iterator[Service]:
    yield from SERVICES
    yield rescuer(settings.sweep_seconds)
    yield retention(days=settings.events_kept_days, most=settings.events_kept_most)
    if settings.runs_kept_days is not None:
        yield old_runs(days=settings.runs_kept_days)


def create_app(settings: ServerSettings) -> FastAPI:
    """The API over the database of `settings`, which must have been migrated."""
    database = Database(
        settings.effective_database_url,
        pooler_url=settings.effective_pooler_url,
        connections=settings.database_connections,
        synchronous=settings.sqlite_synchronous,
    )
    recorder = Recorder(database)
    waiting_room = WaitingRoom(database.broker)
    relay = Relay(database, RELAYED, waiting_room.look_again)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(run_forever(service, database), name=service.name)
            for service in (_services(settings) if settings.run_services else ())
        ]
        async with recorder.running(), waiting_room.open(app.state.stopping), relay.open():
            yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await app.state.readiness.close()
        await app.state.authenticator.close()
        await database.close()

    app = FastAPI(
        title="Forebay",
        version=__version__,
        lifespan=lifespan,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings = settings
    app.state.database = database
    given_key = settings.secret_key.get_secret_value() if settings.secret_key else None
    app.state.readiness = Readiness(database)
    app.state.vault = Vault(settings.home, given_key, table="block_document")
    app.state.recorder = recorder
    app.state.recent_offers = RecentOffers()
    app.state.heartbeats = Intake(database)
    app.state.waiting_room = waiting_room
    app.state.relay = relay
    app.state.stopping = asyncio.Event()  # set when the process has been told to end
    app.state.event_sources = EVENT_SOURCES
    app.state.event_stream = Stream(database, EVENT_SOURCES)
    secret = settings.api_auth_string
    app.state.authenticator = Authenticator(
        database,
        secret.get_secret_value() if secret else None,
        grants(),
        RunTokens(app.state.vault.derived_key),
        is_open=not settings.require_token,
    )
    install_error_handlers(app)
    app.add_middleware(Gate, hosts=settings.own_hosts)
    app.openapi = partial(describe, app)  # type: ignore[method-assign]
    app.router.routes.extend(routes())
    return app
