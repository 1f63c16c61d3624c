"""Where a worker gets its runs: claims that are waited for, repeated or polled for instead."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from forebay.calls import flow_runs
from forebay.client import AsyncClient
from forebay.errors import NotFound
from forebay.settings import ClientSettings
from forebay.wire.claims import ClaimedPool, ClaimedRun, Claims
from forebay.wire.flow_runs import ScheduledFlowRun
from forebay.wire.states import StateCreate, StateDetails, StateType
from forebay_worker.sources import POLL_SECONDS, HeldRun, ServerSource
from tests.worker.builders import NOW, a_pool, a_run
from tests.worker.conftest import Site

Answer = tuple[int, bytes] | None  # none: the connection is closed without one


class Api:
    """A server of which each answer is decided by the test."""

    def __init__(self, decide: Callable[[str, dict[str, Any]], Answer]) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self, decide))
        self.url = f"http://127.0.0.1:{self._server.server_port}/api"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()


def _handler(
    api: Api, decide: Callable[[str, dict[str, Any]], Answer]
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            path = self.path.removeprefix("/api")
            api.asked.append((path, body))
            answer = decide(path, body)
            if answer is None:
                self.close_connection = True
                return
            self.send_response(answer[0])
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer[1])))
            self.end_headers()
            self.wfile.write(answer[1])

        def log_message(self, *_: object) -> None:
            """Say nothing: the tests look at what was asked."""

    return Handler


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[str, dict[str, Any]], Answer]], Api]]:
    """Start a server that answers as it is told."""
    started: list[Api] = []

    def start(decide: Callable[[str, dict[str, Any]], Answer]) -> Api:
        started.append(Api(decide))
        return started[-1]

    yield start
    for api in started:
        api.close()


def a_source(client: AsyncClient, *, is_patient: bool = True) -> ServerSource:
    return ServerSource(
        client, "p", "w", queue_names=(), prefetch_seconds=10, is_patient=is_patient
    )


def a_client(api: Api) -> AsyncClient:
    return AsyncClient(ClientSettings(api_url=api.url, max_tries=1))


def claims(*, has_pool: bool = True) -> bytes:
    run = ClaimedRun(flow_run=a_run(), claim="c:1")
    pool = ClaimedPool(id=run.flow_run.id, updated=NOW, name="p", type="process")
    return Claims(work_pool=pool if has_pool else None, runs=[run]).model_dump_json().encode()


@pytest.mark.parametrize(
    "refusal", [(404, b'{"detail":"Not Found"}'), (405, b'{"detail":"Method Not Allowed"}')]
)
async def test_a_server_without_claims_is_polled_from_then_on(
    serve: Callable[..., Api], refusal: Answer
) -> None:
    pool = a_pool()
    offer = ScheduledFlowRun(work_pool_id=pool.id, work_queue_id=pool.id, flow_run=a_run())
    offers = f"[{offer.model_dump_json()}]".encode()
    api = serve(lambda path, _: refusal if path.endswith("/claim") else (200, offers))

    async with a_client(api) as client:
        source = a_source(client)
        first = await source.ask(3, awaited=2)
        await source.ask(3, awaited=0)

    assert first == [offer.flow_run]
    assert source.pause_seconds == POLL_SECONDS
    paths = [path.rsplit("/", 1)[1] for path, _ in api.asked]
    assert paths == ["claim", "get_scheduled_flow_runs", "get_scheduled_flow_runs"]
    assert [body["limit"] for _, body in api.asked] == [3, 5, 3]


async def test_a_pool_that_is_gone_is_no_server_without_claims(serve: Callable[..., Api]) -> None:
    api = serve(lambda *_: (404, b'{"detail":"Work pool \\"p\\" not found."}'))

    async with a_client(api) as client:
        with pytest.raises(NotFound):
            await a_source(client).ask(1, awaited=0)


async def test_an_attempt_is_repeated_until_it_is_answered(serve: Callable[..., Api]) -> None:
    answers: list[Answer] = [None, (200, claims()), (200, claims(has_pool=False))]
    api = serve(lambda *_: answers.pop(0))

    async with a_client(api) as client:
        source = a_source(client)
        with pytest.raises(Exception, match="No answer"):
            await source.ask(1, awaited=0)
        (held,) = await source.ask(1, awaited=0)
        (second,) = await source.ask(None, awaited=0)

    bodies = [body for _, body in api.asked]
    assert bodies[0]["attempt"] == bodies[1]["attempt"] != bodies[2]["attempt"]
    assert isinstance(held, HeldRun)
    assert isinstance(second, HeldRun)
    assert second.pool == held.pool
    assert [body.get("known_pool") for body in bodies] == [
        None,
        None,
        "2026-05-01T00:00:00.000000Z",
    ]


async def test_what_a_request_that_was_given_up_has_claimed_is_heard_of(
    serve: Callable[..., Api],
) -> None:
    answers: list[Answer] = [None, (200, claims())]
    api = serve(lambda *_: answers.pop(0))

    async with a_client(api) as client:
        source = a_source(client)
        with pytest.raises(Exception, match="No answer"):
            await source.ask(None, awaited=0)
        (held,) = await source.unheard()
        later = await source.unheard()

    assert (held.claim, later) == ("c:1", [])
    assert api.asked[0][1]["attempt"] == api.asked[1][1]["attempt"]
    assert api.asked[1][1]["wait_seconds"] == 0


async def test_a_server_that_lets_nobody_wait_is_not_asked_at_once(
    serve: Callable[..., Api],
) -> None:
    api = serve(lambda *_: (200, Claims().model_dump_json().encode()))

    async with a_client(api) as client:
        source = a_source(client)
        await source.ask(1, awaited=0)

    assert source.pause_seconds > 0


async def test_who_asks_once_holds_no_run_that_is_not_due(serve: Callable[..., Api]) -> None:
    api = serve(lambda *_: (200, b"[]"))

    async with a_client(api) as client:
        await a_source(client, is_patient=False).ask(1, awaited=0)

    assert [path for path, _ in api.asked] == ["/work_pools/p/get_scheduled_flow_runs"]


def test_a_run_is_claimed_a_little_before_it_is_due_and_started_then(site: Site) -> None:
    deployment = site.deploy("greet")
    worker = site.worker()
    worker.until("serves pool")
    due = datetime.now(UTC) + timedelta(seconds=3)
    scheduled = StateCreate(
        type=StateType.SCHEDULED, state_details=StateDetails(scheduled_time=due)
    )

    run_id = site.run(deployment, state=scheduled)
    worker.until(": PENDING")
    worker.until(": COMPLETED")

    states = site.client.send(flow_runs.states(run_id))
    at = {state.type: state.timestamp for state in states}
    assert due - timedelta(seconds=1) < at[StateType.PENDING] <= at[StateType.RUNNING]
    assert timedelta(0) <= at[StateType.RUNNING] - due < timedelta(seconds=3)
