"""Where a worker gets its runs: claims that the server holds back until there is work, else polls.

Knows no run's life. A stock Prefect server has no claims of this kind, so it is polled.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID, uuid4

from forebay.calls import claims, work_pools
from forebay.client import AsyncClient
from forebay.errors import ApiError, NotFound
from forebay.wire.claims import MAX_CLAIMED, ClaimedDeployment, ClaimedPool, ClaimRequest
from forebay.wire.flow_runs import FlowRun

POLL_SECONDS = 2.0
PAGE = 200  # the API's largest page of offers
WAIT_SECONDS = 20.0  # that a server holds a request back; less than what a client waits for
# How long before its time a run is claimed, so that all is ready by then. It holds a slot meanwhile.
CLAIM_AHEAD_SECONDS = 0.5
NO_SUCH_ENDPOINT = (404, 405)


@dataclass(frozen=True)
class HeldRun:
    """A run that this worker has claimed, with all that it needs to start it."""

    run: FlowRun
    claim: str
    pool: ClaimedPool
    deployment: ClaimedDeployment | None
    token: str | None = field(default=None, repr=False)  # with which what is started calls
    due_at: float = 0.0  # by the monotonic clock; nothing is started before


Work = FlowRun | HeldRun  # a run that is offered, or one that is claimed already


class Source(Protocol):
    """Gives work to a worker that has room for it."""

    @property
    def pause_seconds(self) -> float:
        """How long to wait before asking again, unless a slot gets free."""

    async def ask(self, free: int | None, awaited: int) -> Sequence[Work]:
        """Work for `free` slots (none: any number); `awaited` offers wait for their time."""

    async def unheard(self) -> Sequence[HeldRun]:
        """Runs that were claimed for a request whose answer was not waited for."""


class ServerSource:
    """Work from the API, in the best way that the server knows."""

    def __init__(
        self,
        client: AsyncClient,
        pool_name: str,
        worker_name: str,
        *,
        queue_names: Sequence[str],
        prefetch_seconds: float,
        is_patient: bool,
    ) -> None:
        self._client = client
        self._pool_name = pool_name
        self._worker_name = worker_name
        self._queue_names = list(queue_names)
        self._prefetch = timedelta(seconds=prefetch_seconds)
        # Who asks only once wants to hear of runs that are due soon, without holding them.
        self._has_claims = is_patient
        self._attempt: UUID | None = None  # that was not answered yet
        self._pool: ClaimedPool | None = None
        self.pause_seconds = 0.0

    async def ask(self, free: int | None, awaited: int) -> Sequence[Work]:
        """Claims where the server knows them, else offers. Raises `ForebayError`."""
        if self._has_claims:
            try:
                return await self._claim(free)
            except ApiError as error:
                if error.status not in NO_SUCH_ENDPOINT or isinstance(error, NotFound):
                    raise
                self._has_claims = False
        self.pause_seconds = POLL_SECONDS
        return await self._poll(free, awaited)

    async def unheard(self) -> Sequence[HeldRun]:
        """What the last request has claimed, if it was given up. Raises `ForebayError`.

        The server knows it by its attempt. One that has claimed nothing may claim a run now.
        """
        if self._attempt is None or not self._has_claims:
            return []
        return await self._claim(1, wait_seconds=0.0)

    async def _claim(
        self, free: int | None, wait_seconds: float = WAIT_SECONDS
    ) -> Sequence[HeldRun]:
        self._attempt = self._attempt or uuid4()
        request = ClaimRequest(
            worker_name=self._worker_name,
            limit=MAX_CLAIMED if free is None else min(MAX_CLAIMED, free),
            work_queue_names=self._queue_names or None,
            attempt=self._attempt,
            wait_seconds=wait_seconds,
            prefetch_seconds=min(CLAIM_AHEAD_SECONDS, self._prefetch.total_seconds()),
            known_pool=self._pool.updated if self._pool else None,
        )
        began = time.monotonic()
        answer = await self._client.send(claims.take(self._pool_name, request))
        self._attempt = None
        pool = self._pool = answer.work_pool or self._pool
        # A server that is about to stop does not let anybody wait.
        is_early = time.monotonic() - began < WAIT_SECONDS / 2
        self.pause_seconds = POLL_SECONDS if is_early and not answer.runs else 0.0
        if pool is None:
            return []
        now = time.monotonic()
        return [
            HeldRun(
                each.flow_run,
                each.claim,
                pool,
                each.deployment,
                each.token,
                now + each.due_in_seconds,
            )
            for each in answer.runs
        ]

    async def _poll(self, free: int | None, awaited: int) -> Sequence[Work]:
        # Offers that wait for their time come again, and must not crowd out those that are due.
        call = work_pools.due_runs(
            self._pool_name,
            queue_names=self._queue_names,
            scheduled_before=datetime.now(UTC) + self._prefetch,
            limit=None if free is None else min(PAGE, free + awaited),
            worker=self._worker_name,
        )
        return [offer.flow_run for offer in await self._client.send(call)]
