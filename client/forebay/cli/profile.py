"""`forebay profile`: named sets of settings, of which one is active."""

from typing import Annotated

import typer

from forebay.cli.failures import Refused, advice
from forebay.cli.output import Output, OutputOption, print_json, print_table, say
from forebay.cli.profiles_file import (
    SEE_PROFILES,
    Profiles,
    check_new,
    read_profiles,
    shown,
)
from forebay.cli.session import confirm
from forebay.errors import NotFound

app = typer.Typer(no_args_is_help=True)

ProfileName = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of the profile.", show_default=False)
]


@app.command()
def ls(output: OutputOption = Output.TEXT) -> None:
    """List the profiles."""
    file = read_profiles()
    if output is Output.JSON:
        print_json([{"name": name, "active": name == file.in_use()} for name in file.profiles])
        return
    rows = [["*" if name == file.in_use() else " ", name] for name in file.profiles]
    nothing = "No profiles. Make one: forebay profile create NAME"
    print_table(["In use", "Name"], rows, nothing)


@app.command()
def create(
    name: ProfileName,
    source: Annotated[
        str | None, typer.Option("--from", metavar="NAME", help="Copy this profile's settings.")
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Make a profile; `profile use` makes it the active one."""
    file = read_profiles()
    check_new(file, name)
    with advice(NotFound, SEE_PROFILES):
        file.profiles[name] = dict(file.named(source)) if source else {}
    file.save()
    say(f"Made the profile {name!r}. Use it: forebay profile use {name}", output)
    _print_if_json(file, name, output)


@app.command()
def use(name: ProfileName, output: OutputOption = Output.TEXT) -> None:
    """Make a profile the active one."""
    file = read_profiles()
    file.named(name)
    file.active = name
    file.save()
    say(f"The profile {name!r} is active.", output)
    _print_if_json(file, name, output)


@app.command()
def inspect(
    name: Annotated[
        str | None, typer.Argument(metavar="NAME", help="Default: the profile in use.")
    ] = None,
    show_secrets: Annotated[
        bool, typer.Option("--show-secrets/--hide-secrets", help="Tokens and passwords too.")
    ] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show what a profile sets."""
    file = read_profiles()
    chosen = name or file.in_use()
    if chosen is None:
        raise NotFound("No profile is in use. Make one: forebay profile create NAME")
    values = file.named(chosen)
    told = {key: shown(key, value, show_secrets=show_secrets) for key, value in values.items()}
    if output is Output.JSON:
        print_json(told)
    else:
        print_table(["Setting", "Value"], told.items(), f"The profile {chosen!r} sets nothing.")


@app.command()
def delete(
    name: ProfileName,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Delete a profile that is not the active one."""
    file = read_profiles()
    file.named(name)
    if name == file.active:
        raise Refused(f"The profile {name!r} is active; first: forebay profile use OTHER")
    confirm(f"Delete the profile {name!r} with its settings?", yes)
    values = file.profiles.pop(name)
    file.save()
    say(f"Deleted the profile {name!r}.", output)
    if output is Output.JSON:
        print_json({key: shown(key, value) for key, value in values.items()})


@app.command()
def rename(
    name: ProfileName,
    new_name: Annotated[str, typer.Argument(metavar="NEW_NAME", show_default=False)],
    output: OutputOption = Output.TEXT,
) -> None:
    """Give a profile another name; the active one stays active."""
    file = read_profiles()
    file.named(name)
    check_new(file, new_name)
    file.profiles = {
        new_name if key == name else key: values for key, values in file.profiles.items()
    }
    file.active = new_name if file.active == name else file.active
    file.save()
    say(f"Renamed the profile {name!r} to {new_name!r}.", output)
    _print_if_json(file, new_name, output)


def _print_if_json(file: Profiles, name: str, output: Output) -> None:
    if output is Output.JSON:
        values = {key: shown(key, value) for key, value in file.named(name).items()}
        print_json({"name": name, "active": name == file.active, "settings": values})
