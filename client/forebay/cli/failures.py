"""Turns errors into messages and exit codes: the one place that does. Knows no command."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import IntEnum
from io import TextIOWrapper

from forebay.errors import (
    ApiError,
    ConfigurationError,
    Conflict,
    Forbidden,
    ForebayError,
    Invalid,
    NotFound,
    Unavailable,
    Unreachable,
)

ErrorKinds = type[ForebayError] | tuple[type[ForebayError], ...]

DEBUG_VARIABLE = "FOREBAY_DEBUG"


class ExitCode(IntEnum):
    """What a script may rely on."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4  # the server understood and said no: a name taken, a limit, a state
    UNREACHABLE = 5


class MissingPackage(ForebayError):
    """A group of commands whose extra is not installed."""


class Refused(ForebayError):
    """The command line itself says no: the object's state does not allow what was asked."""


class RunFailed(ForebayError):
    """A run that was waited for did not end COMPLETED."""


CODES: tuple[tuple[type[ForebayError], ExitCode], ...] = (
    (ConfigurationError, ExitCode.USAGE),
    (MissingPackage, ExitCode.USAGE),
    (NotFound, ExitCode.NOT_FOUND),
    (Conflict, ExitCode.REFUSED),
    (Forbidden, ExitCode.REFUSED),
    (Invalid, ExitCode.REFUSED),
    (Refused, ExitCode.REFUSED),
    (Unavailable, ExitCode.UNREACHABLE),
    (Unreachable, ExitCode.UNREACHABLE),
)


def exit_code(error: ForebayError) -> ExitCode:
    """The exit code that tells a script what kind of error it was."""
    return next((code for kind, code in CODES if isinstance(error, kind)), ExitCode.FAILED)


def message(error: ForebayError) -> str:
    """The error's text with what to try next."""
    text = str(error)
    if isinstance(error, ApiError) and error.status >= 500:
        text += " Look at the server's output for the cause."
    return "\n".join([text, *getattr(error, "__notes__", [])])


@contextmanager
def advice(kinds: ErrorKinds, text: str) -> Iterator[None]:
    """Add `text`, a next step, to the errors of these kinds that pass through."""
    try:
        yield
    except kinds as error:
        error.add_note(text)
        raise


def run(command: Callable[[], object]) -> None:
    """Run the command line and leave the process with its exit code; never a traceback."""
    if isinstance(sys.stdout, TextIOWrapper):
        # A name that the terminal's character set lacks is no reason to fail.
        sys.stdout.reconfigure(errors="replace")
    try:
        command()
    except ForebayError as error:
        _end(message(error), exit_code(error))
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            raise
        _end(
            f"Something went wrong inside forebay: {type(error).__name__}: {error}\n"
            f"{DEBUG_VARIABLE}=1 shows where.",
            ExitCode.FAILED,
        )


def _end(text: str, code: ExitCode) -> None:
    print(f"Error: {text}", file=sys.stderr)  # noqa: T201 - typer may not be imported yet
    sys.exit(code)
