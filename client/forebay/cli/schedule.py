"""`forebay deployment schedule`."""

from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from forebay.cli.failures import advice
from forebay.cli.named import DeploymentName, read_deployment
from forebay.cli.output import Output, OutputOption, print_json, print_table, say
from forebay.cli.session import checked, confirm, connect
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
        bool, typer.Option(help="Whether cron's day of month or of week is enough.")
    ] = True,
    timezone: Annotated[str, typer.Option(help="Name of the time zone.")] = "UTC",
    active: Annotated[bool, typer.Option(help="Whether runs are made of it.")] = True,
    slug: Annotated[str | None, typer.Option(help="Name, unique in the deployment.")] = None,
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
def pause(name: DeploymentName, id: ScheduleId, output: OutputOption = Output.TEXT) -> None:
    """Make no more runs of a schedule; those that wait already are deleted."""
    _set_active(name, id, False, output)


@app.command()
def resume(name: DeploymentName, id: ScheduleId, output: OutputOption = Output.TEXT) -> None:
    """Make runs of a schedule again."""
    _set_active(name, id, True, output)


@app.command()
def delete(
    name: DeploymentName,
    id: ScheduleId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
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


def _set_active(name: str, id: UUID, active: bool, output: Output) -> None:
    from forebay.calls import deployments
    from forebay.wire.schedules import DeploymentScheduleUpdate

    with connect() as client:
        deployment, _ = _read(client, name, id)
        body = DeploymentScheduleUpdate(active=active)
        client.send(deployments.update_schedule(deployment.id, id, body))
        say(f"{'Resumed' if active else 'Paused'}: the schedule {id}.", output)
        if output is Output.JSON:
            print_json(_read(client, name, id)[1])


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
