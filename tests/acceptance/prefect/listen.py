"""Run by the real Prefect's Python: prints what its own clients hear and read of one run."""

import asyncio
import sys
from uuid import UUID

from prefect import get_client
from prefect._internal.observers import FlowRunSuspendingObserver
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId
from prefect.events.clients import get_events_client, get_events_subscriber
from prefect.events.filters import EventFilter, EventNameFilter, EventResourceFilter
from prefect.events.schemas.events import Event
from prefect.logging.clients import get_logs_subscriber


def tell(*words: str) -> None:
    sys.stdout.write(" ".join(words) + "\n")
    sys.stdout.flush()


async def main(run_id: UUID) -> None:
    resource = EventResourceFilter(id=[f"prefect.flow-run.{run_id}"])
    names = EventNameFilter(prefix=["prefect.flow-run.", "forebay.echo"])
    lines = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run_id]))
    suspended = asyncio.Event()
    observer = FlowRunSuspendingObserver(on_suspended=lambda *_: suspended.set())
    async with (
        get_events_subscriber(filter=EventFilter(resource=resource, event=names)) as events,
        get_logs_subscriber(filter=lines) as logs,
        observer,
    ):
        observer.add_in_flight_flow_run_id(run_id)
        async with get_events_client() as client:
            echo = {"prefect.resource.id": f"prefect.flow-run.{run_id}"}
            await client.emit(Event(event="forebay.echo", resource=echo))
        tell("listening")
        seen = set()
        async for event in events:
            seen.add(event.event)
            if seen >= {"forebay.echo", "prefect.flow-run.Suspended"}:
                break
        tell("line", (await anext(logs)).message)
        await suspended.wait()
        tell("read", *await read(EventFilter(resource=resource)))
        tell("events", *sorted(seen))


async def read(criteria: EventFilter) -> list[str]:
    """The names of the events, the newest first, two a page; each page tells how many there are."""
    async with get_client() as client:
        page = await client.read_events(criteria, limit=2)
        names = []
        while page is not None:
            names += [event.event for event in page.events]
            total = page.total
            page = await page.get_next_page(client)
    assert len(names) == total
    return names


asyncio.run(asyncio.wait_for(main(UUID(sys.argv[1])), 60))
