"""What the clouds' types share: refusals, patience, and lines that are asked for. Knows no cloud."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TypeVar

from forebay.errors import ForebayError
from forebay_worker.proposals import backoff

T = TypeVar("T")

START_PATIENCE_SECONDS = 60.0  # for a cloud that cannot take a run now


class CloudError(ForebayError):
    """A cloud refused, or did not answer; the text is what it told."""

    def __init__(self, message: str, code: str = "", *, is_passing: bool = False) -> None:
        super().__init__(message)
        self.code = code  # the cloud's own name for what is wrong
        self.is_passing = is_passing  # whether the same request may succeed later


async def patiently(ask: Callable[[], Awaitable[T]], seconds: float = START_PATIENCE_SECONDS) -> T:
    """The answer; a cloud that cannot answer now is asked again for a while."""
    give_up_at = time.monotonic() + seconds
    for pause in backoff():
        try:
            return await ask()
        except CloudError as error:
            if not error.is_passing or time.monotonic() + pause > give_up_at:
                raise
        await asyncio.sleep(pause)
    raise AssertionError("backoff has no end")


class Alarm:
    """A pause that can be cut short."""

    def __init__(self) -> None:
        self._ringing = asyncio.Event()

    def ring(self) -> None:
        """End the pause that is on, or the next one."""
        self._ringing.set()

    async def pause(self, seconds: float) -> None:
        """Return after the time, or as soon as it rings."""
        try:
            async with asyncio.timeout(seconds):
                await self._ringing.wait()
        except TimeoutError:
            return
        self._ringing.clear()


class Stamps:
    """Times of lines that arrive in their order, made distinct.

    Clouds stamp many lines alike. With a time of its own a line that is read again, by this
    worker or by its successor, is known.
    """

    def __init__(self, known: datetime | None) -> None:
        self.known = known  # time of the last line that has been handed on
        self._previous: datetime | None = None

    def new(self, at: datetime) -> datetime | None:
        """The next line's own time; none when the line has been handed on before."""
        own = at
        if self._previous is not None and at <= self._previous:
            own = self._previous + timedelta(microseconds=1)
        self._previous = own
        if self.known is not None and own <= self.known:
            return None
        self.known = own
        return own

    def reread(self) -> None:
        """The next line is the first one again."""
        self._previous = None
