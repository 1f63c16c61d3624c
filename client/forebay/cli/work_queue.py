"""`forebay work-queue`."""

import shlex
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forebay.cli.failures import advice
from forebay.cli.named import SEE_QUEUES, QueueName, pool_or_default, read_queue
from forebay.cli.output import (
    Output,
    OutputOption,
    print_fields,
    print_json,
    print_table,
    say,
    since,
)
from forebay.cli.session import PAGE, checked, confirm, connect, every
from forebay.errors import Conflict, NotFound

if TYPE_CHECKING:
    from forebay.wire.work_queues import WorkQueue

app = typer.Typer(no_args_is_help=True)

Pool = Annotated[
    str,
    typer.Option(
        "--pool",
        "-p",
        callback=pool_or_default,
        show_default="the chosen one",
        help="Pool of the queue.",
    ),
]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Name, unique in the pool.", show_default=False)],
    pool: Pool = "",
    limit: Annotated[
        int | None, typer.Option("--limit", "-l", min=0, help="Most runs at once; 0: none.")
    ] = None,
    priority: Annotated[
        int | None, typer.Option("--priority", "-q", min=1, help="1 is served first.")
    ] = None,
    description: Annotated[str | None, typer.Option(help="What the queue is for.")] = None,
    paused: Annotated[bool, typer.Option(help="Whether the queue begins paused.")] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Make a queue; one that has the priority already moves down."""
    from forebay.calls import work_queues
    from forebay.wire.work_queues import WorkQueueCreate

    given: dict[str, Any] = {"name": name, "is_paused": paused}
    optional = {"concurrency_limit": limit, "priority": priority, "description": description}
    given |= {key: value for key, value in optional.items() if value is not None}
    body = checked(WorkQueueCreate, **given)
    with (
        connect() as client,
        advice(NotFound, "`forebay work-pool ls` lists the pools."),
        advice(Conflict, SEE_QUEUES),
    ):
        queue = client.send(work_queues.create(pool, body))
    say(f"Made the queue {queue.name!r} with priority {queue.priority} in {pool!r}.", output)
    if output is Output.JSON:
        print_json(queue)


@app.command()
def ls(
    pool: Annotated[
        str | None, typer.Option("--pool", "-p", help="Only this pool; default: all pools.")
    ] = None,
    match: Annotated[
        str | None, typer.Option("--match", "-m", help="Only names that begin with this.")
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Ids and descriptions too.")
    ] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """List queues in the order in which they are served, pool by pool."""
    from forebay.calls import work_queues

    with connect() as client, advice(NotFound, "`forebay work-pool ls` lists the pools."):
        if pool is None:
            found = every(client, work_queues.filter_all)
        else:
            found = every(client, work_queues.filter, pool=pool)
        queues = [q for q in found if match is None or q.name.lower().startswith(match.lower())]
    queues.sort(key=lambda queue: (queue.work_pool_name or "", queue.priority))
    if output is Output.JSON:
        print_json(queues)
        return
    columns = ["Pool", "Priority", "Name", "Status", "Slots"]
    rows: list[list[object]] = [
        [queue.work_pool_name, queue.priority, queue.name, queue.status, _slots(queue)]
        + ([queue.id, queue.description] if verbose else [])
        for queue in queues
    ]
    columns += ["Id", "Description"] if verbose else []
    print_table(columns, rows, "No queues.")


@app.command()
def inspect(name: QueueName, pool: Pool = "", output: OutputOption = Output.TEXT) -> None:
    """Show one queue and whether it is healthy."""
    from forebay.calls import work_queues

    with connect() as client:
        queue = read_queue(client, pool, name)
        if output is Output.JSON:
            print_json(queue)
            return
        health = client.send(work_queues.health(queue.id))
    print_fields(
        [
            ("Name", queue.name),
            ("Id", queue.id),
            ("Pool", queue.work_pool_name),
            ("Priority", queue.priority),
            ("Status", queue.status),
            ("Slots", _slots(queue)),
            ("Late runs", health.late_runs_count),
            ("Healthy", health.healthy),
            ("Description", queue.description),
            ("Last polled", queue.last_polled),
            ("Created", queue.created),
            ("Updated", queue.updated),
        ]
    )


@app.command()
def pause(name: QueueName, pool: Pool = "", output: OutputOption = Output.TEXT) -> None:
    """Let no run be claimed from a queue; runs that were claimed go on."""
    _update(name, pool, {"is_paused": True}, "Paused", output)


@app.command()
def resume(name: QueueName, pool: Pool = "", output: OutputOption = Output.TEXT) -> None:
    """Let runs be claimed from a queue again."""
    _update(name, pool, {"is_paused": False}, "Resumed", output)


@app.command("set-concurrency-limit")
def set_concurrency_limit(
    name: QueueName,
    limit: Annotated[int, typer.Argument(min=0, max=2**31 - 1, help="Most runs at once.")],
    pool: Pool = "",
    output: OutputOption = Output.TEXT,
) -> None:
    """Limit how many runs of a queue are active at once."""
    _update(name, pool, {"concurrency_limit": limit}, f"Limited to {limit}", output)


@app.command("clear-concurrency-limit")
def clear_concurrency_limit(
    name: QueueName, pool: Pool = "", output: OutputOption = Output.TEXT
) -> None:
    """Let any number of a queue's runs be active at once."""
    _update(name, pool, {"concurrency_limit": None}, "Without a limit now", output)


