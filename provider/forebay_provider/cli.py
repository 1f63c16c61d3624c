"""`forebay provider …`: makes the provider known to Terraform. Knows no resource."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from forebay.errors import ConfigurationError
from forebay.settings import home
from forebay_provider import installation

app = typer.Typer(help="Make the provider known to Terraform.", no_args_is_help=True)


class Output(StrEnum):
    """How a result is printed."""

    TEXT = "text"
    JSON = "json"


@app.callback()
def provider() -> None:
    """Make the provider known to Terraform."""


@app.command()
def install(
    dir: Annotated[
        Path | None,
        typer.Option(help="Folder of the mirror.", show_default="$FOREBAY_HOME/terraform"),
    ] = None,
    write_config: Annotated[
        Path | None,
        typer.Option(help="Write Terraform's CLI configuration to this file.", metavar="PATH"),
    ] = None,
    output: Annotated[Output, typer.Option("--output", "-o", help="Form of the result.")] = (
        Output.TEXT
    ),
) -> None:
    """Put the provider into a filesystem mirror, from which `terraform init` takes it.

    Prints the CLI configuration that names the mirror. Running it again changes nothing.
    """
    try:
        done = installation.install(home() / "terraform" if dir is None else dir)
        configuration = installation.cli_configuration(done.mirror)
        if write_config is not None:
            write_config.parent.mkdir(parents=True, exist_ok=True)
            write_config.write_text(configuration, "utf-8")
    except (ConfigurationError, OSError) as error:
        typer.echo(f"The provider was not installed: {error}", err=True)
        raise typer.Exit(1) from None
    if output is Output.JSON:
        typer.echo(
            json.dumps(
                {
                    "mirror": str(done.mirror),
                    "executable": str(done.executable),
                    "version": done.version,
                    "platform": done.platform,
                    "cli_configuration": configuration,
                    "cli_configuration_file": None if write_config is None else str(write_config),
                }
            )
        )
        return
    typer.echo(f"Installed {done.executable}", err=True)
    if done.is_changed:
        typer.echo(
            "It is not the program that was there before: where a .terraform.lock.hcl names it, "
            "delete its block there and run `terraform init`.",
            err=True,
        )
    if write_config is None:
        typer.echo(
            "Put this into ~/.terraformrc, or into a file that TF_CLI_CONFIG_FILE names:\n",
            err=True,
        )
        typer.echo(configuration, nl=False)
    else:
        typer.echo(f"Now: export TF_CLI_CONFIG_FILE={write_config.absolute()}", err=True)
