"""Puts the commands together: own ones, and those that installed packages announce."""

import typer


def build() -> typer.Typer:
    """The whole command line."""
    from forebay_server.cli import app as server

    app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)
    app.add_typer(server, name="server")
    return app
