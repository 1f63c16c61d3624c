"""`forebay flow`."""

from typing import Annotated

import typer

from forebay.cli.failures import advice
from forebay.cli.named import uuid_or_none
from forebay.cli.output import (
    Output,
    OutputOption,
    print_fields,
    print_json,
    print_table,
)
from forebay.cli.session import PAGE, connect, every
from forebay.errors import NotFound

app = typer.Typer(no_args_is_help=True)

SEE_FLOWS = "`forebay flow ls` lists the flows."


@app.command()
def ls(
    match: Annotated[
        str | None, typer.Option("--match", "-m", help="Only names with this text.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=PAGE, help="How many.")] = 15,
    output: OutputOption = Output.TEXT,
) -> None:
    """List the flows by name."""
    from forebay.calls import flows

    with connect() as client:
        found = client.send(flows.filter(name_part=match, limit=limit))
    if output is Output.JSON:
        print_json(found)
        return
    rows = [[flow.name, ", ".join(flow.tags), flow.id] for flow in found]
    nothing = "No flows. Make one: forebay deployment create FILE.py:FUNCTION --pool POOL"
    print_table(["Name", "Tags", "Id"], rows, nothing)


@app.command()
def inspect(
    name: Annotated[
        str, typer.Argument(metavar="NAME|ID", help="Name or id of the flow.", show_default=False)
    ],
    output: OutputOption = Output.TEXT,
) -> None:
    """Show one flow with its deployments."""
    from forebay.calls import deployments, flows

    id = uuid_or_none(name)
    with connect() as client, advice(NotFound, SEE_FLOWS):
        flow = client.send(flows.read(id) if id else flows.read_by_name(name))
        if output is Output.JSON:
            print_json(flow)
            return
        found = list(every(client, deployments.filter, flow_names=[flow.name]))
    print_fields(
        [
            ("Name", flow.name),
            ("Id", flow.id),
            ("Tags", ", ".join(flow.tags)),
            ("Deployments", ", ".join(deployment.name for deployment in found)),
            ("Created", flow.created),
            ("Updated", flow.updated),
        ]
    )
