"""Errors of the API as diagnostics: the one place where they become Terraform's.

Knows no endpoint; finds the argument at fault by the name that its attribute has on the wire.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from forebay.errors import ApiError, FieldProblem, ForebayError, Unauthorized, Unreachable
from forebay_provider.framework.declarations import declaration
from forebay_provider.framework.diagnostics import Diagnostic, Failure, Path
from forebay_provider.framework.resource import Incomplete

log = logging.getLogger(__name__)

UNKNOWN_FIELD = "Extra inputs are not permitted"  # Pydantic's words, hence those of any server


@contextmanager
def explained(summary: str, model: type[Any]) -> Iterator[None]:
    """Errors meant for the user become a `Failure` that points into the configuration."""
    try:
        yield
    except Incomplete as error:
        reason = error.reason
        if isinstance(reason, ForebayError):
            reason = Failure(*diagnostics(reason, summary, model))
        raise Incomplete(error.state, reason) from error
    except ForebayError as error:
        raise Failure(*diagnostics(error, summary, model)) from error


def of_any(error: Exception) -> tuple[Diagnostic, ...]:
    """The diagnostics of whatever ended an operation; a fault of ours goes to the log in full."""
    if isinstance(error, Failure):
        return error.diagnostics
    log.debug("internal error", exc_info=error)
    kind = type(error).__name__
    return (
        Diagnostic(
            "Internal error of the forebay provider",
            f"{kind}: {str(error)[:500]}\n\nThis is a fault of the provider, not of the "
            "configuration. TF_LOG_PROVIDER=DEBUG logs where it happened.",
        ),
    )


def diagnostics(error: ForebayError, summary: str, model: type[Any]) -> list[Diagnostic]:
    """One diagnostic per problem that the API named, or one for the error as a whole."""
    if not isinstance(error, ApiError) or not error.problems:
        return [Diagnostic(summary, _sentence(str(error)) + _hint(error))]
    return [_problem(problem, summary, model) for problem in error.problems]


def _problem(problem: FieldProblem, summary: str, model: type[Any]) -> Diagnostic:
    path, rest = _locate(problem.path, model)
    if path and not rest and problem.message == UNKNOWN_FIELD:
        text = f"This server does not know {path[0]}; Forebay's does. Leave it unset here."
        return Diagnostic(summary, text, path)
    where = ".".join(map(str, rest))
    text = f"{where}: {problem.message}" if where else problem.message
    return Diagnostic(summary, _sentence(text), path)


def _locate(path: tuple[str | int, ...], model: type[Any]) -> tuple[Path, Path]:
    """The part of a body's path that is an attribute here, and the part beyond it."""
    # Of several attributes of one field the first is the one that users set.
    by_wire = {a.wire: a for a in reversed(declaration(model).attributes)}
    if not path or path[0] not in by_wire:
        return (), path
    return (by_wire[str(path[0])].name,), path[1:]


def _hint(error: ForebayError) -> str:
    """Where Terraform sets what the client's text says to set in the environment."""
    argument = {Unreachable: "endpoint", Unauthorized: "api_key"}.get(type(error))
    return f" The provider block's {argument} comes before the environment." if argument else ""


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?", ")")) else text + "."
