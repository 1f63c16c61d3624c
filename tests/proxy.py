"""An HTTP proxy before a server: counts what passes, and treats it as badly as a test says."""

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import urlsplit

# pass on; refuse with 503 or 403; close the connection before or after the server has done its work;
# do the work twice and pass on the second answer; pass on after a while.
Treatment = Literal["pass", "refuse", "forbid", "lose", "drop", "double", "delay"]

HOP_BY_HOP = {"connection", "content-length", "host", "keep-alive", "transfer-encoding"}
DELAY_SECONDS = 0.3


class Proxy:
    """Passes requests on to `upstream`, each treated as `treat` says of its number and line."""

    def __init__(self, upstream: str, treat: Callable[[int, str], Treatment]) -> None:
        self.requests: list[str] = []  # "METHOD /path" in order
        self.treat = treat
        parts = urlsplit(upstream)
        self.upstream = (parts.hostname or "", parts.port or 80)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}{parts.path}"
        self.is_closed = threading.Event()

    def serve(self) -> None:
        """Serve until `close`."""
        self._server.serve_forever(0.01)

    def close(self) -> None:
        """End, and let nobody wait any longer."""
        self.is_closed.set()
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def proxied(
    upstream: str, treat: Callable[[int, str], Treatment] = lambda number, line: "pass"
) -> Iterator[Proxy]:
    """A proxy before `upstream` while the block runs."""
    proxy = Proxy(upstream, treat)
    threading.Thread(target=proxy.serve, daemon=True).start()
    try:
        yield proxy
    finally:
        proxy.close()


def _handler(proxy: Proxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            length = int(self.headers.get("content-length", 0))
            body = self.rfile.read(length)
            if len(body) < length:  # its sender has ended within it
                self.close_connection = True
                return
            line = f"{self.command} {self.path}"
            proxy.requests.append(line)
            treatment = proxy.treat(len(proxy.requests), line)
            if treatment == "lose":
                self.close_connection = True
                return
            if treatment == "refuse":
                self.reply(503, [("Retry-After", "0")], b'{"detail": "busy"}')
                return
            if treatment == "forbid":
                self.reply(403, [], b'{"detail": "not yours"}')
                return
            answer = self.forward(body)
            if treatment == "double":
                answer = self.forward(body)
            if treatment == "delay":
                proxy.is_closed.wait(DELAY_SECONDS)
            if treatment == "drop":
                self.close_connection = True
                return
            self.reply(*answer)

        def forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
            upstream = http.client.HTTPConnection(*proxy.upstream, timeout=60)
            headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP}
            try:
                upstream.request(self.command, self.path, body or None, headers)
                response = upstream.getresponse()
                kept = [(k, v) for k, v in response.getheaders() if k.lower() not in HOP_BY_HOP]
                return response.status, kept, response.read()
            finally:
                upstream.close()

        def reply(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
            with suppress(OSError):  # whoever asked may be gone
                self.send_response_only(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = answer

        def log_message(self, *_: object) -> None:
            """Say nothing: the tests look at `requests`."""

    return Handler
