"""`forebay work-pool`."""

import shlex
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forebay.cli.failures import MissingPackage, Refused, advice
from forebay.cli.output import (
    Output,
    OutputOption,
    print_fields,
    print_json,
    print_table,
    say,
    since,
)
from forebay.cli.session import checked, confirm, connect, every, pairs, read_object
from forebay.errors import Conflict, NotFound

if TYPE_CHECKING:
    from forebay.client import Client
    from forebay.wire.work_pools import WorkPool

app = typer.Typer(no_args_is_help=True)

DEFAULT_TYPE = "process"
SEE_POOLS = "`forebay work-pool ls` lists the pools."
PoolName = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of the pool.", show_default=False)
]
TemplateFile = Annotated[
    str | None,
    typer.Option("--base-job-template", metavar="FILE", help="JSON or YAML; - is stdin."),
]
Limit = Annotated[
    int | None, typer.Option("--concurrency-limit", min=0, help="Most runs at once; 0: none.")
]


@app.command()
def create(
    name: PoolName,
    type: Annotated[
        str | None,
        typer.Option("--type", "-t", help=f"Worker type of the pool. [default: {DEFAULT_TYPE}]"),
    ] = None,
    base_job_template: TemplateFile = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="VARIABLE=VALUE", help="Default of a template variable."),
    ] = None,
    concurrency_limit: Limit = None,
    description: Annotated[str | None, typer.Option(help="What the pool is for.")] = None,
    paused: Annotated[bool | None, typer.Option(help="Whether the pool begins paused.")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Change what is given if the pool exists.")
    ] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Make a pool with its default queue."""
    from forebay.calls import work_pools
    from forebay.wire.work_pools import WorkPoolCreate, WorkPoolUpdate

    given: dict[str, Any] = {
        key: value
        for key, value in {
            "is_paused": paused,
            "concurrency_limit": concurrency_limit,
            "description": description,
        }.items()
        if value is not None
    }
    if base_job_template is not None:
        given["base_job_template"] = read_object(base_job_template, "--base-job-template")
    elif set_:
        given["base_job_template"] = default_template(type or DEFAULT_TYPE)
    if set_:
        set_defaults(given["base_job_template"], pairs(set_, "--set"))
    quoted = shlex.quote(name)
    with connect() as client:
        existing = _find(client, name) if overwrite else None
        if existing is None:
            given.setdefault("base_job_template", default_template(type or DEFAULT_TYPE))
            body = checked(WorkPoolCreate, name=name, type=type or DEFAULT_TYPE, **given)
            with advice(Conflict, f"`forebay work-pool create {quoted} --overwrite` changes it."):
                pool = client.send(work_pools.create(body))
        elif type not in (None, existing.type):
            raise Refused(
                f"The pool {name!r} is of type {existing.type!r}, and a type cannot be changed. "
                f"`forebay work-pool delete {quoted}` makes room for a new pool."
            )
        else:
            client.send(work_pools.update(name, checked(WorkPoolUpdate, **given)))
            pool = client.send(work_pools.read(name))
    say(f"The pool {name!r} is there. Serve it: forebay worker start --pool {quoted}", output)
    if output is Output.JSON:
        print_json(pool)


@app.command()
def ls(
    type: Annotated[str | None, typer.Option("--type", "-t", help="Only this type.")] = None,
    status: Annotated[str | None, typer.Option(help="Only this status, such as READY.")] = None,
    match: Annotated[
        str | None, typer.Option("--match", "-m", help="Only names with this text.")
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Ids and descriptions too.")
    ] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """List the pools by name."""
    from forebay.calls import work_pools

    with connect() as client:
        pools = [
            pool
            for pool in every(client, work_pools.filter)
            if (type is None or pool.type == type)
            and (status is None or pool.status == status.upper().replace(" ", "_"))
            and (match is None or match.lower() in pool.name.lower())
        ]
    if output is Output.JSON:
        print_json(pools)
        return
    columns = ["Name", "Type", "Status", "Slots"] + (["Id", "Description"] if verbose else [])
    rows: list[list[object]] = [
        [pool.name, pool.type, pool.status, _slots(pool)]
        + ([pool.id, pool.description] if verbose else [])
        for pool in pools
    ]
    print_table(columns, rows, "No pools. Make one: forebay work-pool create NAME")


@app.command()
def inspect(
    name: PoolName,
    template_only: Annotated[
        bool, typer.Option("--template-only", help="Only the base job template, as JSON.")
    ] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show one pool with its workers and its base job template."""
    from forebay.calls import work_pools

    with connect() as client, advice(NotFound, SEE_POOLS):
        pool = client.send(work_pools.read(name))
        workers = client.send(work_pools.workers(name)) if output is Output.TEXT else []
    if template_only:
        print_json(pool.base_job_template)
    elif output is Output.JSON:
        print_json(pool)
    else:
        print_fields(
            [
                ("Name", pool.name),
                ("Id", pool.id),
                ("Type", pool.type),
                ("Status", pool.status),
                ("Description", pool.description),
                ("Slots", _slots(pool)),
                ("Workers", ", ".join(f"{w.name} ({w.status})" for w in workers)),
                ("Created", pool.created),
                ("Updated", pool.updated),
                ("Base job template", pool.base_job_template),
            ]
        )


