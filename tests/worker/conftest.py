"""An API that stores log lines and can be slow, refuse or be gone; a pool with a deployment."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from forebay.client import Client
from forebay.settings import ClientSettings


class LogStore:
    """What an API has stored; `answers` decides about each request by its lines."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.requests = 0
        self.keys: list[str] = []
        self.decide: Callable[[list[str]], int] = lambda _: 201
        self.open = threading.Event()  # while this is not set, requests wait for it
        self.open.set()
        self.arrived = threading.Semaphore(0)


def _handler(store: LogStore) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            lines: list[dict[str, Any]] = json.loads(
                self.rfile.read(int(self.headers["content-length"]))
            )
            messages = [line["message"] for line in lines]
            store.requests += 1
            store.arrived.release()
            store.open.wait(30)
            status = store.decide(messages)
            if status == 201:
                store.messages += messages
                store.keys.append(self.headers["idempotency-key"])
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing: the tests look at what was stored."""

    return Handler


@pytest.fixture
def log_store() -> Iterator[tuple[LogStore, Client]]:
    """A store of log lines on a free port, and a client of it that does not retry by itself."""
    store = LogStore()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(store))
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/api"
    with Client(ClientSettings(api_url=url, max_tries=1)) as client:
        yield store, client
    store.open.set()
    server.shutdown()
    server.server_close()
