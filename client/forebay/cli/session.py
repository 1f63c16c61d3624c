"""What commands share about their surroundings: the connection, questions, input. No output."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from forebay.cli.everywhere import may_ask

if TYPE_CHECKING:
    from pydantic import BaseModel

    from forebay.calls import Call
    from forebay.client import Client

    M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")

PAGE = 200  # the API's largest page
# A person waits in front of the command, so it gives up sooner than a worker does.
MAX_TRIES = 3


def connect() -> "Client":
    """A client of the server that the environment or the profile names."""
    from forebay.client import Client
    from forebay.settings import ClientSettings

    return Client(replace(ClientSettings.load(), max_tries=MAX_TRIES))


def every(client: "Client", page: "Callable[..., Call[list[T]]]", **criteria: Any) -> Iterator[T]:
    """All objects of a filter call, page by page."""
    offset = 0
    while True:
        found = client.send(page(**criteria, limit=PAGE, offset=offset))
        yield from found
        if len(found) < PAGE:
            return
        offset += len(found)


def confirm(question: str, yes: bool) -> None:
    """Go on only when the user agrees; without a terminal only `--yes` is agreement."""
    if yes:
        return
    if not may_ask():
        raise typer.BadParameter("nobody can be asked here; add --yes to go on.")
    typer.confirm(question, abort=True, err=True)


def checked(shape: "type[M]", **values: Any) -> "M":
    """An instance of a wire shape. Raises a usage error that names the field."""
    from pydantic import ValidationError

    from forebay.wire.base import problems

    try:
        return shape(**values)
    except ValidationError as error:
        raise typer.BadParameter(problems(error)) from None


def pairs(texts: Sequence[str], option: str) -> dict[str, Any]:
    """`KEY=VALUE` texts as a dictionary; a value that is JSON is read as JSON."""
    values = {}
    for text in texts:
        key, separator, value = text.partition("=")
        if not separator or not key:
            raise typer.BadParameter(f"{option} takes KEY=VALUE, not {text!r}.")
        values[key] = json_or_text(value)
    return values


def json_or_text(text: str) -> Any:
    """The JSON value that `text` is, else the text itself."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except ValueError:
        return text


def read_object(source: str, option: str) -> dict[str, Any]:
    """The JSON or YAML object in a file; `-` is standard input."""
    try:
        text = sys.stdin.read() if source == "-" else Path(source).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise typer.BadParameter(f"{option}: cannot read {source} ({reason}).") from None
    return parse_object(text, option)


def parse_object(text: str, option: str) -> dict[str, Any]:
    """The JSON or YAML object that `text` is."""
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except ValueError:
        value = _yaml(text, option)
    if not isinstance(value, dict):
        raise typer.BadParameter(f"{option} must be a JSON or YAML object.")
    return value


def _yaml(text: str, option: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        place = getattr(error, "problem_mark", None)
        where = f" (line {place.line + 1}, column {place.column + 1})" if place else ""
        raise typer.BadParameter(f"{option} is neither JSON nor YAML{where}.") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")  # Python's reader would take NaN and Infinity
