"""`forebay variable`."""

import shlex
from typing import Annotated, Any

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
from forebay.cli.session import checked, confirm, connect, every, json_or_text
from forebay.errors import NotFound

app = typer.Typer(no_args_is_help=True)

SEE_VARIABLES = "`forebay variable ls` lists the variables."
VariableName = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of the variable.", show_default=False)
]


@app.command()
def ls(output: OutputOption = Output.TEXT) -> None:
    """List the variables by name."""
    from forebay.calls import variables

    with connect() as client:
        found = list(every(client, variables.filter))
    if output is Output.JSON:
        print_json(found)
        return
    rows = [[item.name, _text(item.value), ", ".join(item.tags)] for item in found]
    nothing = "No variables. Make one: forebay variable set NAME VALUE"
    print_table(["Name", "Value", "Tags"], rows, nothing)


@app.command()
@app.command("get", hidden=True)
def inspect(name: VariableName, output: OutputOption = Output.TEXT) -> None:
    """Show one variable."""
    from forebay.calls import variables

    with connect() as client, advice(NotFound, SEE_VARIABLES):
        found = client.send(variables.read_by_name(name))
    if output is Output.JSON:
        print_json(found)
        return
    print_fields(
        [
            ("Name", found.name),
            ("Value", _text(found.value)),
            ("Tags", ", ".join(found.tags)),
            ("Id", found.id),
            ("Created", found.created),
            ("Updated", found.updated),
        ]
    )


@app.command("set")
def set_(
    name: VariableName,
    value: Annotated[
        str, typer.Argument(metavar="VALUE", help="JSON or text.", show_default=False)
    ],
    tag: Annotated[
        list[str] | None, typer.Option("--tag", help="May be given several times.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Change the variable if it exists.")
    ] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Make a variable, or change one with --overwrite."""
    from forebay.calls import variables
    from forebay.errors import Conflict
    from forebay.wire.variables import VariableCreate, VariableUpdate

    given: dict[str, Any] = {"value": json_or_text(value)} | ({"tags": tag} if tag else {})
    body = checked(VariableCreate, name=name, **given)
    changing = f"`forebay variable set {shlex.quote(name)} VALUE --overwrite` changes it."
    with connect() as client:
        try:
            with advice(Conflict, changing):
                client.send(variables.create(body))
        except Conflict:
            if not overwrite:
                raise
            client.send(variables.update_by_name(name, checked(VariableUpdate, **given)))
        say(f"Set the variable {name!r}.", output)
        if output is Output.JSON:
            print_json(client.send(variables.read_by_name(name)))


@app.command()
@app.command("unset", hidden=True)
def delete(
    name: VariableName,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Delete a variable."""
    from forebay.calls import variables

    with connect() as client, advice(NotFound, SEE_VARIABLES):
        found = client.send(variables.read_by_name(name))
        confirm(f"Delete the variable {name!r}?", yes)
        client.send(variables.delete_by_name(name))
    say(f"Deleted the variable {name!r}.", output)
    if output is Output.JSON:
        print_json(found)


def _text(value: Any) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
