"""`forebay worker`: the workers that the server knows. Knows nothing of running one."""

import shlex
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forebay.cli.failures import Refused, advice
from forebay.cli.output import (
    Output,
    OutputOption,
    print_fields,
    print_json,
    print_table,
    say,
    since,
)
from forebay.cli.session import confirm, connect, every
from forebay.errors import Conflict, NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forebay.client import Client
    from forebay.wire.work_pools import Worker

app = typer.Typer()

SEE_WORKERS = "`forebay worker ls` lists the workers of all pools."
WorkerName = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of the worker.", show_default=False)
]
Pool = Annotated[
    str | None,
    typer.Option("--pool", "-p", help="Pool of the worker; needed where several have the name."),
]


@app.command()
def ls(
    pool: Annotated[str | None, typer.Option("--pool", "-p", help="Only this pool.")] = None,
    online: Annotated[
        bool, typer.Option("--online", help="Only those whose heartbeats arrive.")
    ] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """List workers, pool by pool, the latest heartbeat first."""
    with connect() as client:
        found = [
            (name, worker)
            for name, worker in _workers(client, [pool] if pool else None)
            if not online or worker.status == "ONLINE"
        ]
    if output is Output.JSON:
        print_json([_with_pool(name, worker) for name, worker in found])
        return
    rows = [
        [worker.name, name, _status(worker), since(worker.last_heartbeat_time), worker.id]
        for name, worker in found
    ]
    nothing = "No workers. Start one: forebay worker start --pool POOL"
    print_table(["Name", "Pool", "Status", "Heartbeat", "Id"], rows, nothing)


@app.command()
def inspect(name: WorkerName, pool: Pool = None, output: OutputOption = Output.TEXT) -> None:
    """Show one worker."""
    with connect() as client:
        pool_name, worker = _read(client, name, pool)
    if output is Output.JSON:
        print_json(_with_pool(pool_name, worker))
        return
    print_fields(
        [
            ("Name", worker.name),
            ("Id", worker.id),
            ("Pool", pool_name),
            ("Status", _status(worker)),
            ("Last heartbeat", worker.last_heartbeat_time),
            ("Seconds between heartbeats", worker.heartbeat_interval_seconds),
            ("First seen", worker.created),
        ]
    )


@app.command()
def drain(name: WorkerName, pool: Pool = None, output: OutputOption = Output.TEXT) -> None:
    """Have a worker take no more runs and end once those that it has have ended.

    It learns this from its next heartbeat, which Forebay's workers send every 5 seconds. Prefect's
    own workers do not ask; stop those with SIGTERM.
    """
    from forebay.calls import work_pools

    with connect() as client:
        pool_name, _ = _read(client, name, pool)
        with advice(Conflict, f"`forebay worker delete {shlex.quote(name)}` forgets it."):
            client.send(work_pools.drain_worker(pool_name, name))
        _, worker = _read(client, name, pool_name)
    say(
        f"The worker {name!r} of {pool_name!r} takes no more runs from its next heartbeat on, "
        "and ends when those that it has have ended.",
        output,
    )
    if output is Output.JSON:
        print_json(_with_pool(pool_name, worker))


@app.command()
def delete(
    name: WorkerName,
    pool: Pool = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also one that was online until just now.")
    ] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Forget a worker that is gone; one that runs is known again from its next heartbeat on."""
    from forebay.calls import work_pools

    with connect() as client:
        pool_name, worker = _read(client, name, pool)
        if worker.status == "ONLINE" and not force:
            raise Refused(
                f"The worker {name!r} of {pool_name!r} is online. Stop it first: `forebay worker "
                f"drain {shlex.quote(name)}`, or SIGTERM. --force forgets one whose machine is gone."
            )
        confirm(f"Forget the worker {name!r} of {pool_name!r}?", yes)
        client.send(work_pools.delete_worker(pool_name, name))
    say(f"Forgot the worker {name!r} of {pool_name!r}.", output)
    if output is Output.JSON:
        print_json(_with_pool(pool_name, worker))


def _workers(client: "Client", pools: "Sequence[str] | None") -> "list[tuple[str, Worker]]":
    """The workers of these pools, or of all, each with its pool's name."""
    from forebay.calls import work_pools

    names = pools or [pool.name for pool in every(client, work_pools.filter)]
    with advice(NotFound, "`forebay work-pool ls` lists the pools."):
        return [
            (name, worker) for name in names for worker in client.send(work_pools.workers(name))
        ]


def _read(client: "Client", name: str, pool: str | None) -> "tuple[str, Worker]":
    found = [pair for pair in _workers(client, [pool] if pool else None) if pair[1].name == name]
    if not found:
        raise NotFound(f"There is no worker {name!r}. {SEE_WORKERS}")
    if len(found) > 1:
        places = ", ".join(repr(place) for place, _ in found)
        raise typer.BadParameter(f"several pools have a worker {name!r}: {places}; give --pool.")
    return found[0]


def _status(worker: "Worker") -> str:
    return "DRAINING" if worker.is_draining else worker.status


def _with_pool(pool: str, worker: "Worker") -> dict[str, Any]:
    return {**worker.model_dump(mode="json"), "work_pool_name": pool}
