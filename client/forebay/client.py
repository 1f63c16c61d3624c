"""Sends calls to the API, blocking or async. Knows no endpoint."""

import asyncio
import logging
import threading
import time
from typing import Any, Self, TypeVar

from forebay import __version__
from forebay.answers import Answer, NoAnswer
from forebay.calls import Call
from forebay.errors import Interrupted
from forebay.exchange import Ask, Exchanger, Outcome
from forebay.settings import ClientSettings
from forebay.transport import Transport

T = TypeVar("T")

log = logging.getLogger(__name__)

USER_AGENT = f"forebay/{__version__}"


class Client:
    """Blocking client; one per thread of use is not needed, it may be shared."""

    def __init__(self, settings: ClientSettings, user_agent: str = USER_AGENT):
        self.settings = settings
        self._exchanger = Exchanger(settings, user_agent)
        self._stopped = threading.Event()
        self._http = Transport(settings, self._exchanger.headers)

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
                        outcome = self._http.send(step)
                    except NoAnswer as error:
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
        # Here, because the library behind it costs those who only block 70 ms of CPU.
        from forebay.async_transport import AsyncTransport

        self._http = AsyncTransport(settings, self._exchanger.headers)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def send(self, call: Call[T]) -> T:
        """The call's answer. Raises `ApiError` by status, or `Unreachable`."""
        steps = self._exchanger.exchange(call)
        try:
            step = next(steps)
            while True:
                outcome: Outcome = None
                if isinstance(step, Ask):
                    try:
                        outcome = await self._http.send(step)
                    except NoAnswer as error:
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
        "result": outcome.status if isinstance(outcome, Answer) else str(outcome),
    }
    log.debug("%s %s", call.method, call.path, extra=about)
