"""Finds what an earlier worker of the same name has left running. Knows no worker type."""

import asyncio
import logging
from collections.abc import AsyncIterator

from forebay.calls import flow_runs
from forebay.errors import ForebayError
from forebay.wire.flow_runs import FlowRun
from forebay.wire.states import StateType
from forebay_worker.proposals import backoff, is_passing
from forebay_worker.runs import RunInHand, Surroundings

logger = logging.getLogger(__name__)

ALIVE = (StateType.PENDING, StateType.RUNNING, StateType.CANCELLING)
PAGE = 200  # the API's largest page


async def left_behind(at: Surroundings) -> AsyncIterator[RunInHand]:
    """Runs of the pool whose infrastructure this worker's name still holds, ready to go on.

    A claim that has run out meanwhile is none any more: the server has moved its run on.
    """
    if not at.worker_type.outlives_worker:
        return
    async for found in _runs_with_infrastructure(at):
        run = RunInHand(found, at)
        try:
            is_found = await run.find_again()
        except Exception:
            logger.exception("run %s could not be taken over", found.name)
            continue
        if is_found:
            yield run


async def _runs_with_infrastructure(at: Surroundings) -> AsyncIterator[FlowRun]:
    seen = 0
    while page := await _page(at, seen):
        for run in page:
            if run.infrastructure_pid is not None:
                yield run
        seen += len(page)


async def _page(at: Surroundings, offset: int) -> list[FlowRun]:
    call = flow_runs.filter(
        pool_names=[at.pool_name], state_types=ALIVE, limit=PAGE, offset=offset
    )
    pauses = backoff()
    while True:
        try:
            return await at.client.send(call)
        except ForebayError as error:
            if not is_passing(error):
                logger.warning("runs of an earlier worker cannot be looked for: %s", error)
                return []
        await asyncio.sleep(next(pauses))
