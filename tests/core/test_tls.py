"""https with the authorities and the identity that the settings name."""

import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from forebay.calls import Call, call
from forebay.client import Client
from forebay.errors import ConfigurationError, Unreachable
from forebay.settings import ClientSettings, Tls
from forebay_provider import certificate

READ: Call[str] = call("GET", "/admin/version", str)


class Handler(BaseHTTPRequestHandler):
    """Answers with the name that the client's certificate bears, if it showed one."""

    def do_GET(self) -> None:
        shown = self.connection.getpeercert()  # type: ignore[attr-defined]
        content = b'"known"' if shown else b'"unknown"'
        self.send_response(200)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def pem(tmp_path: Path) -> Path:
    """A certificate for localhost with its key, which both sides use."""
    made = certificate.make(time.time())
    path = tmp_path / "identity.pem"
    path.write_bytes(made.key + made.chain)
    (tmp_path / "cert.pem").write_bytes(made.chain)
    (tmp_path / "key.pem").write_bytes(made.key)
    return path


@pytest.fixture
def url(pem: Path) -> Iterator[str]:
    """Address of a server that takes, and does not demand, a client's certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    context.load_verify_locations(pem.with_name("cert.pem"))
    context.verify_mode = ssl.CERT_OPTIONAL
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"https://localhost:{server.server_port}/api"
    server.shutdown()
    server.server_close()


def read(url: str, tls: Tls) -> str:
    with Client(ClientSettings(api_url=url, tls=tls, max_tries=1)) as client:
        return client.send(READ)


def test_unknown_authority_is_not_trusted(url: str) -> None:
    with pytest.raises(Unreachable, match="certificate"):
        read(url, Tls())


@pytest.mark.parametrize("form", ["path", "text"])
def test_named_authority_is_trusted(url: str, pem: Path, form: str) -> None:
    file = pem.with_name("cert.pem")

    assert read(url, Tls(ca_cert=str(file) if form == "path" else file.read_text())) == "unknown"


def test_any_certificate_is_taken_where_that_is_asked_for(url: str) -> None:
    assert read(url, Tls(is_verified=False)) == "unknown"


@pytest.mark.parametrize("form", ["path", "text"])
def test_client_shows_its_certificate(url: str, pem: Path, form: str) -> None:
    files = [pem.with_name("cert.pem"), pem.with_name("key.pem")]
    certificate, key = (str(f) if form == "path" else f.read_text() for f in files)
    tls = Tls(is_verified=False, client_cert=certificate, client_key=key)

    assert read(url, tls) == "known"


@pytest.mark.parametrize(
    "tls",
    [
        Tls(ca_cert="/nowhere/ca.pem"),
        Tls(ca_cert="-----BEGIN nonsense"),
        Tls(client_cert="/nowhere/cert.pem"),
    ],
)
def test_certificate_without_use_is_an_error_of_the_settings(tls: Tls) -> None:
    with pytest.raises(ConfigurationError, match="certificate or key cannot be used"):
        read("https://localhost:9/api", tls)
