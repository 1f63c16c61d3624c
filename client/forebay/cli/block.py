"""`forebay block`."""

import sys
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from forebay.cli.failures import advice
from forebay.cli.named import uuid_or_none
from forebay.cli.output import (
    Output,
    OutputOption,
    print_fields,
    print_json,
    print_table,
    say,
)
from forebay.cli.session import checked, confirm, connect, every, pairs, read_object
from forebay.errors import Conflict, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from forebay.client import Client
    from forebay.wire.blocks import BlockDocument, BlockSchema

app = typer.Typer(no_args_is_help=True)
type_app = typer.Typer(help="What kinds of blocks there are.", no_args_is_help=True)
app.add_typer(type_app, name="type")
app.add_typer(type_app, name="types", hidden=True)

SEE_BLOCKS = "`forebay block ls` lists the blocks."
SEE_TYPES = "`forebay block type ls` lists the types."
BlockName = Annotated[
    str, typer.Argument(metavar="SLUG|ID", help="TYPE/NAME, or the id.", show_default=False)
]
TypeSlug = Annotated[
    str, typer.Argument(metavar="TYPE", help="Slug of the block type.", show_default=False)
]


@app.command()
def ls(
    type: Annotated[str | None, typer.Option("--type", "-t", help="Only this type.")] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """List the blocks by name; secrets are masked."""
    from forebay.calls import blocks

    with connect() as client:
        found = list(every(client, blocks.filter, type_slug=type))
    if output is Output.JSON:
        print_json(found)
        return
    rows = [[_slug(block), block.block_type_name, block.id] for block in found]
    nothing = "No blocks. Make one: forebay block create TYPE --name NAME"
    print_table(["Block", "Type", "Id"], rows, nothing)


@app.command()
def inspect(name: BlockName, output: OutputOption = Output.TEXT) -> None:
    """Show one block; its secrets are masked."""
    with connect() as client:
        block = _read(client, name)
    if output is Output.JSON:
        print_json(block)
        return
    print_fields(
        [
            ("Block", _slug(block)),
            ("Id", block.id),
            *block.data.items(),
            ("Created", block.created),
            ("Updated", block.updated),
        ]
    )


@app.command()
def create(
    type: TypeSlug,
    name: Annotated[
        str, typer.Option("--name", "-n", help="Name, unique in its type.", show_default=False)
    ],
    data: Annotated[
        str | None, typer.Option("--data", metavar="FILE", help="JSON or YAML; - is stdin.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="FIELD=VALUE", help="A field that is no secret."),
    ] = None,
    secret: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD", help="Ask for this field without showing it; else a line of stdin."
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Change what is given if the block exists.")
    ] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Make a block; secrets that it needs and that --data lacks are asked for unseen."""
    from forebay.calls import blocks
    from forebay.wire.blocks import BlockDocumentCreate, BlockDocumentUpdate

    values = read_object(data, "--data") if data is not None else {}
    values |= pairs(set_ or [], "--set")
    with connect() as client, advice(NotFound, SEE_TYPES):
        schema = _schema(client, type)
        old = _find(client, type, name) if overwrite else None
        _refuse_open_secrets(schema, set_ or [])
        required = [] if old else _missing_secrets(schema, values)
        values |= _ask([*(secret or []), *(f for f in required if f not in (secret or []))])
        if old is None:
            body = checked(
                BlockDocumentCreate,
                name=name,
                data=values,
                block_type_id=schema.block_type_id,
                block_schema_id=schema.id,
            )
            with advice(Conflict, "The same command with --overwrite changes it."):
                block = client.send(blocks.create(body))
        else:
            client.send(blocks.update(old.id, checked(BlockDocumentUpdate, data=values)))
            block = client.send(blocks.read(old.id))
    say(f"The block {_slug(block)!r} is there.", output)
    if output is Output.JSON:
        print_json(block)


@app.command()
def delete(
    name: BlockName,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Delete a block; pools and blocks that refer to it lose its values."""
    from forebay.calls import blocks

    with connect() as client:
        block = _read(client, name)
        confirm(f"Delete the block {_slug(block)!r}?", yes)
        client.send(blocks.delete(block.id))
    say(f"Deleted the block {_slug(block)!r}.", output)
    if output is Output.JSON:
        print_json(block)


@type_app.command("ls")
def list_types(output: OutputOption = Output.TEXT) -> None:
    """List the block types by name."""
    from forebay.calls import blocks

    with connect() as client:
        found = list(every(client, blocks.filter_types))
    if output is Output.JSON:
        print_json(found)
        return
    rows = [[item.slug, item.name, item.description, item.id] for item in found]
    print_table(["Slug", "Name", "Description", "Id"], rows, "No block types.")


@type_app.command("inspect")
def inspect_type(type: TypeSlug, output: OutputOption = Output.TEXT) -> None:
    """Show a block type and the fields of its blocks."""
    from forebay.calls import blocks

    with connect() as client, advice(NotFound, SEE_TYPES):
        found = client.send(blocks.read_type(type))
        schema = _schema(client, type)
    if output is Output.JSON:
        print_json({**found.model_dump(mode="json"), "fields": schema.fields})
        return
    say(f"{found.name} ({found.slug})")
    required = schema.fields.get("required") or []
    secrets = _secret_fields(schema)
    rows = [
        [field, about.get("description"), field in required, field in secrets]
        for field, about in schema.fields.get("properties", {}).items()
    ]
    print_table(["Field", "Description", "Required", "Secret"], rows, "It has no fields.")


def _read(client: "Client", name: str) -> "BlockDocument":
    from forebay.calls import blocks

    type, separator, own = name.partition("/")
    id = uuid_or_none(name)
    if id is None and not (separator and type and own):
        raise typer.BadParameter(f"{name!r} is neither TYPE/NAME nor an id. {SEE_BLOCKS}")
    with advice(NotFound, SEE_BLOCKS):
        return client.send(blocks.read(id) if id else blocks.read_by_name(type, own))


def _find(client: "Client", type: str, name: str) -> "BlockDocument | None":
    from forebay.calls import blocks

    try:
        return client.send(blocks.read_by_name(type, name))
    except NotFound:
        return None


def _schema(client: "Client", type: str) -> "BlockSchema":
    """The newest schema of a type."""
    from forebay.calls import blocks

    type_id: UUID = client.send(blocks.read_type(type)).id
    found = client.send(blocks.filter_schemas(type_id))
    if not found:
        raise NotFound(f"The block type {type!r} has no schema, so no block of it can be made.")
    return found[0]


def _secret_fields(schema: "BlockSchema") -> list[str]:
    """Fields of which a secret is the whole or a part; `a.b` and `a.*` are parts of `a`."""
    listed: Iterable[str] = schema.fields.get("secret_fields") or []
    return [path.partition(".")[0] for path in listed]


def _missing_secrets(schema: "BlockSchema", values: "Mapping[str, Any]") -> list[str]:
    required = schema.fields.get("required") or []
    return [f for f in _secret_fields(schema) if f in required and f not in values]


def _refuse_open_secrets(schema: "BlockSchema", assignments: "Iterable[str]") -> None:
    """Other users of a machine see the arguments of its processes."""
    for field in {text.partition("=")[0] for text in assignments} & {*_secret_fields(schema)}:
        raise typer.BadParameter(
            f"--set shows the secret {field!r} to everybody on this machine; "
            f"use --secret {field}, or --data - with the value in it."
        )


def _ask(fields: "Iterable[str]") -> dict[str, str]:
    """A value for each field: typed unseen, or a line of standard input each."""
    found = {}
    for field in fields:
        if sys.stdin.isatty():
            found[field] = typer.prompt(field, hide_input=True, err=True)
        else:
            found[field] = sys.stdin.readline().rstrip("\r\n")
        if not found[field]:
            raise typer.BadParameter(
                f"the secret {field!r} is missing; give it as a line of standard input, or in "
                "the file of --data."
            )
    return found


def _slug(block: "BlockDocument") -> str:
    type = block.block_type.slug if block.block_type else block.block_type_name
    return f"{type}/{block.name}"
