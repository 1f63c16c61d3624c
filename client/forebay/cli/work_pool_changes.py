"""`forebay work-pool`: the commands that change or delete pools that exist."""

import shlex
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forebay.cli.failures import Refused, advice
from forebay.cli.named import SEE_POOLS, MaxRescues, OnLostOption, PoolName, TemplateFile
from forebay.cli.output import Output, OutputOption, print_json, say
from forebay.cli.session import checked, confirm, connect, every, read_object
from forebay.errors import NotFound

if TYPE_CHECKING:
    from forebay.client import Client
    from forebay.wire.work_pools import WorkPool

app = typer.Typer()


@app.command()
def update(
    name: PoolName,
    base_job_template: TemplateFile = None,
    merge_default_template: Annotated[
        bool,
        typer.Option(
            "--merge-default-template",
            help="Add what the type's template has gained since; what is there stays.",
        ),
    ] = False,
    concurrency_limit: Annotated[
        int | None,
        typer.Option("--concurrency-limit", min=0, max=2**31 - 1, help="Most runs at once."),
    ] = None,
    description: Annotated[str | None, typer.Option(help="What the pool is for.")] = None,
    paused: Annotated[bool | None, typer.Option(help="Whether runs may be claimed.")] = None,
    on_lost: OnLostOption = None,
    max_rescues: MaxRescues = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the difference and change nothing.")
    ] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Change what is given and leave the rest."""
    from forebay.calls import work_pools
    from forebay.cli.pool_templates import default_template, merged
    from forebay.wire.work_pools import WorkPoolUpdate

    optional = {
        "concurrency_limit": concurrency_limit,
        "description": description,
        "is_paused": paused,
        "on_lost": on_lost,
        "max_rescues": max_rescues,
    }
    changes: dict[str, Any] = {key: value for key, value in optional.items() if value is not None}
    if base_job_template is not None:
        changes["base_job_template"] = read_object(base_job_template, "--base-job-template")
    if not changes and not merge_default_template:
        raise typer.BadParameter("nothing to change; give at least one option.")
    with connect() as client, advice(NotFound, SEE_POOLS):
        pool = client.send(work_pools.read(name))
        if merge_default_template:
            own = changes.get("base_job_template", pool.base_job_template)
            changes["base_job_template"] = merged(own, default_template(pool.type))
        body = checked(WorkPoolUpdate, **changes)
        if dry_run:
            _show_difference(pool, changes, output)
            return
        client.send(work_pools.update(name, body))
        say(f"Changed: the pool {name!r}.", output)
        if output is Output.JSON:
            print_json(client.send(work_pools.read(name)))


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


@app.command("set-concurrency-limit")
def set_concurrency_limit(
    name: PoolName,
    limit: Annotated[
        int, typer.Argument(metavar="LIMIT", min=0, max=2**31 - 1, help="Most runs at once.")
    ],
    output: OutputOption = Output.TEXT,
) -> None:
    """Limit how many runs of the pool are active at once."""
    _update([name], {"concurrency_limit": limit}, f"Limited to {limit}", output)


@app.command("clear-concurrency-limit")
def clear_concurrency_limit(name: PoolName, output: OutputOption = Output.TEXT) -> None:
    """Let any number of the pool's runs be active at once."""
    _update([name], {"concurrency_limit": None}, "Without a limit now", output)


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
    from forebay.calls import flow_runs, work_pools
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
        lost = "" if yes else _lost(client, name)
        confirm(f"Delete the pool {name!r}? {lost}", yes)
        client.send(work_pools.delete(name))
    say(f"Deleted the pool {name!r}.", output)
    if output is Output.JSON:
        print_json(pool)


def _lost(client: "Client", name: str) -> str:
    """What deleting the pool takes from whom, in sentences."""
    from forebay.calls import deployments, flow_runs, work_queues
    from forebay.wire.states import StateType

    def count(*args: Any, **criteria: Any) -> int:
        return sum(1 for _ in every(client, *args, **criteria))

    waiting = {"pool_names": [name], "state_types": [StateType.SCHEDULED]}
    return (
        f"Lost with it: its queues ({count(work_queues.filter, pool=name)}). "
        f"Left without a pool: deployments ({count(deployments.filter, pool_names=[name])}), "
        f"runs that wait ({count(flow_runs.filter, **waiting)})."
    )


def _show_difference(pool: "WorkPool", changes: dict[str, Any], output: Output) -> None:
    from forebay.cli.pool_templates import differences

    before = {key: getattr(pool, key) for key in changes}
    if output is Output.JSON:
        print_json({"before": before, "after": changes})
        return
    lines = differences(before, changes, (f"{pool.name} now", f"{pool.name} then"))
    say("\n".join(lines) or "Nothing would change.")


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
