"""`forebay server`: starts the control plane."""

import asyncio
import gc
import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

if TYPE_CHECKING:
    from forebay_server.settings import ServerSettings
    from forebay_server.start import LocalToken

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
    workers: Annotated[
        int, typer.Option(min=1, max=64, help="Processes that serve; more than 1 on PostgreSQL.")
    ] = 1,
) -> None:
    """Start the API; the first start makes the database and an admin token."""
    gc.disable()  # until it serves: what is imported stays, and is searched in vain for garbage
    if no_auth and not _is_loopback(host):
        raise typer.BadParameter("--no-auth works on a loopback address only.")
    settings = read_settings(database_url, no_auth, no_services)
    if workers > 1 and settings.is_sqlite:
        raise typer.BadParameter(
            "--workers needs PostgreSQL (--database-url): one process orders the writers of SQLite."
        )
    listener = _listen(host, port)
    api_url = f"http://{_shown(host)}:{listener.getsockname()[1]}/api"
    with _prepared(settings) as token:
        from forebay_server.processes import serve

        _announce(settings, api_url, token)
        exit_code = serve(settings, listener, workers)
    raise typer.Exit(exit_code)


def read_settings(
    database_url: str | None, no_auth: bool = False, no_services: bool = False
) -> "ServerSettings":
    """The settings of the environment, with those of the command line; a bad one ends it."""
    from pydantic import ValidationError
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    from forebay_server.settings import ServerSettings

    given = {"database_url": database_url} if database_url else {}
    try:
        settings = ServerSettings(
            require_token=not no_auth,
            run_services=not no_services,
            **given,  # type: ignore[arg-type]
        )
        settings.check_database_url()
    except ValidationError as error:
        problem = error.errors()[0]
        setting = "FOREBAY_" + "_".join(map(str, problem["loc"])).upper().removeprefix("FOREBAY_")
        raise typer.BadParameter(f"{setting}: {problem['msg']}.") from None
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        raise typer.BadParameter(
            f"the database URL cannot be used ({error}); write sqlite+aiosqlite:///FILE or "
            "postgresql+asyncpg://USER:PASSWORD@HOST/DATABASE."
        ) from None
    return settings


@contextmanager
def _prepared(settings: "ServerSettings") -> Iterator["LocalToken | None"]:
    """Hold the database, migrated, for the block; ends the command where that cannot be."""
    from sqlalchemy.exc import SQLAlchemyError

    from forebay_server.db.migrate import NewerSchema
    from forebay_server.start import AlreadyServed, lock_sqlite, prepare

    lock = None
    try:
        lock = lock_sqlite(settings)
        token = asyncio.run(prepare(settings))
    except AlreadyServed as error:
        _fail(str(error), EXIT_DATABASE_TAKEN)
    except NewerSchema as error:
        _fail(f"{error}; install a newer Forebay. Nothing was changed.", EXIT_NEWER_SCHEMA)
    except (OSError, SQLAlchemyError) as error:
        url = _hide_password(settings.effective_database_url)
        reason = getattr(error, "orig", None) or error
        _fail(f"the database {url} cannot be opened: {reason}", 1)
    yield token
    if lock:
        lock.close()


def _announce(settings: "ServerSettings", api_url: str, token: "LocalToken | None") -> None:
    from forebay_server.start import write_profile

    path = write_profile(settings.home, api_url, token.text) if token else None
    typer.echo(f"Forebay serves {api_url}")
    typer.echo(f"Database: {_hide_password(settings.effective_database_url)}")
    if not settings.require_token:
        typer.echo("No authentication: anybody on this machine may do anything (--no-auth).")
    if token and token.is_new:
        typer.echo(f"Admin token: {token.text}")
        typer.echo(f"It is stored only as a hash; clients on this machine read it from {path}.")
    if settings.sqlite_synchronous != "FULL":
        typer.echo("SQLite synchronous=NORMAL: may lose the last writes on power loss.")


def _fail(reason: str, exit_code: int) -> NoReturn:
    typer.echo(f"Error: {reason}", err=True)
    raise typer.Exit(exit_code)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        _fail(
            f"cannot listen on {host}:{port} ({error.strerror or error}); "
            "choose another with --port, or end what listens there.",
            1,
        )
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
