"""`forebay deploy`: makes the deployments that a file declares."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forebay.cli.failures import advice
from forebay.cli.named import SEE_POOLS, default_pool
from forebay.cli.output import Output, OutputOption, print_json, say
from forebay.cli.session import connect
from forebay.errors import ConfigurationError, NotFound

if TYPE_CHECKING:
    from collections.abc import Mapping

    from forebay.client import Client
    from forebay.deploying import Registration
    from forebay.deployment_files import Declaration

app = typer.Typer()


@app.command()
def deploy(
    name: Annotated[
        list[str] | None,
        typer.Option("--name", "-n", help="Only this one; may have * and be given several times."),
    ] = None,
    all: Annotated[bool, typer.Option("--all", help="Every deployment of the file.")] = False,
    file: Annotated[
        Path | None,
        typer.Option(
            "--file",
            "-f",
            "--prefect-file",
            help="Default: forebay.yaml or prefect.yaml in this folder.",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show what would be sent; run no step, change nothing."),
    ] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Make the deployments that forebay.yaml or prefect.yaml declares, or replace them.

    Build and push steps run first, and everything is checked before anything is sent.
    """
    from forebay import build_steps, deploying, deployment_files

    path = (file or deployment_files.find_file(Path.cwd())).resolve()
    declared = deployment_files.chosen(deployment_files.read_file(path), name or [], all)
    for declaration in declared:
        build_steps.check((*declaration.build, *declaration.push))
    with connect() as client, advice(NotFound, SEE_POOLS):
        outputs: dict[tuple[Any, ...], Mapping[str, Any]] = {}
        ready = []
        for declaration in declared:
            gave: Mapping[str, Any] = {}
            if not dry_run:
                # Steps that several deployments share are the file's, and run once.
                key = tuple(map(id, (*declaration.build, *declaration.push)))
                if key not in outputs:
                    outputs[key] = _run_steps(client, declaration, path.parent)
                gave = outputs[key]
            ready.append(_prepare(client, declaration, gave, path.parent, dry_run))
        if dry_run:
            _show(ready, output)
            return
        made = [deploying.register(client, registration) for registration in ready]
    for flow, deployment in made:
        full = f"{flow.name}/{deployment.name}"
        say(f"Deployed {full!r}. Run it: forebay deployment run {shlex.quote(full)}", output)
    if output is Output.JSON:
        print_json([deployment for _, deployment in made])


def _run_steps(client: "Client", declaration: "Declaration", folder: Path) -> dict[str, Any]:
    from forebay import build_steps
    from forebay.deployment_files import filled

    def fill(value: Any, outputs: "Mapping[str, Any]") -> Any:
        return filled(value, outputs, lambda name: _variable(client, name))

    steps = (*declaration.build, *declaration.push)
    return build_steps.run(steps, {}, fill, folder)


def _prepare(
    client: "Client",
    declaration: "Declaration",
    outputs: "Mapping[str, Any]",
    folder: Path,
    is_lenient: bool,
) -> "Registration":
    from forebay.deploying import prepare
    from forebay.deployment_files import checked_entry, filled

    values = filled(
        dict(declaration.values),
        outputs,
        lambda name: _variable(client, name),
        is_lenient=is_lenient,
    )
    entry = checked_entry(declaration, values)
    pool = entry.work_pool.name or default_pool()
    if pool is None:
        raise ConfigurationError(
            f"The deployment {entry.name!r} names no work_pool.name, and no pool is the default. "
            f"{SEE_POOLS}"
        )
    pull = declaration.pull
    return prepare(
        entry.entrypoint,
        entry.name,
        folder,
        flow_name=entry.flow_name,
        schedules=entry.all_schedules(),
        concurrency_limit=entry.concurrency_limit,
        # Variables and blocks in them are read where the steps are run.
        pull_steps=None if pull is None else filled([*pull], outputs, None, is_lenient=True),
        description=entry.description,
        version=entry.version,
        tags=entry.tags,
        parameters=entry.parameters,
        enforce_parameter_schema=entry.enforce_parameter_schema,
        paused=entry.paused,
        work_pool_name=pool,
        work_queue_name=entry.work_pool.work_queue_name,
        job_variables=entry.work_pool.job_variables,
    )


def _variable(client: "Client", name: str) -> Any:
    from forebay.calls import variables

    with advice(NotFound, f"`forebay variable set {shlex.quote(name)} VALUE` makes it."):
        return client.send(variables.read_by_name(name)).value


def _show(ready: "list[Registration]", output: Output) -> None:
    from uuid import UUID

    bodies = []
    for registration in ready:
        body = registration.body(UUID(int=0)).model_dump(mode="json", exclude_unset=True)
        del body["flow_id"]
        bodies.append({"flow": registration.flow.name, **body})
    say("This would be sent:", Output.JSON)
    print_json(bodies)
