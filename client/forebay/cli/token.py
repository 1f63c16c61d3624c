"""`forebay token`."""

from typing import TYPE_CHECKING, Annotated

import typer

from forebay.cli.failures import advice
from forebay.cli.output import (
    Output,
    OutputOption,
    print_json,
    print_table,
    say,
)
from forebay.cli.session import checked, confirm, connect
from forebay.errors import NotFound

if TYPE_CHECKING:
    from forebay.client import Client
    from forebay.wire.tokens import Token

app = typer.Typer(no_args_is_help=True)

SEE_TOKENS = "`forebay token ls` lists the tokens."
TokenName = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of the token.", show_default=False)
]
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _seconds(text: str | None) -> int | None:
    if text is None:
        return None
    number, unit = text[:-1], text[-1:]
    if not number.isdecimal() or unit not in _SECONDS:
        raise typer.BadParameter(f"{text!r} is no time such as 30m, 12h or 90d.")
    return int(number) * _SECONDS[unit]


@app.command()
def create(
    name: TokenName,
    role: Annotated[
        str,
        typer.Option(help="What its holder may do."),
    ] = "read",
    pool: Annotated[
        str | None, typer.Option(help="The work pool of a worker's token.", show_default=False)
    ] = None,
    expires_in: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Such as 30m, 12h or 90d; never if left out.", show_default=False
        ),
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Make a token and print it; it is never shown again.

    `read` looks, `operator` changes pools, deployments and runs, `worker` does a worker's work in
    one pool, `admin` does everything.
    """
    from forebay.calls import tokens
    from forebay.wire.tokens import TokenCreate

    if role == "worker" and pool is None:
        raise typer.BadParameter("a worker's token is for one pool; add --pool NAME.")
    if role != "worker" and pool is not None:
        raise typer.BadParameter("--pool goes with --role worker only.")
    body = checked(
        TokenCreate,
        name=name,
        role=role,
        work_pool_name=pool,
        lifetime_seconds=_seconds(expires_in),
    )
    with connect() as client:
        made = client.send(tokens.create(body))
    if output is Output.JSON:
        print_json(made)
        return
    say(f"Made the token {name!r}. It is shown this once:", output)
    typer.echo(made.token)


@app.command()
def ls(output: OutputOption = Output.TEXT) -> None:
    """List the tokens by name, without what they are."""
    from forebay.calls import tokens

    with connect() as client:
        found = client.send(tokens.list_all())
    if output is Output.JSON:
        print_json(found)
        return
    rows = [
        [
            token.name,
            token.role.value,
            token.work_pool_name or "",
            _time(token.expires_at, "never"),
            _time(token.last_used_at, "not yet"),
        ]
        for token in found
    ]
    nothing = "No tokens. Make one: forebay token create NAME --role read"
    print_table(["Name", "Role", "Work pool", "Expires", "Last used"], rows, nothing)


@app.command()
def revoke(
    name: TokenName,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Delete a token: nobody gets in with it any more."""
    from forebay.calls import tokens

    with connect() as client, advice(NotFound, SEE_TOKENS):
        found = _named(client, name)
        confirm(f"Revoke the token {name!r}?", yes)
        client.send(tokens.revoke(found.id))
    say(f"Revoked the token {name!r}.", output)
    if output is Output.JSON:
        print_json(found)


def _named(client: "Client", name: str) -> "Token":
    from forebay.calls import tokens

    for token in client.send(tokens.list_all()):
        if token.name == name:
            return token
    raise NotFound(f"There is no token {name!r}.")


def _time(at: object, otherwise: str) -> str:
    return otherwise if at is None else f"{at:%Y-%m-%d %H:%M} UTC"
