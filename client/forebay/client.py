"""Sends calls to the API, blocking or async. Knows no endpoint."""

import asyncio
import logging
import threading
import time
from typing import Any, Self, TypeVar

import httpx2 as httpx

from forebay import __version__
from forebay.calls import Call
from forebay.errors import Interrupted
from forebay.exchange import Ask, Exchanger, Outcome
from forebay.settings import ClientSettings

T = TypeVar("T")

log = logging.getLogger(__name__)

USER_AGENT = f"forebay/{__version__}"


class Client:
    """Blocking client; one per thread of use is not needed, it may be shared."""

    def __init__(self, settings: ClientSettings, user_agent: str = USER_AGENT):
        self.settings = settings
        self._exchanger = Exchanger(settings, user_agent)
        self._stopped = threading.Event()
        self._http = httpx.Client(headers=self._exchanger.headers, verify=_verify(settings))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def stop(self) -> None:
        """Begin no further request; what waits for another try ends now. Safe in any thread."""
        self._stopped.set()

    def send(self, call: Call[T]) -> T:
        """The call's answer. Raises `ApiError` by status, `Unreachable` or `Interrupted`."""
        steps = self._exchanger.exchange(call)
        try:
            step = next(steps)
            while True:
                outcome: Outcome = None
                if isinstance(step, Ask):
                    if self._stopped.is_set():
                        raise Interrupted
                    begun = time.perf_counter()
                    try:
                        outcome = self._http.request(**vars(step))
                    except httpx.TransportError as error:
                        outcome = error
                    _tell(call, outcome, begun)
                elif self._stopped.wait(step.seconds):
                    raise Interrupted
                step = steps.send(outcome)
        except StopIteration as end:
            answer: T = end.value
            return answer


class AsyncClient:
    """The same for asyncio."""

    def __init__(self, settings: ClientSettings, user_agent: str = USER_AGENT):
        self.settings = settings
        self._exchanger = Exchanger(settings, user_agent)
        self._http = httpx.AsyncClient(headers=self._exchanger.headers, verify=_verify(settings))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def send(self, call: Call[T]) -> T:
        """The call's answer. Raises `ApiError` by status, or `Unreachable`."""
        steps = self._exchanger.exchange(call)
        try:
            step = next(steps)
            while True:
                outcome: Outcome = None
                if isinstance(step, Ask):
                    try:
                        outcome = await self._http.request(**vars(step))
                    except httpx.TransportError as error:
                        outcome = error
                else:
                    await asyncio.sleep(step.seconds)
                step = steps.send(outcome)
        except StopIteration as end:
            answer: T = end.value
            return answer


def _tell(call: Call[Any], outcome: Outcome, begun: float) -> None:
    """Log what became of a request: no header, no body."""
    about = {
        "ms": round((time.perf_counter() - begun) * 1000, 1),
        "result": outcome.status_code
        if isinstance(outcome, httpx.Response)
        else type(outcome).__name__,
    }
    log.debug("%s %s", call.method, call.path, extra=about)


def _verify(settings: ClientSettings) -> Any:
    """What the HTTP library makes TLS with; False where no TLS is used.

    Reading the system's certificates costs a short-lived process more than its requests, and
    redirects are not followed, so a plain address never leads to TLS.
    """
    if not settings.api_url.startswith("https://"):
        return False
    from forebay.tls import context

    return context(settings.tls)
