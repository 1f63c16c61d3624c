"""`forebay work-pool`: making pools and looking at them."""

import shlex
from collections import Counter
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forebay.cli.failures import Refused, advice
from forebay.cli.named import (
    DEFAULT_POOL_VARIABLES,
    SEE_POOLS,
    MaxRescues,
    OnLostOption,
    PoolName,
    TemplateFile,
    pool_or_default,
)
from forebay.cli.output import (
    Output,
    OutputOption,
    print_fields,
    print_json,
    print_table,
    say,
)
from forebay.cli.pool_storage import app as storage_app
from forebay.cli.pool_templates import (
    DEFAULT_TYPE,
    Source,
    ask_type,
    default_template,
    differences,
    with_values,
)
from forebay.cli.session import PAGE, checked, connect, every, pairs, read_object
from forebay.cli.work_pool_changes import app as changes_app
from forebay.errors import Conflict, NotFound

if TYPE_CHECKING:
    from forebay.client import Client
    from forebay.wire.work_pools import WorkPool

app = typer.Typer(no_args_is_help=True)

NO_PROVISIONING = (
    "Provisioning infrastructure is not possible yet. Make it yourself, and give the pool its "
    "credentials with `forebay work-pool update NAME --base-job-template FILE`."
)


@app.command()
def create(
    name: PoolName,
    type: Annotated[
        str | None,
        typer.Option(
            "--type",
            "-t",
            help=f"Worker type of the pool; asked for on a terminal. [default: {DEFAULT_TYPE}]",
        ),
    ] = None,
    base_job_template: TemplateFile = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="VARIABLE=VALUE", help="Default of a template variable."),
    ] = None,
    concurrency_limit: Annotated[
        int | None, typer.Option("--concurrency-limit", min=0, help="Most runs at once; 0: none.")
    ] = None,
    description: Annotated[str | None, typer.Option(help="What the pool is for.")] = None,
    paused: Annotated[bool | None, typer.Option(help="Whether the pool begins paused.")] = None,
    on_lost: OnLostOption = None,
    max_rescues: MaxRescues = None,
    set_as_default: Annotated[
        bool, typer.Option("--set-as-default", help="Mean this pool where none is named.")
    ] = False,
    provision_infra: Annotated[
        bool, typer.Option("--provision-infra", "--provision-infrastructure", hidden=True)
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Change what is given if the pool exists.")
    ] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Make a pool with its default queue."""
    if provision_infra:
        raise Refused(NO_PROVISIONING)
    optional = {
        "is_paused": paused,
        "concurrency_limit": concurrency_limit,
        "description": description,
        "on_lost": on_lost,
        "max_rescues": max_rescues,
    }
    given: dict[str, Any] = {key: value for key, value in optional.items() if value is not None}
    if base_job_template is not None:
        given["base_job_template"] = read_object(base_job_template, "--base-job-template")
    with connect() as client:
        existing = _find(client, name) if overwrite else None
        if existing is not None:
            pool = _overwrite(client, existing, type, given, pairs(set_ or [], "--set"))
        else:
            pool = _create(client, name, type or ask_type(), given, pairs(set_ or [], "--set"))
    if set_as_default:
        from forebay.cli.profiles_file import set_in_profile

        set_in_profile({DEFAULT_POOL_VARIABLES[0]: name})
    quoted = shlex.quote(name)
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
        bool, typer.Option("--verbose", "-v", help="Workers, late runs, ids and descriptions too.")
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
        is_short = output is Output.JSON or not verbose
        details = [] if is_short else _details(client, pools)
    if output is Output.JSON:
        print_json(pools)
        return
    columns = ["Name", "Type", "Status", "Slots"]
    rows: list[list[object]] = [
        [pool.name, pool.type, pool.status, _slots(pool)] for pool in pools
    ]
    if verbose:
        columns += ["Workers", "Late", "Id", "Description"]
        rows = [row + detail for row, detail in zip(rows, details, strict=True)]
    print_table(columns, rows, "No pools. Make one: forebay work-pool create NAME")


@app.command()
def inspect(
    name: PoolName,
    template_only: Annotated[
        bool, typer.Option("--template-only", help="Only the base job template, as JSON.")
    ] = False,
    diff_default: Annotated[
        bool,
        typer.Option("--diff-default", help="Only how the template differs from its type's."),
    ] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Show one pool with its workers and its base job template."""
    from forebay.calls import work_pools

    with connect() as client, advice(NotFound, SEE_POOLS):
        pool = client.send(work_pools.read(name))
        workers = client.send(work_pools.workers(name)) if output is Output.TEXT else []
    if diff_default:
        names = (f"default of {pool.type}", pool.name)
        lines = differences(default_template(pool.type), pool.base_job_template, names)
        if output is Output.JSON:
            print_json({"differs": bool(lines), "diff": lines})
        else:
            say("\n".join(lines) or "The template is its type's own.")
    elif template_only:
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
                ("On lost", _on_lost(pool)),
                ("Workers", ", ".join(f"{w.name} ({w.status})" for w in workers)),
                ("Created", pool.created),
                ("Updated", pool.updated),
                ("Base job template", pool.base_job_template),
            ]
        )


