"""Finds what workers have left running, and takes it over. Knows no worker type."""

import asyncio
import logging
from collections.abc import AsyncIterator, Container
from uuid import UUID

from forebay.calls import claims
from forebay.errors import ForebayError
from forebay.wire.claims import AdoptableQuery
from forebay.wire.flow_runs import FlowRun
from forebay_worker.proposals import backoff, is_passing
from forebay_worker.runs import RunInHand, Surroundings

logger = logging.getLogger(__name__)


class LeftBehind:
    """Runs whose infrastructure may be here while nobody looks after it.

    A claim that has run out is none any more: the server has moved its run on. Servers that know
    no claims, and types whose infrastructure ends with its worker, leave nothing behind.
    """

    def __init__(self, at: Surroundings) -> None:
        self._at = at
        self._not_here: set[UUID] = set()  # who reaches their infrastructure goes on with it
        self.may_be_some = at.worker_type.outlives_worker

    async def taken_over(
        self, in_hand: Container[UUID], *, is_restarted: bool = False
    ) -> AsyncIterator[RunInHand]:
        """Runs that this worker holds from now on; `is_restarted`: also an earlier one's."""
        if not self.may_be_some:
            return
        for found in await self._adoptable(is_restarted=is_restarted):
            if found.id in self._not_here or found.id in in_hand:
                continue
            run = RunInHand(found, self._at)
            try:
                is_here = await run.find_again()
            except Exception:
                logger.exception("run %s could not be taken over", found.name)
                continue
            if is_here:
                yield run
            else:
                self._not_here.add(found.id)

    async def _adoptable(self, *, is_restarted: bool) -> list[FlowRun]:
        query = AdoptableQuery(worker_name=self._at.worker_name, is_restarted=is_restarted)
        call = claims.adoptable(self._at.pool_name, query)
        pauses = backoff()
        while True:
            try:
                return await self._at.client.send(call)
            except ForebayError as error:
                if not is_passing(error):
                    logger.info("no runs can be taken over here: %s", error)
                    self.may_be_some = False
                    return []
            await asyncio.sleep(next(pauses))
