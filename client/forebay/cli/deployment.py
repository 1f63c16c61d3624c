"""`forebay deployment`."""

import shlex
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID, uuid4

import typer

from forebay.cli.failures import advice
from forebay.cli.named import SEE_POOLS, DeploymentName, read_deployment
from forebay.cli.output import (
    Output,
    OutputOption,
    print_fields,
    print_json,
    print_table,
    say,
)
from forebay.cli.schedule import app as schedule_app
from forebay.cli.session import (
    PAGE,
    checked,
    confirm,
    connect,
    every,
    pairs,
    parse_object,
    read_object,
)
from forebay.errors import Conflict, Invalid, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable

    from forebay.client import Client
    from forebay.wire.states import StateCreate

app = typer.Typer(no_args_is_help=True)
app.add_typer(schedule_app, name="schedule")

JobVariables = Annotated[
    list[str] | None,
    typer.Option("--job-variable", "-jv", metavar="KEY=VALUE", help="For the pool's template."),
]
Tags = Annotated[list[str] | None, typer.Option("--tag", help="May be given several times.")]


@app.command()
def create(
    entrypoint: Annotated[
        str, typer.Argument(metavar="FILE.py:FUNCTION", help="What to run.", show_default=False)
    ],
    pool: Annotated[
        str | None, typer.Option("--pool", "-p", help="Pool whose workers run it.")
    ] = None,
    name: Annotated[
        str, typer.Option("--name", "-n", help="Name, unique in the flow.")
    ] = "default",
    flow_name: Annotated[
        str | None, typer.Option(help="Default: the function's name with dashes.")
    ] = None,
    work_queue: Annotated[
        str | None, typer.Option("--work-queue", "-q", help="Made if the pool has none such.")
    ] = None,
    param_default: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Parameter of runs that give none; JSON or text."),
    ] = None,
    job_variable: JobVariables = None,
    tag: Tags = None,
    description: Annotated[
        str | None, typer.Option(help="Default: the function's docstring.")
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Register a Python function so that it can be run; one of the same name is replaced."""
    from pathlib import Path

    from forebay.deploying import prepare, register

    registration = prepare(
        entrypoint,
        name,
        Path.cwd(),
        flow_name=flow_name,
        work_pool_name=pool,
        work_queue_name=work_queue,
        parameters=pairs(param_default or [], "--param-default"),
        job_variables=pairs(job_variable or [], "--job-variable"),
        enforce_parameter_schema=True,
        tags=tag or [],
        description=description,
    )
    with connect() as client, advice(NotFound, SEE_POOLS):
        flow, deployment = register(client, registration)
    if output is Output.JSON:
        print_json(deployment)
    full_name = f"{flow.name}/{deployment.name}"
    say(
        f"Registered {full_name!r}. Run it: forebay deployment run {shlex.quote(full_name)}",
        output,
    )


@app.command()
def run(
    name: DeploymentName,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", metavar="KEY=VALUE", help="Parameter; JSON or text."),
    ] = None,
    params: Annotated[
        str | None, typer.Option(metavar="JSON", help="Parameters as an object; - is stdin.")
    ] = None,
    job_variable: JobVariables = None,
    tag: Tags = None,
    flow_run_name: Annotated[str | None, typer.Option(help="Default: an invented name.")] = None,
    start_in: Annotated[
        float | None, typer.Option(min=0, metavar="SECONDS", help="Start that much later.")
    ] = None,
    start_at: Annotated[
        datetime | None,
        typer.Option(
            formats=["%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d"],
            metavar="TIME",
            help="Start at that time; without an offset it is local.",
        ),
    ] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Follow the run; fail unless it completes.")
    ] = False,
    watch_interval: Annotated[
        float | None, typer.Option(min=0.1, metavar="SECONDS", help="Look that often.")
    ] = None,
    watch_timeout: Annotated[
        float | None, typer.Option(min=0, metavar="SECONDS", help="Watch no longer than this.")
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Make a run of a deployment; a worker of its pool takes it."""
    from forebay.calls import deployments
    from forebay.wire.flow_runs import DeploymentFlowRunCreate

    if start_in is not None and start_at is not None:
        raise typer.BadParameter("--start-in and --start-at exclude each other.")
    parameters: dict[str, Any] = {}
    if params is not None:
        read = read_object if params == "-" else parse_object
        parameters = read(params, "--params")
    parameters |= pairs(param or [], "--param")
    body = checked(
        DeploymentFlowRunCreate,
        state=_scheduled(start_in or 0, start_at),
        parameters=parameters,
        job_variables=pairs(job_variable or [], "--job-variable") or None,
        tags=tag or [],
        name=flow_run_name,
        # So that the call may be repeated after a lost answer without a second run.
        idempotency_key=str(uuid4()),
    )
    with connect() as client:
        deployment = read_deployment(client, name)
        shown = f"`forebay deployment inspect {shlex.quote(name)}` shows what it takes."
        with advice((Conflict, Invalid), shown):
            flow_run = client.send(deployments.create_flow_run(deployment.id, body))
        say(f"Made the run {flow_run.name!r} ({flow_run.id}).", output)
        if watch:
            from forebay.cli.watching import INTERVAL_SECONDS, watch_run

            watch_run(
                client,
                flow_run.id,
                output,
                timeout_seconds=watch_timeout,
                interval_seconds=watch_interval or INTERVAL_SECONDS,
            )
        elif output is Output.JSON:
            print_json(flow_run)
        else:
            say(f"Follow it: forebay flow-run watch {flow_run.id}")


@app.command()
def ls(
    flow_name: Annotated[
        list[str] | None, typer.Argument(metavar="FLOW…", help="Only these flows.")
    ] = None,
    pool: Annotated[str | None, typer.Option("--pool", "-p", help="Only this pool.")] = None,
    by_created: Annotated[bool, typer.Option("--by-created", help="The newest first.")] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """List the deployments by name."""
    from forebay.calls import deployments

    criteria = {"flow_names": flow_name or None, "pool_names": [pool] if pool else None}
    with connect() as client:
        found = list(every(client, deployments.filter, **criteria))
        if by_created:
            found.sort(key=lambda deployment: deployment.created, reverse=True)
        names = {} if output is Output.JSON else _flow_names(client, {d.flow_id for d in found})
    if output is Output.JSON:
        print_json(found)
        return
    rows = [
        [
            f"{names[item.flow_id]}/{item.name}",
            item.work_pool_name,
            item.work_queue_name,
            item.status,
            item.entrypoint,
            str(item.id),
        ]
        for item in found
    ]
    rows = rows if by_created else sorted(rows)
    print_table(
        ["Name", "Pool", "Queue", "Status", "Entrypoint", "Id"],
        rows,
        "No deployments. Make one: forebay deployment create FILE.py:FUNCTION --pool POOL",
    )


@app.command()
def inspect(name: DeploymentName, output: OutputOption = Output.TEXT) -> None:
    """Show one deployment."""
    from forebay.calls import flows

    with connect() as client:
        deployment = read_deployment(client, name)
        if output is Output.JSON:
            print_json(deployment)
            return
        flow = client.send(flows.read(deployment.flow_id))
    properties = (deployment.parameter_openapi_schema or {}).get("properties", {})
    print_fields(
        [
            ("Name", f"{flow.name}/{deployment.name}"),
            ("Id", deployment.id),
            ("Description", deployment.description),
            ("Pool", deployment.work_pool_name),
            ("Queue", deployment.work_queue_name),
            ("Status", deployment.status),
            ("Paused", deployment.paused),
            ("Folder", deployment.path),
            ("Entrypoint", deployment.entrypoint),
            ("Parameters", ", ".join(properties)),
            ("Parameter defaults", deployment.parameters),
            ("Job variables", deployment.job_variables),
            ("Tags", ", ".join(deployment.tags)),
            ("Schedules", len(deployment.schedules)),
            ("Created", deployment.created),
            ("Updated", deployment.updated),
        ]
    )


@app.command()
def delete(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME|ID", help="FLOW/DEPLOYMENT, or its id.", show_default=False),
    ] = None,
    all: Annotated[bool, typer.Option("--all", help="Every deployment.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Delete a deployment with its schedules; its runs stay."""
    from forebay.calls import deployments

    if (name is None) != all:
        raise typer.BadParameter("give the name of a deployment, or --all.")
    with connect() as client:
        if name is None:
            found = list(every(client, deployments.filter))
            confirm(f"Delete every deployment, {len(found)} in number?", yes)
        else:
            found = [read_deployment(client, name)]
            confirm(f"Delete the deployment {name!r}?", yes)
        for deployment in found:
            client.send(deployments.delete(deployment.id))
    told = f"the deployment {name!r}" if name else f"every deployment ({len(found)})"
    say(f"Deleted {told}.", output)
    if output is Output.JSON:
        print_json(found[0] if name else found)


def _flow_names(client: "Client", ids: "Iterable[UUID]") -> dict[UUID, str]:
    from forebay.calls import flows

    wanted = list(ids)
    names: dict[UUID, str] = {}
    for start in range(0, len(wanted), PAGE):
        page = wanted[start : start + PAGE]
        names |= {flow.id: flow.name for flow in client.send(flows.filter(ids=page))}
    return names


def _scheduled(seconds: float, at: datetime | None) -> "StateCreate":
    from forebay.wire.states import StateCreate, StateDetails, StateType

    try:
        # A time without an offset is taken as local.
        moment = (at.astimezone(UTC) if at else datetime.now(UTC)) + timedelta(seconds=seconds)
    except OverflowError:
        raise typer.BadParameter("the time to start at is out of range.") from None
    return StateCreate(type=StateType.SCHEDULED, state_details=StateDetails(scheduled_time=moment))
