"""`forebay config`: settings of the profile in use."""

import os
from typing import Annotated

import typer

from forebay import settings
from forebay.cli.named import DEFAULT_POOL_VARIABLES
from forebay.cli.output import Output, OutputOption, print_json, print_table, say
from forebay.cli.profiles_file import (
    KNOWN,
    check_setting,
    read_profiles,
    set_in_profile,
    shown,
)
from forebay.errors import ConfigurationError

app = typer.Typer(no_args_is_help=True)

DEFAULTS = {settings.API_URL_VARIABLES[0]: settings.DEFAULT_API_URL, "FOREBAY_CSRF": "auto"}


@app.command()
def view(
    show_secrets: Annotated[
        bool, typer.Option("--show-secrets/--hide-secrets", help="Tokens and passwords too.")
    ] = False,
    show_defaults: Annotated[
        bool, typer.Option("--show-defaults", help="Settings that nobody has set too.")
    ] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show the settings in use and where each one comes from."""
    file = read_profiles()
    profile = settings.read_profile(os.environ)
    rows: list[tuple[str, str | None, str]] = []
    for name in KNOWN:
        if os.environ.get(name, "").strip():
            rows.append((name, os.environ[name], "environment"))
        elif name in profile:
            rows.append((name, profile[name], f"profile {file.in_use()}"))
        elif show_defaults:
            rows.append((name, DEFAULTS.get(name), "default"))
    told = [
        (name, None if value is None else shown(name, value, show_secrets=show_secrets), source)
        for name, value, source in rows
    ]
    if output is Output.JSON:
        values = [dict(zip(("name", "value", "source"), row, strict=True)) for row in told]
        print_json({"profile": file.in_use(), "file": str(file.path), "settings": values})
        return
    say(f"Profile: {file.in_use() or '-'} ({file.path})")
    print_table(["Setting", "Value", "From"], told, "Nothing is set; defaults are used.")


@app.command("set")
def set_(
    assignments: Annotated[
        list[str], typer.Argument(metavar="NAME=VALUE…", help="Settings.", show_default=False)
    ],
    output: OutputOption = Output.TEXT,
) -> None:
    """Write settings to the profile in use."""
    values = {}
    for text in assignments:
        name, separator, value = text.partition("=")
        if not separator or not value.strip():
            raise typer.BadParameter(f"a setting is NAME=VALUE, not {text!r}.")
        check_setting(name)
        values[name] = value.strip()
    _check({**settings.read_profile(os.environ), **values})
    file = set_in_profile(values)
    for name in values:
        say(f"Set {name} in the profile {file.in_use()!r}.", output)
        if os.environ.get(name, "").strip():
            say(f"The environment sets {name} too, and is stronger.", Output.JSON)
    if output is Output.JSON:
        print_json({name: shown(name, value) for name, value in values.items()})


@app.command()
def unset(
    names: Annotated[
        list[str], typer.Argument(metavar="NAME…", help="Settings.", show_default=False)
    ],
    output: OutputOption = Output.TEXT,
) -> None:
    """Take settings out of the profile in use."""
    file = read_profiles()
    profile = file.profiles.get(file.in_use() or "", {})
    for name in names:
        if name not in profile:
            raise typer.BadParameter(
                f"the profile {file.in_use()!r} does not set {name!r}. "
                "`forebay config view` shows what it sets."
            )
    for name in set(names):
        del profile[name]
    file.save()
    say(f"Unset {', '.join(names)} in the profile {file.in_use()!r}.", output)
    if output is Output.JSON:
        print_json(sorted(set(names)))


@app.command()
def validate(output: OutputOption = Output.TEXT) -> None:
    """Check the profile in use and the environment; nothing is sent."""
    file = read_profiles()
    profile = settings.read_profile(os.environ)
    loaded = settings.ClientSettings.load()
    if loaded.api_url.startswith("https://"):
        from forebay.tls import context

        context(loaded.tls)
    unknown = sorted(name for name in profile if name not in KNOWN)
    if output is Output.JSON:
        print_json({"api_url": loaded.api_url, "unknown": unknown})
    for name in unknown:
        say(f"Nothing reads {name}, which the profile {file.in_use()!r} sets.", output)
    say(f"The settings are valid; the server is {loaded.api_url}.", output)


def _check(profile: dict[str, str]) -> None:
    """Raise `ConfigurationError` unless a client could be made of the profile alone."""
    url = next((profile[name] for name in settings.API_URL_VARIABLES if name in profile), None)
    alone = {k: v for k, v in profile.items() if k not in DEFAULT_POOL_VARIABLES}
    try:
        settings.ClientSettings.load({**alone, "FOREBAY_PROFILES_PATH": os.devnull}, api_url=url)
    except ConfigurationError as error:
        error.add_note("Nothing was written.")
        raise
