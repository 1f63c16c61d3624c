"""`forebay server`: starts the control plane."""

import asyncio
import ipaddress
import os
import socket
from typing import Annotated

import typer

app = typer.Typer(help="Run the control plane.", no_args_is_help=True)

EXIT_DATABASE_TAKEN = 3
EXIT_NEWER_SCHEMA = 4


@app.callback()
def _group() -> None:
    """Keeps `start` a command of its own although it is the only one."""


@app.command()
def start(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 4200,
    database_url: Annotated[
        str | None, typer.Option(help="sqlite+aiosqlite:///FILE or postgresql+asyncpg://…")
    ] = None,
    no_auth: Annotated[
        bool, typer.Option("--no-auth", help="Let anybody in; on loopback only.")
    ] = False,
    no_services: Annotated[
        bool, typer.Option("--no-services", help="Start no background loop.")
    ] = False,
) -> None:
    """Start the API; the first start makes the database and an admin token."""
    from forebay_server.db.migrate import NewerSchema
    from forebay_server.settings import ServerSettings
    from forebay_server.start import AlreadyServed, lock_sqlite, prepare, write_profile

    if no_auth and not _is_loopback(host):
        raise typer.BadParameter("--no-auth works on a loopback address only.")
    given = {"database_url": database_url} if database_url else {}
    settings = ServerSettings(
        require_token=not no_auth,
        run_services=not no_services,
        **given,  # type: ignore[arg-type]
    )
    listener = _listen(host, port)
    api_url = f"http://{_shown(host)}:{listener.getsockname()[1]}/api"
    try:
        lock = lock_sqlite(settings)
        token = asyncio.run(prepare(settings))
    except AlreadyServed as error:
        typer.echo(f"Error: {error}", err=True)
        raise typer.Exit(EXIT_DATABASE_TAKEN) from None
    except NewerSchema as error:
        typer.echo(f"Error: {error}; install a newer Forebay. Nothing was changed.", err=True)
        raise typer.Exit(EXIT_NEWER_SCHEMA) from None
    path = write_profile(settings.home, api_url, token.text) if token else None
    typer.echo(f"Forebay serves {api_url}")
    typer.echo(f"Database: {_hide_password(settings.effective_database_url)}")
    if no_auth:
        typer.echo("No authentication: anybody on this machine may do anything (--no-auth).")
    if token and token.is_new:
        typer.echo(f"Admin token: {token.text}")
        typer.echo(f"It is stored only as a hash; clients on this machine read it from {path}.")
    if settings.sqlite_synchronous != "FULL":
        typer.echo("SQLite synchronous=NORMAL: may lose the last writes on power loss.")
    _serve(settings, listener)
    if lock:
        lock.close()


def _serve(settings: "ServerSettings", listener: socket.socket) -> None:  # type: ignore[name-defined]  # noqa: F821
    import uvicorn

    from forebay_server.app import create_app

    config = uvicorn.Config(
        create_app(settings),
        log_level=os.environ.get("FOREBAY_LOG_LEVEL", "warning").lower(),
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=10,
    )
    uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        typer.echo(
            f"Error: cannot listen on {host}:{port} ({error.strerror or error}); "
            "choose another with --port, or end what listens there.",
            err=True,
        )
        raise typer.Exit(1) from None
    listener.listen(2048)
    return listener


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _shown(host: str) -> str:
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, host)
    return f"[{reachable}]" if ":" in reachable and not reachable.startswith("[") else reachable


def _hide_password(url: str) -> str:
    from sqlalchemy.engine import make_url

    return make_url(url).render_as_string(hide_password=True)
