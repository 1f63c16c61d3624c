"""HTTP of claims: parse, wait, call, return. No connection to the database is held by a wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

from fastapi import BackgroundTasks, Request

from forebay.wire.claims import (
    AdoptableQuery,
    Adopted,
    Adoption,
    ClaimRequest,
    Claims,
    RunReports,
)
from forebay.wire.flow_runs import FlowRun, FlowRunVerdict, FlowRunVerdicts
from forebay.wire.states import Verdict
from forebay_server.access.authentication import Authenticator
from forebay_server.access.roles import Principal
from forebay_server.db import retries
from forebay_server.db.engine import Database, Transaction
from forebay_server.dispatch import adoption, claiming, reporting
from forebay_server.dispatch.adoption import Adopter
from forebay_server.dispatch.claiming import Holder, Outcome
from forebay_server.dispatch.queries import Asked
from forebay_server.dispatch.reporting import Report, Taken
from forebay_server.dispatch.waiting import Patience, WaitingRoom
from forebay_server.errors import NotFound
from forebay_server.flow_runs import polling, transitions
from forebay_server.flow_runs.callers import claim_value, parsed_claim
from forebay_server.flow_runs.facts import Abort, Proposer
from forebay_server.flow_runs.queries import placed_to_wire
from forebay_server.protocol import PathName, Read, Write, api_router

router = api_router("Dispatch")


@router.post("/work_pools/{name}/claim")
async def claim_runs(
    name: PathName, body: ClaimRequest, request: Request, background: BackgroundTasks
) -> Claims:
    """Claim the next runs of a pool, by queue priority and time, and learn all that starts them.

    With `wait_seconds` the answer is held until there is a run. A Forebay extension: the limits
    of pool and queues hold as for a proposed PENDING, and the claims are renewed by the
    worker's heartbeats.
    """
    principal: Principal = request.state.principal
    database: Database = request.app.state.database
    room: WaitingRoom = request.app.state.waiting_room
    proposer = Proposer(f"{principal.name}/{body.worker_name}", is_worker=True)
    holder = Holder(proposer, body.worker_name, body.lease_seconds, body.known_pool)
    asked = Asked(
        pool_name=name,
        queue_names=tuple(body.work_queue_names or ()),
        limit=body.limit,
        worker_name=body.worker_name,
        holder=proposer.holder,
        attempt=body.attempt or uuid4(),
        prefetch=timedelta(seconds=body.prefetch_seconds),
    )
    patience = Patience(
        body.wait_seconds,
        sees_all=not asked.queue_names,
        prefetch_seconds=body.prefetch_seconds,
    )

    async def claim(db: Transaction) -> Outcome:
        return await claiming.claim(db, asked, holder)

    async def look() -> Outcome:
        outcome = await retries.write(database, claim)
        if outcome.unmarked_queue_ids and not outcome.runs:
            await polling.mark_polled(database, outcome.unmarked_queue_ids)
        return outcome

    async with _ended_when_gone(request, patience):
        found = None
        if not patience.is_over:
            found = await room.hold(look, patience, (proposer.holder, name, asked.attempt))
    if found is None:
        return Claims()
    if found.unmarked_queue_ids and found.runs:
        background.add_task(polling.mark_polled, database, found.unmarked_queue_ids)
    authenticator: Authenticator = request.app.state.authenticator
    for run in found.runs:
        run.token = authenticator.run_token(*parsed_claim(run.claim))
    return Claims(work_pool=found.pool, runs=found.runs)


@router.post("/work_pools/{name}/adoptable_runs")
async def read_adoptable_runs(name: PathName, body: AdoptableQuery, db: Read) -> list[FlowRun]:
    """Runs of a pool whose infrastructure may go on while nobody looks after it.

    Their lease is over and the sweep has not come yet, or their worker's heartbeats stopped. A
    Forebay extension.
    """
    return [placed_to_wire(row) for row in await adoption.adoptable(db, name, body)]


@router.post("/work_pools/{name}/adopt")
async def adopt_run(name: PathName, body: Adoption, request: Request, db: Write) -> Adopted:
    """Pass the claim of a run to the worker that found its infrastructure.

    What runs goes on under the claim that it was started with; reports of the worker that held
    the run before are aborted. A claim whose holder is alive passes to a worker of the same name
    only: 409. A Forebay extension.
    """
    principal: Principal = request.state.principal
    adopter = Adopter(f"{principal.name}/{body.worker_name}", body.worker_name)
    epoch = await adoption.adopt(db, name, body, adopter)
    return Adopted(claim=claim_value(body.flow_run_id, epoch))


@router.post("/work_pools/{name}/report")
async def report_runs(name: PathName, body: RunReports, request: Request) -> FlowRunVerdicts:
    """Tell to which states claimed runs have come; every run has a verdict of its own.

    Each is decided as a proposal of its own under its claim would be. A Forebay extension.
    """
    principal: Principal = request.state.principal
    database: Database = request.app.state.database
    reports = []
    for told in body.reports:
        run_id, epoch = parsed_claim(told.claim)
        proposer = Proposer(f"{principal.name}/{body.worker_name}", epoch, is_worker=True)
        reports.append(Report(run_id, told.state, proposer))

    async def take(db: Transaction) -> Taken:
        return await reporting.take(db, name, body.worker_name, reports)

    taken = await retries.write(database, take)
    verdicts = dict(taken.verdicts)
    for report in taken.rest:
        verdicts[report.run_id] = await _propose(database, report, body.worker_name)
    for run_id in taken.strangers:
        verdicts[run_id] = transitions.verdict(Abort("This pool has no such run."), None)
    results = [FlowRunVerdict(flow_run_id=r.run_id, **dict(verdicts[r.run_id])) for r in reports]
    return FlowRunVerdicts(results=results)


async def _propose(database: Database, report: Report, worker_name: str) -> Verdict:
    """What is decided about one report in a transaction of its own."""

    async def propose(db: Transaction) -> transitions.Outcome:
        return await transitions.propose(
            db, report.run_id, report.state, report.proposer, worker_name=worker_name
        )

    try:
        return (await retries.write(database, propose)).verdict
    except NotFound:  # it was deleted in between
        return transitions.verdict(Abort("The run does not exist."), None)


@asynccontextmanager
async def _ended_when_gone(request: Request, patience: Patience) -> AsyncIterator[None]:
    """End the wait when the client hangs up: what is claimed for nobody must run out first."""

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            continue
        patience.end()

    if await request.is_disconnected():
        patience.end()
    task = asyncio.create_task(watch())
    try:
        yield
    finally:
        task.cancel()
