"""An HTTP API that says what a test wrote for it, however bad that is."""

import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Answer:
    """What the API says to one request; without a status it closes the connection."""

    status: int | None
    body: str
    headers: dict[str, str]
    delay_seconds: float


class ScriptedApi:
    """An HTTP server that gives its answers in order, the last one for ever."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.requests: list[tuple[str, dict[str, str]]] = []  # "METHOD /path", headers
        self.bodies: list[tuple[str, bytes]] = []  # "METHOD /path", what was sent
        self.released = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.api_url = f"http://127.0.0.1:{self.server.server_port}/api"

    def says(
        self,
        status: int | None = 200,
        body: str = '"3.8.4"',
        delay_seconds: float = 0,
        **headers: str,
    ) -> None:
        """Add an answer; underscores in the names of headers are dashes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers.append(Answer(status, body, named, delay_seconds))


def _handler(api: ScriptedApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            api.bodies.append((f"{self.command} {self.path}", body))
            headers = {name.lower(): value for name, value in self.headers.items()}
            api.requests.append((f"{self.command} {self.path}", headers))
            answer = api.answers[min(len(api.requests), len(api.answers)) - 1]
            api.released.wait(answer.delay_seconds)
            if answer.status is None:
                self.close_connection = True
                return
            content = answer.body.encode()
            self.send_response(answer.status)
            for name, value in {**answer.headers, "content-length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_DELETE = answer

        def log_message(self, *_: object) -> None:
            """Say nothing: the tests look at `requests`."""

    return Handler
