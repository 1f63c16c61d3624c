"""`forebay flow-run`."""

from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

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
from forebay.cli.session import PAGE, confirm, connect
from forebay.errors import NotFound

if TYPE_CHECKING:
    from forebay.client import Client
    from forebay.wire.flow_runs import FlowRun
    from forebay.wire.logs import Log

app = typer.Typer(no_args_is_help=True)

SEE_RUNS = "`forebay flow-run ls` lists the runs."
RunId = Annotated[UUID, typer.Argument(metavar="ID", help="Id of the run.", show_default=False)]


@app.command()
def ls(
    flow_name: Annotated[list[str] | None, typer.Option(help="Only runs of these flows.")] = None,
    state: Annotated[
        list[str] | None, typer.Option(help="Only states of this name, such as Late.")
    ] = None,
    state_type: Annotated[
        list[str] | None, typer.Option(help="Only this type of state, such as RUNNING.")
    ] = None,
    pool: Annotated[str | None, typer.Option("--pool", "-p", help="Only this pool.")] = None,
    queue: Annotated[str | None, typer.Option("--queue", "-q", help="Only this queue.")] = None,
    late: Annotated[
        bool, typer.Option("--late", help="Only runs that should have begun.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=PAGE, help="How many, newest first.")] = 15,
    output: OutputOption = Output.TEXT,
) -> None:
    """List runs, the newest first."""
    from forebay.calls import flow_runs

    names = [*(state or []), *(["Late"] if late else [])]
    call = flow_runs.filter(
        state_types=_state_types(state_type),
        state_names=names or None,
        pool_names=[pool] if pool else None,
        queue_names=[queue] if queue else None,
        flow_names=flow_name or None,
        limit=limit,
    )
    with connect() as client:
        runs = client.send(call)
    if output is Output.JSON:
        print_json(runs)
        return
    rows = [
        [
            run.name,
            run.state_name,
            since(run.start_time or run.expected_start_time),
            run.work_pool_name,
            run.id,
        ]
        for run in runs
    ]
    print_table(
        ["Name", "State", "Start", "Pool", "Id"],
        rows,
        "No runs. Make one: forebay deployment run FLOW/DEPLOYMENT",
    )


@app.command()
def inspect(run_id: RunId, output: OutputOption = Output.TEXT) -> None:
    """Show one run."""
    from forebay.calls import flow_runs

    with connect() as client, advice(NotFound, SEE_RUNS):
        run = client.send(flow_runs.read(run_id))
    if output is Output.JSON:
        print_json(run)
        return
    print_fields(
        [
            ("Name", run.name),
            ("Id", run.id),
            ("State", run.state_name),
            ("Message", run.state.message if run.state else None),
            ("Pool", run.work_pool_name),
            ("Queue", run.work_queue_name),
            ("Deployment", run.deployment_id),
            ("Parameters", run.parameters),
            ("Job variables", run.job_variables),
            ("Tags", ", ".join(run.tags)),
            ("Times run", run.run_count),
            ("Expected start", run.expected_start_time),
            ("Start", run.start_time),
            ("End", run.end_time),
            ("Seconds running", f"{run.total_run_time:.3f}"),
            ("Infrastructure", run.infrastructure_pid),
        ]
    )


@app.command()
def logs(
    run_id: RunId,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the run has ended.")
    ] = False,
    tail: Annotated[
        int | None, typer.Option("--tail", "-t", min=1, help="Only the last so many lines.")
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Print a run's log lines; followed as JSON, one object a line."""
    from forebay.calls import flow_runs
    from forebay.cli.watching import LogReader, follow_lines, format_line

    if follow and tail:
        raise typer.BadParameter("--follow and --tail exclude each other.")
    with connect() as client, advice(NotFound, SEE_RUNS):
        client.send(flow_runs.read(run_id))
        if follow:
            for line in follow_lines(client, run_id):
                is_json = output is Output.JSON
                typer.echo(line.model_dump_json() if is_json else format_line(line))
            return
        lines = _last(client, run_id, tail) if tail else list(LogReader(client, run_id).unread())
    if output is Output.JSON:
        print_json(lines)
    elif not lines:
        say("No log lines yet.", Output.JSON)
    for line in lines if output is Output.TEXT else ():
        typer.echo(format_line(line))


@app.command()
def watch(
    run_id: RunId,
    timeout: Annotated[
        float | None, typer.Option(min=0, metavar="SECONDS", help="Watch no longer than this.")
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Follow a run's states and log lines; fail unless it completes."""
    from forebay.cli.watching import watch_run

    with connect() as client:
        watch_run(client, run_id, output, timeout_seconds=timeout)


@app.command()
def cancel(run_id: RunId, output: OutputOption = Output.TEXT) -> None:
    """Cancel a run: at once when it has not begun, else by its worker."""
    from forebay.calls import flow_runs
    from forebay.wire.states import StateCreate, StateType, VerdictStatus

    proposal = StateCreate(type=StateType.CANCELLING, message="Cancelled from the command line.")
    with connect() as client, advice(NotFound, SEE_RUNS):
        verdict = client.send(flow_runs.set_state(run_id, proposal))
        run = client.send(flow_runs.read(run_id))
    # A run that has not begun is not asked to end: it is refused CANCELLING and is CANCELLED.
    ended = verdict.status is VerdictStatus.REJECT and run.state_type is StateType.CANCELLED
    if verdict.status is not VerdictStatus.ACCEPT and not ended:
        reason = getattr(verdict.details, "reason", None) or f"it is {run.state_name}"
        raise Refused(f"The run {run.name!r} was not cancelled: {reason}")
    text = "is cancelled." if ended else "is being cancelled by its worker."
    say(f"The run {run.name!r} {text}", output)
    if output is Output.JSON:
        print_json(run)


@app.command()
def delete(
    run_id: RunId,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Delete a run with its states."""
    from forebay.calls import flow_runs

    with connect() as client, advice(NotFound, SEE_RUNS):
        run: FlowRun = client.send(flow_runs.read(run_id))
        confirm(f"Delete the run {run.name!r} ({run.state_name})?", yes)
        client.send(flow_runs.delete(run_id))
    say(f"Deleted the run {run.name!r}.", output)
    if output is Output.JSON:
        print_json(run)


def _state_types(texts: list[str] | None) -> Any:
    from forebay.wire.states import StateType

    if not texts:
        return None
    try:
        return [StateType(text.upper()) for text in texts]
    except ValueError:
        known = ", ".join(StateType)
        raise typer.BadParameter(f"--state-type takes one of: {known}.") from None


def _last(client: "Client", run_id: UUID, count: int) -> "list[Log]":
    from forebay.calls import logs as log_calls

    found: list[Log] = []
    while len(found) < count:
        call = log_calls.filter(
            flow_run_id=run_id,
            newest_first=True,
            limit=min(count - len(found), log_calls.MAX_PAGE),
            offset=len(found),
        )
        page = client.send(call)
        if not page:
            break
        found += page
    return found[::-1]
