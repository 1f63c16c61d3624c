"""How commands show things: tables and fields for people, JSON for programs."""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

# Wide enough that nothing is cut where no terminal says how much fits.
PIPE_WIDTH = 10_000
STYLES = {
    "READY": "green",
    "ONLINE": "green",
    "COMPLETED": "green",
    "RUNNING": "blue",
    "PENDING": "cyan",
    "SCHEDULED": "yellow",
    "NOT_READY": "yellow",
    "PAUSED": "yellow",
    "DRAINING": "yellow",
    "CANCELLING": "magenta",
    "CANCELLED": "magenta",
    "OFFLINE": "red",
    "FAILED": "red",
    "CRASHED": "red",
}


class Output(StrEnum):
    """In what form results are printed."""

    TEXT = "text"
    JSON = "json"


OutputOption = Annotated[
    Output,
    typer.Option("--output", "-o", help="json: the result on stdout, messages on stderr."),
]


def say(text: str, output: Output = Output.TEXT) -> None:
    """A message for people; it never mixes with JSON."""
    typer.echo(text, err=output is Output.JSON)


def print_json(value: Any) -> None:
    """`value` (wire objects, or JSON values) as indented JSON on stdout."""
    # Where the stream cannot carry every character, JSON has a way of its own to write it.
    is_ascii = sys.stdout.encoding.lower().replace("-", "") != "utf8"
    typer.echo(json.dumps(_plain(value), indent=2, ensure_ascii=is_ascii))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], empty: str) -> None:
    """Rows under their headings, or `empty` when there are none."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    if table.row_count:
        _console().print(table)
    else:
        typer.echo(empty)


def print_fields(fields: Iterable[tuple[str, Any]]) -> None:
    """One `name  value` line for each field."""
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in fields:
        table.add_row(name, _cell(value))
    _console().print(table)


def coloured(text: str, state: object) -> str:
    """`text` in bold and in the colour of a state, where somebody sees colours."""
    if os.environ.get("NO_COLOR"):
        return text
    return typer.style(text, fg=STYLES.get(str(state)), bold=True)


def since(moment: datetime | None) -> str:
    """How far `moment` lies from now, in the largest fitting unit."""
    if moment is None:
        return "-"
    seconds = (datetime.now(UTC) - moment).total_seconds()
    size = abs(seconds)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if size >= 2 * length:
            amount = f"{int(size // length)} {unit}"
            break
    else:
        amount = f"{int(size)} s"
    return f"{amount} ago" if seconds >= 0 else f"in {amount}"


def _plain(value: Any) -> Any:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value


def _cell(value: Any) -> Any:
    from rich.text import Text

    if value is None or value == "":
        return Text("-", style="dim")
    if isinstance(value, dict | list):
        return Text(json.dumps(value, indent=2, ensure_ascii=False) if value else "-")
    if isinstance(value, datetime):
        return Text(f"{value.isoformat(sep=' ', timespec='seconds')} ({since(value)})")
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    return Text(str(value), style=STYLES.get(str(value), ""))


def _console() -> "Console":
    from rich.console import Console

    width = None if sys.stdout.isatty() else PIPE_WIDTH
    return Console(width=width, markup=False, highlight=False, emoji=False)
