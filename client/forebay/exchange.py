"""One call as a series of requests and pauses: retries and CSRF tokens. Sends nothing itself."""

import base64
import json
import random
import time
import uuid
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeVar

from forebay import answers
from forebay.answers import Answer, NoAnswer
from forebay.calls import KEY_HEADER, Call
from forebay.errors import Unreachable
from forebay.settings import ClientSettings

T = TypeVar("T")

# With these a server says that it did nothing, so that anything may be sent again.
NOTHING_WAS_DONE = frozenset({429, 503})
WRITES = frozenset({"POST", "PATCH", "PUT", "DELETE"})
MIN_TIMEOUT_SECONDS = 0.1


@dataclass(frozen=True)
class Ask:
    """Send this request; the answer to it is a response, or the error instead of one."""

    method: str
    url: str
    headers: list[tuple[bytes, bytes]]
    content: bytes | None
    timeout: float


@dataclass(frozen=True)
class Pause:
    """Let time pass."""

    seconds: float


Step = Ask | Pause
Outcome = Answer | NoAnswer | None


class Exchanger:
    """What both clients share: headers, the schedule of tries and the CSRF token."""

    def __init__(self, settings: ClientSettings, user_agent: str) -> None:
        self.settings = settings
        self.headers = {
            **settings.headers,
            "accept": "application/json",
            "user-agent": user_agent,
        }
        if settings.api_key:
            self.headers["authorization"] = f"Bearer {settings.api_key}"
        elif settings.basic_auth:
            encoded = base64.b64encode(settings.basic_auth.encode()).decode()
            self.headers["authorization"] = f"Basic {encoded}"
        self._csrf_headers: dict[str, str] = {}
        self._uses_csrf = settings.csrf == "on"

    def exchange(self, call: Call[T]) -> Generator[Step, Outcome, T]:
        """The steps of a call, in order; its answer is what the generator returns.

        Raises `ApiError` by status, `Unreachable`, or `ForebayError` for what is no answer.
        """
        is_write = call.method in WRITES
        if is_write and self._uses_csrf and not self._csrf_headers:
            yield from self._read_csrf_token()
        response = yield from self._try(call)
        if is_write and self.settings.csrf != "off" and _refuses_csrf(response):
            yield from self._read_csrf_token()
            response = yield from self._try(call)
        return answers.read(call, response, self.settings.api_url)

    def _try(self, call: Call[Any]) -> Generator[Step, Outcome, Answer]:
        """Send until there is an answer that another try would not change."""
        settings = self.settings
        give_up_at = time.monotonic() + settings.retry_seconds
        timeout = settings.timeout_seconds
        tries = 0
        while True:
            outcome = yield self._request(call, timeout)
            tries += 1
            left = give_up_at - time.monotonic()
            if tries < settings.max_tries and self._is_retried(call, outcome):
                wait = self._wait_seconds(outcome, tries)
                # Who is asked to wait longer than that is not served by asking early.
                if wait + MIN_TIMEOUT_SECONDS < left:
                    yield Pause(wait)
                    timeout = min(settings.timeout_seconds, left - wait)
                    continue
            if isinstance(outcome, Answer):
                return outcome
            raise self._unreachable(outcome) from outcome

    def _is_retried(self, call: Call[Any], outcome: Outcome) -> bool:
        if isinstance(outcome, Answer):
            status = outcome.status
            if status == 409 and KEY_HEADER in call.headers:
                # An earlier try of this creation is being answered still.
                return "retry-after" in outcome.headers
            is_asked = status in self.settings.retried_statuses
            return is_asked and (call.is_repeatable or status in NOTHING_WAS_DONE)
        return call.is_repeatable or (isinstance(outcome, NoAnswer) and not outcome.was_sent)

    def _wait_seconds(self, outcome: Outcome, tries: int) -> float:
        """Full jitter, doubling; at least as long as the server asks."""
        settings = self.settings
        most = min(settings.wait_max_seconds, settings.wait_min_seconds * 2 ** (tries - 1))
        asked = outcome.headers.get("retry-after") if isinstance(outcome, Answer) else None
        return max(random.uniform(0, most), _seconds(asked))

    def _request(self, call: Call[Any], timeout: float) -> Ask:
        headers = dict(call.headers)
        if call.method in WRITES:
            headers |= self._csrf_headers
        content = None
        if call.body is not None:
            headers["content-type"] = "application/json"
            content = json.dumps(call.body, separators=(",", ":")).encode()
        # Names of objects may stand in headers, and they are not always ASCII.
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        return Ask(call.method, self.settings.api_url + call.path, encoded, content, timeout)

    def _read_csrf_token(self) -> Generator[Step, Outcome, None]:
        """Ask for a token; a server that has none needs none (Prefect 3.8.4: 404 or 422)."""
        # Each token has a client of its own: of one client the server knows the last token only,
        # and several may be asked for at once.
        client = str(uuid.uuid4())
        path = f"/csrf-token?client={client}"
        asked = Call("GET", path, _csrf_token, is_repeatable=True)
        response = yield from self._try(asked)
        self._uses_csrf = response.status not in (404, 422)
        if self._uses_csrf:
            self._csrf_headers = {
                "prefect-csrf-client": client,
                "prefect-csrf-token": answers.read(asked, response, self.settings.api_url),
            }

    def _unreachable(self, error: Exception | None) -> Unreachable:
        reason = str(error) or type(error).__name__
        return Unreachable(
            f"No answer from {self.settings.api_url} ({reason}). Start a server with "
            "`forebay server start`, or set FOREBAY_API_URL to the address of one."
        )


def _csrf_token(content: bytes) -> str:
    """The token in an answer. Raises `ValueError`. Source: Prefect 3.8.4."""
    answer = json.loads(content)
    token = answer.get("token") if isinstance(answer, dict) else None
    if not isinstance(token, str):
        raise ValueError("there is no token in it")  # noqa: TRY004  (the reader tells of these)
    return token


def _refuses_csrf(response: Answer) -> bool:
    return response.status == 403 and b"CSRF" in response.content


def _seconds(retry_after: str | None) -> float:
    """What the header asks for; its other form, a date, is not used by these servers."""
    try:
        return float(retry_after or 0)
    except ValueError:
        return 0.0
