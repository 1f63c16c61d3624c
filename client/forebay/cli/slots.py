"""Shows who holds slots, and which runs come next; the same for pools and queues."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from forebay.calls import flow_runs
from forebay.cli.output import Output, print_json, print_table, say, since
from forebay.cli.session import every
from forebay.cli.waiting import QueueReasons
from forebay.wire.states import StateType

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from forebay.client import Client
    from forebay.wire.slots import SlotHolder


def show_holders(holders: "Iterable[tuple[str, SlotHolder]]", used: str) -> None:
    """A table of the runs that hold slots, each with the name of its queue."""
    rows = [
        [holder.name, queue, holder.state_name, since(holder.state_timestamp), holder.id]
        for queue, holder in holders
    ]
    say(used)
    print_table(["Run", "Queue", "State", "Since", "Id"], rows, "No run holds a slot.")


def used_slots(active: int, limit: int | None) -> str:
    """Slots in use and the limit as people read them."""
    return f"Slots: {active} in use, {'no limit' if limit is None else f'limit {limit}'}."


def show_coming(
    client: "Client",
    pool_name: str,
    hours: float,
    output: Output,
    queue_names: "Sequence[str] | None" = None,
) -> None:
    """The runs of the next hours, by time, each with what keeps it from being claimed now."""
    before = datetime.now(UTC) + timedelta(hours=hours)
    runs = every(
        client,
        flow_runs.filter,
        pool_names=[pool_name],
        queue_names=queue_names,
        state_types=[StateType.SCHEDULED],
        scheduled_before=before,
        sort="NEXT_SCHEDULED_START_TIME_ASC",
    )
    reasons = QueueReasons(client, pool_name)
    entries: list[tuple[Any, str | None]] = [(run, reasons.of(run)) for run in runs]
    if output is Output.JSON:
        print_json([{**run.model_dump(mode="json"), "reason": why} for run, why in entries])
        return
    rows = [
        [since(run.next_scheduled_start_time), run.name, run.work_queue_name, why, run.id]
        for run, why in entries
    ]
    columns = ["Starts", "Name", "Queue", "Waits because", "Id"]
    print_table(columns, rows, f"No runs within {hours:g} h.")
