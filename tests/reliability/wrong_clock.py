"""Runs `forebay` with clocks that are wrong, that jump and drift, as on a machine of its own.

`python -m tests.reliability.wrong_clock FIRST DRIFT worker start --pool POOL`; see `wrong`.
"""

import datetime
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

OFFSETS = (86400.0, -3600.0, 3600.0, -86400.0)  # seconds; the wall clock jumps along them
JUMP_EVERY_SECONDS = 5.0

_Datetime = datetime.datetime  # as it is


class _IsDatetime(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _Datetime)


@contextmanager
def wrong(first: int, drift: float) -> Iterator[None]:
    """Clocks of this process are wrong during the block, for what is imported in it.

    The wall clock begins with an offset, the first by its number; both run faster by `drift`.
    """
    true = time.monotonic
    began, began_at = true(), time.time()

    def monotonic() -> float:
        return began + (true() - began) * (1 + drift)

    def wall() -> float:
        passed = monotonic() - began
        jumps = int(passed / JUMP_EVERY_SECONDS)
        return began_at + passed + OFFSETS[(first + jumps) % len(OFFSETS)]

    class Datetime(_Datetime, metaclass=_IsDatetime):
        """The class of times, whose present is the wrong one."""

        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> _Datetime:  # type: ignore[override]
            return _Datetime.fromtimestamp(wall(), tz)

    with ExitStack() as stack:
        stack.enter_context(patch.object(datetime, "datetime", Datetime))
        for name, clock in (("time", wall), ("monotonic", monotonic)):
            stack.enter_context(patch.object(time, name, clock))
        yield


if __name__ == "__main__":
    _, first, drift, *arguments = sys.argv
    sys.argv = ["forebay", *arguments]
    with wrong(int(first), float(drift)):
        from forebay.cli import main

        main()