@app.command()
def preview(
    name: QueueName,
    pool: Pool = "",
    hours: Annotated[float, typer.Option("--hours", "-h", min=0, help="How far ahead.")] = 1,
    output: OutputOption = Output.TEXT,
) -> None:
    """List the queue's runs of the next hours, and why they would wait. Changes nothing."""
    from forebay.cli.slots import show_coming

    with connect() as client:
        queue = read_queue(client, pool, name)
        show_coming(client, pool, hours, output, [queue.name])


@app.command("read-runs")
def read_runs(name: QueueName, pool: Pool = "", output: OutputOption = Output.TEXT) -> None:
    """List the queue's runs that a worker would be given now. Changes nothing."""
    from forebay.calls import work_queues

    with connect() as client:
        queue = read_queue(client, pool, name)
        runs = client.send(work_queues.due_runs(queue.id))
    if output is Output.JSON:
        print_json(runs)
        return
    rows = [[since(run.next_scheduled_start_time), run.name, run.id] for run in runs]
    nothing = f"No runs. What comes: forebay work-queue preview {shlex.quote(name)}"
    print_table(["Starts", "Name", "Id"], rows, f"{nothing} -p {shlex.quote(pool)}")


@app.command()
def slots(name: QueueName, pool: Pool = "", output: OutputOption = Output.TEXT) -> None:
    """List the runs that hold slots of a queue, the oldest claims first."""
    from forebay.calls import work_queues
    from forebay.cli.slots import show_holders, used_slots

    with connect() as client:
        queue = read_queue(client, pool, name)
        held = client.send(work_queues.slots(queue.id, limit=PAGE))
    if output is Output.JSON:
        print_json(held)
        return
    used = used_slots(held.active_slots, held.concurrency_limit)
    show_holders(((queue.name, holder) for holder in held.flow_runs), used)


@app.command()
def delete(
    name: QueueName,
    pool: Pool = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Delete a queue; its runs stay, without a queue. A pool keeps its default queue."""
    from forebay.calls import flow_runs, work_queues
    from forebay.wire.states import StateType

    with connect() as client:
        queue = read_queue(client, pool, name)
        waiting = 0
        if not yes:
            where = {"pool_names": [pool], "queue_names": [queue.name]}
            coming = every(client, flow_runs.filter, state_types=[StateType.SCHEDULED], **where)
            waiting = sum(1 for _ in coming)
        lost = f" {waiting} runs that wait in it will be in no queue." if waiting else ""
        confirm(f"Delete the queue {queue.name!r} of {pool!r}?{lost}", yes)
        client.send(work_queues.delete(pool, queue.name))
    say(f"Deleted the queue {queue.name!r}.", output)
    if output is Output.JSON:
        print_json(queue)


def _update(name: str, pool: str, changes: dict[str, Any], done: str, output: Output) -> None:
    from forebay.calls import work_queues
    from forebay.wire.work_queues import WorkQueueUpdate

    with connect() as client:
        queue = read_queue(client, pool, name)
        client.send(work_queues.update(pool, queue.name, checked(WorkQueueUpdate, **changes)))
        say(f"{done}: the queue {queue.name!r} of {pool!r}.", output)
        if output is Output.JSON:
            print_json(client.send(work_queues.read(pool, queue.name)))


def _slots(queue: "WorkQueue") -> str:
    if queue.concurrency_limit is None:
        return "no limit"
    return f"{queue.active_slots or 0} of {queue.concurrency_limit}"
