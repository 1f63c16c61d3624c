"""`forebay global-concurrency-limit`, in short `forebay gcl`."""

import shlex
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forebay.cli.failures import advice
from forebay.cli.output import (
    Output,
    OutputOption,
    print_fields,
    print_json,
    print_table,
    say,
)
from forebay.cli.session import checked, confirm, connect, every
from forebay.errors import Conflict, NotFound

if TYPE_CHECKING:
    from forebay.wire.concurrency_limits import GlobalConcurrencyLimit

app = typer.Typer(no_args_is_help=True)

SEE_LIMITS = "`forebay gcl ls` lists the limits."
LimitName = Annotated[
    str, typer.Argument(metavar="NAME|ID", help="Name or id of the limit.", show_default=False)
]
Decay = Annotated[
    float | None,
    typer.Option(
        "--slot-decay-per-second", min=0, help="Slots that become free by time; 0: none."
    ),
]


@app.command()
def ls(output: OutputOption = Output.TEXT) -> None:
    """List the limits by name."""
    from forebay.calls import concurrency_limits

    with connect() as client:
        found = list(every(client, concurrency_limits.filter))
    if output is Output.JSON:
        print_json(found)
        return
    rows = [
        [limit.name, _slots(limit), limit.active, limit.slot_decay_per_second, limit.id]
        for limit in found
    ]
    nothing = "No limits. Make one: forebay gcl create NAME --limit 1"
    print_table(["Name", "Slots", "Active", "Decay per s", "Id"], rows, nothing)


@app.command()
def inspect(name: LimitName, output: OutputOption = Output.TEXT) -> None:
    """Show one limit."""
    from forebay.calls import concurrency_limits

    with connect() as client, advice(NotFound, SEE_LIMITS):
        limit = client.send(concurrency_limits.read(name))
    if output is Output.JSON:
        print_json(limit)
        return
    print_fields(
        [
            ("Name", limit.name),
            ("Id", limit.id),
            ("Slots", _slots(limit)),
            ("Active", limit.active),
            ("Decay per second", limit.slot_decay_per_second),
            ("Created", limit.created),
            ("Updated", limit.updated),
        ]
    )


@app.command()
def create(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Unique in the server.", show_default=False)
    ],
    limit: Annotated[
        int,
        typer.Option("--limit", "-l", min=0, max=2**31 - 1, help="Most slots taken at once."),
    ],
    disable: Annotated[bool, typer.Option("--disable", help="Begin inactive.")] = False,
    active_slots: Annotated[
        int, typer.Option(min=0, help="Slots that are taken from the start.")
    ] = 0,
    slot_decay_per_second: Decay = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Make a limit."""
    from forebay.calls import concurrency_limits
    from forebay.wire.concurrency_limits import GlobalConcurrencyLimitCreate

    body = checked(
        GlobalConcurrencyLimitCreate,
        name=name,
        limit=limit,
        active=not disable,
        active_slots=active_slots,
        slot_decay_per_second=slot_decay_per_second or 0.0,
    )
    changing = f"`forebay gcl update {shlex.quote(name)}` changes it."
    with connect() as client, advice(Conflict, changing):
        made = client.send(concurrency_limits.create(body))
    say(f"Made the limit {name!r}.", output)
    if output is Output.JSON:
        print_json(made)


@app.command()
def update(
    name: LimitName,
    limit: Annotated[
        int | None,
        typer.Option("--limit", "-l", min=0, max=2**31 - 1, help="Most slots taken at once."),
    ] = None,
    active: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Whether the limit is kept.")
    ] = None,
    active_slots: Annotated[
        int | None, typer.Option(min=0, help="How many slots are taken.")
    ] = None,
    slot_decay_per_second: Decay = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Change what is given and leave the rest."""
    given = {
        "limit": limit,
        "active": active,
        "active_slots": active_slots,
        "slot_decay_per_second": slot_decay_per_second,
    }
    changes = {key: value for key, value in given.items() if value is not None}
    if not changes:
        raise typer.BadParameter("nothing to change; give at least one option.")
    _update(name, changes, "Changed", output)


@app.command()
def enable(name: LimitName, output: OutputOption = Output.TEXT) -> None:
    """Keep a limit from now on."""
    _update(name, {"active": True}, "Enabled", output)


@app.command()
def disable(name: LimitName, output: OutputOption = Output.TEXT) -> None:
    """Keep a limit no more; what holds its slots goes on."""
    _update(name, {"active": False}, "Disabled", output)


@app.command()
def delete(
    name: LimitName,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Delete a limit; what holds its slots goes on."""
    from forebay.calls import concurrency_limits

    with connect() as client, advice(NotFound, SEE_LIMITS):
        limit = client.send(concurrency_limits.read(name))
        confirm(f"Delete the limit {limit.name!r} ({_slots(limit)} slots taken)?", yes)
        client.send(concurrency_limits.delete(limit.id))
    say(f"Deleted the limit {limit.name!r}.", output)
    if output is Output.JSON:
        print_json(limit)


def _update(name: str, changes: dict[str, Any], done: str, output: Output) -> None:
    from forebay.calls import concurrency_limits
    from forebay.wire.concurrency_limits import GlobalConcurrencyLimitUpdate

    body = checked(GlobalConcurrencyLimitUpdate, **changes)
    with connect() as client, advice(NotFound, SEE_LIMITS):
        client.send(concurrency_limits.update(name, body))
        say(f"{done}: the limit {name!r}.", output)
        if output is Output.JSON:
            print_json(client.send(concurrency_limits.read(name)))


def _slots(limit: "GlobalConcurrencyLimit") -> str:
    return f"{limit.active_slots} of {limit.limit}"
