"""Connections of the blocking client: kept, given up, and made through proxies."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from forebay.calls import Call, call
from forebay.client import Client
from forebay.errors import ConfigurationError, Unreachable
from forebay.settings import ClientSettings, Tls
from forebay_provider import certificate

READ: Call[str] = call("GET", "/admin/version", str)
CREATE: Call[str] = call("POST", "/things/", str, {"name": "a"})
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


class Server(ThreadingHTTPServer):
    """Answers with the request's line; as a proxy it also passes bytes through a tunnel."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, dict[str, str]]] = []  # request line, headers
        self.connections: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self.server_port}/api"

    def process_request(self, request: Any, client_address: Any) -> None:
        self.connections.append(request)
        super().process_request(request, client_address)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.seen.append((f"{self.command} {self.path}", headers))
        self.rfile.read(int(headers.get("content-length", 0)))
        self.send_response(200)
        self.send_header("content-length", "4")
        self.end_headers()
        self.wfile.write(b'"ok"')

    do_POST = do_GET

    def do_CONNECT(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.seen.append((f"{self.command} {self.path}", headers))
        if "proxy-authorization" not in headers:
            self.send_error(407)
            return
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port))) as there:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=pump, args=(there, self.connection), daemon=True)
            back.start()
            pump(self.connection, there)
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    """A server, and another one to be its proxy."""
    made = [Server(), Server()]
    for server in made:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield made
    for server in made:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment of the tests says must not count."""
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def read(url: str, **settings: Any) -> str:
    with Client(ClientSettings(api_url=url, max_tries=1, **settings)) as client:
        return client.send(READ)


def test_connection_is_kept_for_the_next_request(servers: list[Server]) -> None:
    with Client(ClientSettings(api_url=servers[0].url)) as client:
        for _ in range(3):
            client.send(READ)

    assert len(servers[0].connections) == 1


def test_connection_that_the_server_closed_meanwhile_is_not_used_for_a_write(
    servers: list[Server],
) -> None:
    with Client(ClientSettings(api_url=servers[0].url, max_tries=1)) as client:
        client.send(READ)
        servers[0].connections[0].shutdown(socket.SHUT_RDWR)
        answer = client.send(CREATE)

    assert answer == "ok"
    assert len(servers[0].connections) == 2


def test_connection_of_a_failed_request_is_not_used_again(scripted: Any) -> None:
    scripted.says(200, delay_seconds=60)
    scripted.says(200, '"second"')

    with Client(ClientSettings(api_url=scripted.api_url, timeout_seconds=0.2)) as client:
        with pytest.raises(Unreachable):
            client.send(CREATE)
        answer = client.send(READ)

    assert answer == "second"


def test_answer_that_breaks_off_is_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def break_off() -> None:
            connection, _ = listener.accept()
            connection.recv(65536)
            connection.sendall(b'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n"half')
            connection.close()

        threading.Thread(target=break_off, daemon=True).start()

        with pytest.raises(Unreachable, match="IncompleteRead"):
            read(f"http://127.0.0.1:{listener.getsockname()[1]}/api")


@pytest.mark.parametrize("variable", ["http_proxy", "ALL_PROXY"])
def test_request_goes_through_the_proxy_of_the_environment(
    servers: list[Server], monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    _, proxy = servers
    monkeypatch.setenv(variable, f"http://user:p%40ss@127.0.0.1:{proxy.server_port}")

    read("http://forebay.invalid/api")

    line, headers = proxy.seen[0]
    assert line == "GET http://forebay.invalid/api/admin/version"
    assert headers["host"] == "forebay.invalid"
    assert headers["proxy-authorization"] == "Basic dXNlcjpwQHNz"


def test_server_that_needs_no_proxy_is_asked_directly(
    servers: list[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, proxy = servers
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.server_port}")
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    read(server.url)

    assert (len(server.seen), len(proxy.seen)) == (1, 0)


@pytest.mark.parametrize("credentials", ["", "user:word@"], ids=["refused", "allowed"])
def test_tls_goes_through_a_tunnel_of_the_proxy(
    servers: list[Server],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    credentials: str,
) -> None:
    server, proxy = servers
    made = certificate.make(time.time())
    identity = tmp_path / "identity.pem"
    identity.write_bytes(made.key + made.chain)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    monkeypatch.setenv("https_proxy", f"http://{credentials}127.0.0.1:{proxy.server_port}")
    url = f"https://localhost:{server.server_port}/api"
    tls = Tls(ca_cert=made.chain.decode())

    if credentials:
        assert read(url, tls=tls) == "ok"
    else:
        with pytest.raises(Unreachable, match="407"):
            read(url, tls=tls)

    assert proxy.seen[0][0] == f"CONNECT localhost:{server.server_port}"


@pytest.mark.parametrize("address", ["socks5://127.0.0.1:1080", "http://127.0.0.1:x"])
def test_proxy_of_another_kind_is_refused_with_what_to_set(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("http_proxy", address)

    with pytest.raises(ConfigurationError, match="NO_PROXY"):
        read("http://forebay.invalid/api")


def test_user_and_password_of_the_address_are_sent(servers: list[Server]) -> None:
    address = urlsplit(servers[0].url)

    read(f"http://user:p%40ss@{address.netloc}/api")

    assert servers[0].seen[0][1]["authorization"] == "Basic dXNlcjpwQHNz"


def test_address_with_letters_beyond_ascii_is_escaped(servers: list[Server]) -> None:
    read(f"http://127.0.0.1:{servers[0].server_port}/größe/api")

    assert servers[0].seen[0][0] == "GET /gr%C3%B6%C3%9Fe/api/admin/version"
