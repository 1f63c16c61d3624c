"""`forebay flow-run`."""

from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from forebay.cli.failures import Refused, advice
from forebay.cli.named import uuid_or_none
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

LINES = 20  # that --head and --tail print
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
    head: Annotated[bool, typer.Option("--head", "-h", help="Only the first lines.")] = False,
    tail: Annotated[bool, typer.Option("--tail", "-t", help="Only the last lines.")] = False,
    num_logs: Annotated[
        int | None,
        typer.Option(
            "--num-logs",
            "-n",
            min=1,
            show_default=str(LINES),
            help="How many lines --head or --tail are; alone it means --head.",
        ),
    ] = None,
    reverse: Annotated[bool, typer.Option("--reverse", "-r", help="The newest first.")] = False,
    output: OutputOption = Output.TEXT,
) -> None:
    """Print a run's log lines; followed as JSON, one object a line."""
    from itertools import islice

    from forebay.calls import flow_runs
    from forebay.cli.watching import LogReader, follow_lines, format_line

    if head and tail:
        raise typer.BadParameter("--head and --tail exclude each other.")
    if follow and (head or tail or reverse or num_logs):
        raise typer.BadParameter("--follow prints every line in order; leave the others out.")
    is_all = not head and not tail and num_logs is None
    with connect() as client, advice(NotFound, SEE_RUNS):
        client.send(flow_runs.read(run_id))
        if follow:
            for line in follow_lines(client, run_id):
                is_json = output is Output.JSON
                typer.echo(line.model_dump_json() if is_json else format_line(line))
            return
        if tail:
            lines = _last(client, run_id, num_logs or LINES)
        else:
            every_line = LogReader(client, run_id).unread()
            lines = list(islice(every_line, None if is_all else num_logs or LINES))
    lines = lines[::-1] if reverse else lines
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
def retry(
    run: Annotated[
        str, typer.Argument(metavar="ID|NAME", help="Id or name of the run.", show_default=False)
    ],
    entrypoint: Annotated[
        str | None,
        typer.Option(
            "--entrypoint",
            "-e",
            metavar="FILE.py:FUNCTION",
            help="Execute it here and now, as this function; needed without a deployment.",
        ),
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Let a run that has ended be taken by a worker again, with the same parameters."""
    from datetime import UTC, datetime

    from forebay.calls import flow_runs
    from forebay.wire.states import TERMINAL, StateCreate, StateDetails, StateType

    proposal = StateCreate(
        type=StateType.SCHEDULED,
        message="Retried from the command line.",
        state_details=StateDetails(scheduled_time=datetime.now(UTC)),
    )
    with connect() as client, advice(NotFound, SEE_RUNS):
        ended = _read_by_id_or_name(client, run)
        if ended.state_type not in TERMINAL:
            raise Refused(
                f"The run {ended.name!r} is {ended.state_name} and has not ended; "
                f"`forebay flow-run cancel {ended.id}` ends it."
            )
        if ended.deployment_id is None and entrypoint is None:
            raise Refused(
                f"The run {ended.name!r} has no deployment, so no worker can take it again; "
                "--entrypoint FILE.py:FUNCTION executes it here."
            )
        verdict = client.send(flow_runs.set_state(ended.id, proposal, force=True))
        retried = client.send(flow_runs.read(ended.id))
    if retried.state_type in TERMINAL:
        raise Refused(
            f"The run {ended.name!r} was not retried: {getattr(verdict.details, 'reason', None)}"
        )
    if entrypoint is not None:
        from forebay.cli.executing import execute_here

        code = execute_here(ended.id, output, entrypoint)
        _print_executed(ended.id, output)
        raise typer.Exit(code)
    text = f"The run {ended.name!r} will run again. Follow it: forebay flow-run watch {ended.id}"
    say(text, output)
    if output is Output.JSON:
        print_json(retried)


@app.command()
def execute(
    run_id: Annotated[
        UUID | None,
        typer.Argument(
            metavar="ID",
            envvar=["FOREBAY_FLOW_RUN_ID", "PREFECT__FLOW_RUN_ID"],
            help="Id of the run.",
            show_default=False,
        ),
    ] = None,
    output: OutputOption = Output.TEXT,
) -> None:
    """Execute a run in this environment, as what a worker starts does; its lines go to stdout."""
    from forebay.cli.executing import execute_here

    if run_id is None:
        raise typer.BadParameter("name the run, or set FOREBAY_FLOW_RUN_ID.")
    code = execute_here(run_id, output)
    _print_executed(run_id, output)
    raise typer.Exit(code)


@app.command()
def explain(run_id: RunId, output: OutputOption = Output.TEXT) -> None:
    """Tell why a run waits: which rules hold it, what to do, and who holds the slots."""
    from forebay.calls import flow_runs
    from forebay.cli.waiting import explain_run, told

    with connect() as client, advice(NotFound, SEE_RUNS):
        run: FlowRun = client.send(flow_runs.read(run_id))
        found = explain_run(client, run)
    if found is None:
        raise Refused("This server cannot tell why runs wait; a Forebay server can.")
    if output is Output.JSON:
        print_json({"flow_run": run, **found.model_dump(mode="json")})
        return
    message = f": {run.state.message}" if run.state and run.state.message else "."
    say(f"The run {run.name!r} is {run.state_name}{message}")
    for line in told(found.conditions, run.work_pool_name, run.work_queue_name):
        say(f"- {line}")
    for condition in found.conditions:
        if not condition.is_blocking and not condition.met:
            say(f"  {condition.detail}")
    if found.may_start:
        say("Nothing holds it: a worker takes it with its next poll.")
    rows = [
        [holder.name, holder.worker, since(holder.since), holder.flow_run_id]
        for condition in found.conditions
        for holder in condition.holders
    ]
    if rows:
        print_table(["Holds a slot", "Worker", "Since", "Id"], rows, "")


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


def _print_executed(run_id: UUID, output: Output) -> None:
    from forebay.calls import flow_runs

    if output is Output.JSON:
        with connect() as client:
            print_json(client.send(flow_runs.read(run_id)))


def _read_by_id_or_name(client: "Client", text: str) -> "FlowRun":
    """The run. Raises `NotFound`, and `Refused` for a name that several runs have."""
    from forebay.calls import flow_runs

    if id := uuid_or_none(text):
        return client.send(flow_runs.read(id))
    found = client.send(flow_runs.filter(names=[text], limit=2))
    if not found:
        raise NotFound(f"There is no run {text!r}.")
    if len(found) > 1:
        raise Refused(f"Several runs have the name {text!r}; give the id. {SEE_RUNS}")
    return found[0]


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
