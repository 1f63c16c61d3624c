"""`forebay work-queue`."""

from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from forebay.cli.failures import advice
from forebay.cli.output import (
    Output,
    OutputOption,
    print_fields,
    print_json,
    print_table,
    say,
)
from forebay.cli.session import checked, confirm, connect, every
from forebay.errors import Conflict, NotFound

if TYPE_CHECKING:
    from forebay.client import Client
    from forebay.wire.work_queues import WorkQueue

app = typer.Typer(no_args_is_help=True)

SEE_QUEUES = (
    "`forebay work-queue ls --pool POOL` lists a pool's queues, `forebay work-pool ls` the pools."
)
QueueName = Annotated[
    str, typer.Argument(metavar="NAME", help="Name or id of the queue.", show_default=False)
]
Pool = Annotated[str, typer.Option("--pool", "-p", help="Pool of the queue.", show_default=False)]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Name, unique in the pool.", show_default=False)],
    pool: Pool,
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
    pool: Pool,
    match: Annotated[
        str | None, typer.Option("--match", "-m", help="Only names that begin with this.")
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Ids and descriptions too.")
    ] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """List a pool's queues in the order in which they are served."""
    from forebay.calls import work_queues

    with connect() as client, advice(NotFound, "`forebay work-pool ls` lists the pools."):
        queues = [
            queue
            for queue in every(client, work_queues.filter, pool=pool)
            if match is None or queue.name.lower().startswith(match.lower())
        ]
    if output is Output.JSON:
        print_json(queues)
        return
    columns = ["Priority", "Name", "Status", "Limit"]
    rows: list[list[object]] = [
        [queue.priority, queue.name, queue.status, _limit(queue)]
        + ([queue.id, queue.description] if verbose else [])
        for queue in queues
    ]
    columns += ["Id", "Description"] if verbose else []
    print_table(columns, rows, "No queues.")


@app.command()
def inspect(name: QueueName, pool: Pool, output: OutputOption = Output.TEXT) -> None:
    """Show one queue."""
    with connect() as client, advice(NotFound, SEE_QUEUES):
        queue = _read(client, pool, name)
    if output is Output.JSON:
        print_json(queue)
        return
    print_fields(
        [
            ("Name", queue.name),
            ("Id", queue.id),
            ("Pool", queue.work_pool_name),
            ("Priority", queue.priority),
            ("Status", queue.status),
            ("Limit", _limit(queue)),
            ("Description", queue.description),
            ("Last polled", queue.last_polled),
            ("Created", queue.created),
            ("Updated", queue.updated),
        ]
    )


@app.command()
def pause(name: QueueName, pool: Pool, output: OutputOption = Output.TEXT) -> None:
    """Let no run be claimed from a queue; runs that were claimed go on."""
    _update(name, pool, {"is_paused": True}, "Paused", output)


@app.command()
def resume(name: QueueName, pool: Pool, output: OutputOption = Output.TEXT) -> None:
    """Let runs be claimed from a queue again."""
    _update(name, pool, {"is_paused": False}, "Resumed", output)


@app.command("set-concurrency-limit")
def set_concurrency_limit(
    name: QueueName,
    limit: Annotated[int, typer.Argument(min=0, max=2**31 - 1, help="Most runs at once.")],
    pool: Pool,
    output: OutputOption = Output.TEXT,
) -> None:
    """Limit how many runs of a queue are active at once."""
    _update(name, pool, {"concurrency_limit": limit}, f"Limited to {limit}", output)


@app.command("clear-concurrency-limit")
def clear_concurrency_limit(
    name: QueueName, pool: Pool, output: OutputOption = Output.TEXT
) -> None:
    """Let any number of a queue's runs be active at once."""
    _update(name, pool, {"concurrency_limit": None}, "Without a limit now", output)


@app.command()
def delete(
    name: QueueName,
    pool: Pool,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Delete a queue; its runs stay, without a queue. A pool keeps its default queue."""
    from forebay.calls import work_queues

    with connect() as client, advice(NotFound, SEE_QUEUES):
        queue = _read(client, pool, name)
        confirm(f"Delete the queue {queue.name!r} of {pool!r}?", yes)
        client.send(work_queues.delete(pool, queue.name))
    say(f"Deleted the queue {queue.name!r}.", output)
    if output is Output.JSON:
        print_json(queue)


def _update(name: str, pool: str, changes: dict[str, Any], done: str, output: Output) -> None:
    from forebay.calls import work_queues
    from forebay.wire.work_queues import WorkQueueUpdate

    with connect() as client, advice(NotFound, SEE_QUEUES):
        queue = _read(client, pool, name)
        client.send(work_queues.update(pool, queue.name, checked(WorkQueueUpdate, **changes)))
        say(f"{done}: the queue {queue.name!r} of {pool!r}.", output)
        if output is Output.JSON:
            print_json(client.send(work_queues.read(pool, queue.name)))


def _read(client: "Client", pool: str, name: str) -> "WorkQueue":
    """The queue by its name or id. Raises `NotFound`, also for another pool's queue."""
    from forebay.calls import work_queues

    try:
        return client.send(work_queues.read(pool, name))
    except NotFound:
        id = _uuid(name)
        queue = client.send(work_queues.read_by_id(id)) if id else None
        if queue is None or queue.work_pool_name != pool:
            raise
        return queue


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _limit(queue: "WorkQueue") -> str:
    return "no limit" if queue.concurrency_limit is None else str(queue.concurrency_limit)