@app.command()
def update(
    name: PoolName,
    base_job_template: TemplateFile = None,
    concurrency_limit: Limit = None,
    description: Annotated[str | None, typer.Option(help="What the pool is for.")] = None,
    paused: Annotated[bool | None, typer.Option(help="Whether runs may be claimed.")] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Change what is given and leave the rest."""
    changes: dict[str, Any] = {}
    if base_job_template is not None:
        changes["base_job_template"] = read_object(base_job_template, "--base-job-template")
    if concurrency_limit is not None:
        changes["concurrency_limit"] = concurrency_limit
    if description is not None:
        changes["description"] = description
    if paused is not None:
        changes["is_paused"] = paused
    if not changes:
        raise typer.BadParameter("nothing to change; give at least one option.")
    _update([name], changes, "Changed", output)


@app.command()
def pause(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME…", help="Pools.")] = None,
    all: Annotated[bool, typer.Option("--all", help="Every pool.")] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Let no run be claimed from the pools; runs that were claimed go on."""
    _update(_named(names, all), {"is_paused": True}, "Paused", output)


@app.command()
def resume(
    names: Annotated[list[str] | None, typer.Argument(metavar="NAME…", help="Pools.")] = None,
    all: Annotated[bool, typer.Option("--all", help="Every pool.")] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Let runs be claimed from the pools again."""
    _update(_named(names, all), {"is_paused": False}, "Resumed", output)


@app.command()
def delete(
    name: PoolName,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also while runs of the pool are active.")
    ] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Delete a pool with its queues; its runs and deployments stay, without a pool."""
    from forebay.calls import deployments, flow_runs, work_pools
    from forebay.wire.states import HOLDING

    with connect() as client, advice(NotFound, SEE_POOLS):
        pool = client.send(work_pools.read(name))
        active = flow_runs.filter(pool_names=[name], state_types=sorted(HOLDING), limit=1)
        if not force and client.send(active):
            quoted = shlex.quote(name)
            raise Refused(
                f"Runs of the pool {name!r} are active: `forebay flow-run ls --pool {quoted}`. "
                "Wait for them or cancel them; --force deletes the pool all the same."
            )
        if not yes:
            left = sum(1 for _ in every(client, deployments.filter, pool_names=[name]))
            lost = f" {left} deployments will be without a pool." if left else ""
            confirm(f"Delete the pool {name!r} with its queues?{lost}", yes)
        client.send(work_pools.delete(name))
    say(f"Deleted the pool {name!r}.", output)
    if output is Output.JSON:
        print_json(pool)


@app.command("set-concurrency-limit")
def set_concurrency_limit(
    name: PoolName,
    limit: Annotated[int, typer.Argument(min=0, max=2**31 - 1, help="Most runs at once.")],
    output: OutputOption = Output.TEXT,
) -> None:
    """Limit how many runs of the pool are active at once."""
    _update([name], {"concurrency_limit": limit}, f"Limited to {limit}", output)


@app.command("clear-concurrency-limit")
def clear_concurrency_limit(name: PoolName, output: OutputOption = Output.TEXT) -> None:
    """Let any number of the pool's runs be active at once."""
    _update([name], {"concurrency_limit": None}, "Without a limit now", output)


@app.command("get-default-base-job-template")
def get_default_base_job_template(
    type: Annotated[str, typer.Option("--type", "-t", help="Worker type.")] = DEFAULT_TYPE,
    file: Annotated[str | None, typer.Option("--file", "-f", help="Write it there.")] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Print the template that a new pool of a type begins with; it is JSON in any form."""
    import json
    from pathlib import Path

    template = default_template(type)
    if file is None or output is Output.JSON:
        print_json(template)
    if file is None:
        return
    try:
        Path(file).write_text(json.dumps(template, indent=2) + "\n", "utf-8")
    except OSError as error:
        raise typer.BadParameter(f"--file: cannot write {file} ({error.strerror}).") from None
    say(f"Wrote {file}.", output)


@app.command()
def preview(
    name: PoolName,
    hours: Annotated[float, typer.Option("--hours", "-h", min=0, help="How far ahead.")] = 1,
    output: OutputOption = Output.TEXT,
) -> None:
    """List the runs that the pool's workers may claim within the next hours."""
    from datetime import UTC, datetime, timedelta

    from forebay.calls import work_pools

    before = datetime.now(UTC) + timedelta(hours=hours)
    with connect() as client, advice(NotFound, SEE_POOLS):
        pool = client.send(work_pools.read(name))
        due = client.send(work_pools.due_runs(name, scheduled_before=before))
    if output is Output.JSON:
        print_json([item.flow_run for item in due])
        return
    rows = [
        [
            since(item.flow_run.next_scheduled_start_time),
            item.flow_run.name,
            item.flow_run.work_queue_name,
            item.flow_run.id,
        ]
        for item in due
    ]
    nothing = "The pool is paused." if pool.is_paused else "No runs that may start."
    print_table(["Starts", "Name", "Queue", "Id"], rows, nothing)


def default_template(type: str) -> dict[str, Any]:
    """The base job template that the installed worker type declares."""
    from importlib.metadata import entry_points

    found = {point.name: point for point in entry_points(group="forebay.worker_types")}
    if type not in found:
        known = ", ".join(sorted(found)) or "none"
        raise typer.BadParameter(
            f"no worker type {type!r} is installed here; installed: {known}. "
            "Give its template with --base-job-template FILE."
        )
    try:
        template = found[type].load().base_job_template()
    except ModuleNotFoundError as error:
        raise MissingPackage(
            f"The worker type {type!r} needs the package {error.name}, which is not installed. "
            "Install it, or give the template with --base-job-template FILE."
        ) from error
    assert isinstance(template, dict)
    return template


def set_defaults(template: dict[str, Any], defaults: dict[str, Any]) -> None:
    """Change the defaults of the template's variables in place."""
    properties = template.get("variables", {}).get("properties", {})
    for name, value in defaults.items():
        if name not in properties:
            known = ", ".join(properties) or "none"
            raise typer.BadParameter(f"--set: no variable {name!r}; the template has: {known}.")
        properties[name]["default"] = value


def _find(client: "Client", name: str) -> "WorkPool | None":
    from forebay.calls import work_pools

    try:
        return client.send(work_pools.read(name))
    except NotFound:
        return None


def _named(names: list[str] | None, all: bool) -> list[str]:
    from forebay.calls import work_pools

    if bool(names) == all:
        raise typer.BadParameter("give names of pools, or --all.")
    if names:
        return names
    with connect() as client:
        return [pool.name for pool in every(client, work_pools.filter)]


def _update(names: list[str], changes: dict[str, Any], done: str, output: Output) -> None:
    """Change each pool and say so; as JSON the changed pools, one alone where one was named."""
    from forebay.calls import work_pools
    from forebay.wire.work_pools import WorkPoolUpdate

    body = checked(WorkPoolUpdate, **changes)
    pools = []
    with connect() as client, advice(NotFound, SEE_POOLS):
        for name in names:
            client.send(work_pools.update(name, body))
            say(f"{done}: the pool {name!r}.", output)
            if output is Output.JSON:
                pools.append(client.send(work_pools.read(name)))
    if output is Output.JSON:
        print_json(pools[0] if len(pools) == 1 else pools)


def _slots(pool: "WorkPool") -> str:
    if pool.concurrency_limit is None:
        return "no limit"
    return f"{pool.active_slots or 0} of {pool.concurrency_limit}"
