"""`forebay deployment schedule`."""

from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from forebay.cli.failures import advice
from forebay.cli.named import DeploymentName, read_deployment
from forebay.cli.output import Output, OutputOption, print_json, print_table, say
from forebay.cli.session import checked, confirm, connect, every
from forebay.errors import NotFound

if TYPE_CHECKING:
    from forebay.client import Client
    from forebay.wire.deployments import Deployment
    from forebay.wire.schedules import DeploymentSchedule

app = typer.Typer(help="When a deployment runs by itself.", no_args_is_help=True)

SEE_SCHEDULES = "`forebay deployment schedule ls FLOW/DEPLOYMENT` lists the schedules."
ScheduleId = Annotated[
    UUID, typer.Argument(metavar="ID", help="Id of the schedule.", show_default=False)
]

OptionalName = Annotated[
    str | None,
    typer.Argument(metavar="NAME", help="FLOW/DEPLOYMENT, or its id.", show_default=False),
]
OptionalId = Annotated[
    UUID | None,
    typer.Argument(metavar="ID", help="Needed where there are several.", show_default=False),
]
All = Annotated[bool, typer.Option("--all", help="The schedules of every deployment.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", "--accept-yes", help="Do not ask.")]


@app.command()
def create(
    name: DeploymentName,
    cron: Annotated[
        str | None, typer.Option(help="Five fields, such as '0 6 * * *', or @daily.")
    ] = None,
    interval: Annotated[
        float | None, typer.Option(min=0, metavar="SECONDS", help="Seconds between two runs.")
    ] = None,
    rrule: Annotated[str | None, typer.Option(help="Recurrence rule of RFC 5545.")] = None,
    anchor_date: Annotated[
        str | None, typer.Option(metavar="TIME", help="From when an interval counts.")
    ] = None,
    day_or: Annotated[
        bool,
        typer.Option(
            "--day-or/--no-day-or",
            "--day_or/--no-day_or",
            help="Whether cron's day of month or of week is enough.",
        ),
    ] = True,
    timezone: Annotated[str, typer.Option(help="Name of the time zone.")] = "UTC",
    active: Annotated[bool, typer.Option(help="Whether runs are made of it.")] = True,
    slug: Annotated[str | None, typer.Option(help="Name, unique in the deployment.")] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Delete the deployment's other schedules.")
    ] = False,
    yes: Yes = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Add a schedule: give one of --cron, --interval and --rrule."""
    from forebay.calls import deployments
    from forebay.wire.schedules import DeploymentScheduleCreate

    kinds = {"cron": cron, "interval": interval, "rrule": rrule}
    schedule: dict[str, Any] = {key: value for key, value in kinds.items() if value is not None}
    if len(schedule) != 1:
        raise typer.BadParameter("give one of --cron, --interval and --rrule.")
    schedule["timezone"] = timezone
    if cron is not None:
        schedule["day_or"] = day_or
    if anchor_date is not None:
        if interval is None:
            raise typer.BadParameter("--anchor-date goes with --interval only.")
        schedule["anchor_date"] = anchor_date
    given = {"schedule": schedule, "active": active} | ({"slug": slug} if slug else {})
    body = checked(DeploymentScheduleCreate, **given)
    with connect() as client:
        deployment = read_deployment(client, name)
        old = deployment.schedules if replace else []
        if old:
            confirm(f"Replace the schedules of {name!r} ({len(old)})?", yes)
        for schedule_ in old:
            client.send(deployments.delete_schedule(deployment.id, schedule_.id))
        [made] = client.send(deployments.create_schedules(deployment.id, [body]))
    say(f"Added the schedule {made.id} to {name!r}.", output)
    if output is Output.JSON:
        print_json(made)


@app.command()
def ls(name: DeploymentName, output: OutputOption = Output.TEXT) -> None:
    """List a deployment's schedules."""
    from forebay.calls import deployments

    with connect() as client:
        found = client.send(deployments.schedules(read_deployment(client, name).id))
    if output is Output.JSON:
        print_json(found)
        return
    rows = [[_describe(item), item.active, item.slug, item.id] for item in found]
    print_table(["Schedule", "Active", "Slug", "Id"], rows, "No schedules.")


@app.command()
def pause(
    name: OptionalName = None,
    id: OptionalId = None,
    all: All = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Make no more runs of a schedule; those that wait already are deleted."""
    _set_active(name, id, all, False, output)


@app.command()
def resume(
    name: OptionalName = None,
    id: OptionalId = None,
    all: All = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Make runs of a schedule again."""
    _set_active(name, id, all, True, output)


@app.command()
def clear(name: DeploymentName, yes: Yes = False, output: OutputOption = Output.TEXT) -> None:
    """Delete all schedules of a deployment with the runs that have not begun."""
    from forebay.calls import deployments

    with connect() as client:
        deployment = read_deployment(client, name)
        confirm(f"Delete all schedules of {name!r} ({len(deployment.schedules)})?", yes)
        for schedule in deployment.schedules:
            client.send(deployments.delete_schedule(deployment.id, schedule.id))
    say(f"Deleted all schedules of {name!r} ({len(deployment.schedules)}).", output)
    if output is Output.JSON:
        print_json(deployment.schedules)


@app.command()
def delete(
    name: DeploymentName,
    id: ScheduleId,
    yes: Yes = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Delete a schedule with the runs that it made and that have not begun."""
    from forebay.calls import deployments

    with connect() as client:
        deployment, schedule = _read(client, name, id)
        confirm(f"Delete the schedule {_describe(schedule)!r} of {name!r}?", yes)
        client.send(deployments.delete_schedule(deployment.id, id))
    say(f"Deleted the schedule {id}.", output)
    if output is Output.JSON:
        print_json(schedule)


def _set_active(
    name: str | None, id: UUID | None, all: bool, active: bool, output: Output
) -> None:
    """Change the schedule; all of the deployment's without its id, those of every one with all."""
    from forebay.calls import deployments
    from forebay.wire.schedules import DeploymentScheduleUpdate

    if (name is None) != all or (all and id is not None):
        raise typer.BadParameter("give the deployment and the id of its schedule, or --all.")
    body = DeploymentScheduleUpdate(active=active)
    with connect() as client:
        if name is None:
            found = [s for d in every(client, deployments.filter) for s in d.schedules]
        elif id is not None:
            found = [_read(client, name, id)[1]]
        else:
            found = read_deployment(client, name).schedules
            if len(found) != 1:
                raise typer.BadParameter(f"{name!r} has {len(found)} schedules. {SEE_SCHEDULES}")
        for schedule in found:
            change = deployments.update_schedule(schedule.deployment_id, schedule.id, body)
            client.send(change)
            say(f"{'Resumed' if active else 'Paused'}: the schedule {schedule.id}.", output)
    if output is Output.JSON:
        changed = [schedule.model_copy(update={"active": active}) for schedule in found]
        print_json(changed if all else changed[0])


def _read(client: "Client", name: str, id: UUID) -> "tuple[Deployment, DeploymentSchedule]":
    deployment = read_deployment(client, name)
    with advice(NotFound, SEE_SCHEDULES):
        for schedule in deployment.schedules:
            if schedule.id == id:
                return deployment, schedule
        raise NotFound(f"{name!r} has no schedule {id}.")


def _describe(item: "DeploymentSchedule") -> str:
    values = item.schedule.model_dump(mode="json")
    if "interval" in values:
        text = f"every {values['interval']:g} s"
    else:
        text = values.get("cron") or values["rrule"]
    return f"{text} ({values['timezone'] or 'UTC'})"