app.registered_commands += changes_app.registered_commands
app.add_typer(storage_app, name="storage")


@app.command("get-default-base-job-template")
def get_default_base_job_template(
    type: Annotated[str, typer.Option("--type", "-t", help="Worker type.")] = DEFAULT_TYPE,
    file: Annotated[str | None, typer.Option("--file", "-f", help="Write it there.")] = None,
    source: Annotated[
        Source | None,
        typer.Option(help="From this package's data, or as the installed worker declares it."),
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Print the template that a new pool of a type begins with; it is JSON in any form."""
    import json
    from pathlib import Path

    template = default_template(type, source)
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
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            callback=pool_or_default,
            show_default="the chosen one",
            help="Name of the pool.",
        ),
    ] = "",
    hours: Annotated[float, typer.Option("--hours", "-h", min=0, help="How far ahead.")] = 1,
    output: OutputOption = Output.TEXT,
) -> None:
    """List the pool's runs of the next hours, and why they would wait. Changes nothing."""
    from forebay.calls import work_pools
    from forebay.cli.slots import show_coming

    with connect() as client, advice(NotFound, SEE_POOLS):
        client.send(work_pools.read(name))
        show_coming(client, name, hours, output)


@app.command()
def slots(name: PoolName, output: OutputOption = Output.TEXT) -> None:
    """List the runs that hold slots of a pool, queue by queue."""
    from forebay.calls import work_pools
    from forebay.cli.slots import show_holders, used_slots

    with connect() as client, advice(NotFound, SEE_POOLS):
        held = client.send(work_pools.slots(name, limit=PAGE, runs_of_each=PAGE))
    if output is Output.JSON:
        print_json(held)
        return
    holders = ((queue.queue_name, holder) for queue in held.queues for holder in queue.flow_runs)
    show_holders(holders, used_slots(held.active_slots, held.concurrency_limit))


@app.command("provision-infra")
@app.command("provision-infrastructure", hidden=True)
def provision_infra(
    name: PoolName,
    plan: Annotated[bool, typer.Option("--plan", help="Only tell what would be made.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Make what a push pool needs in its cloud; not possible yet."""
    raise Refused(NO_PROVISIONING)


def _create(
    client: "Client", name: str, type: str, given: dict[str, Any], defaults: dict[str, Any]
) -> "WorkPool":
    from forebay.calls import work_pools
    from forebay.wire.work_pools import WorkPoolCreate

    template = given.get("base_job_template") or default_template(type)
    given["base_job_template"] = with_values(template, defaults, "--set")
    body = checked(WorkPoolCreate, name=name, type=type, **given)
    changing = f"`forebay work-pool create {shlex.quote(name)} --overwrite` changes it."
    with advice(Conflict, changing):
        return client.send(work_pools.create(body))


def _overwrite(
    client: "Client",
    pool: "WorkPool",
    type: str | None,
    given: dict[str, Any],
    defaults: dict[str, Any],
) -> "WorkPool":
    from forebay.calls import work_pools
    from forebay.wire.work_pools import WorkPoolUpdate

    if type not in (None, pool.type):
        raise Refused(
            f"The pool {pool.name!r} is of type {pool.type!r}, and a type cannot be changed. "
            f"`forebay work-pool delete {shlex.quote(pool.name)}` makes room for a new pool."
        )
    if defaults:
        template = given.get("base_job_template") or pool.base_job_template
        given["base_job_template"] = with_values(template, defaults, "--set")
    client.send(work_pools.update(pool.name, checked(WorkPoolUpdate, **given)))
    return client.send(work_pools.read(pool.name))


def _find(client: "Client", name: str) -> "WorkPool | None":
    from forebay.calls import work_pools

    try:
        return client.send(work_pools.read(name))
    except NotFound:
        return None


def _details(client: "Client", pools: "list[WorkPool]") -> list[list[object]]:
    """For each pool: workers online, late runs, id, description."""
    from forebay.calls import flow_runs, work_pools
    from forebay.wire.work_pools import WorkerStatus

    late = Counter(
        run.work_pool_name for run in every(client, flow_runs.filter, state_names=["Late"])
    )
    found: list[list[object]] = []
    for pool in pools:
        workers = client.send(work_pools.workers(pool.name))
        online = sum(worker.status is WorkerStatus.ONLINE for worker in workers)
        found.append([online, late[pool.name], pool.id, pool.description])
    return found


def _on_lost(pool: "WorkPool") -> str | None:
    """What becomes of runs whose worker is lost; None where the server does not rescue."""
    from forebay.wire.work_pools import OnLost

    if pool.on_lost is not OnLost.RESCHEDULE:
        return pool.on_lost
    return f"{pool.on_lost}, at most {pool.max_rescues} times"


def _slots(pool: "WorkPool") -> str:
    if pool.concurrency_limit is None:
        return "no limit"
    return f"{pool.active_slots or 0} of {pool.concurrency_limit}"
