"""Holds a run that is executed without a worker: claims it, and renews the claim meanwhile."""

import contextlib
import logging
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from forebay.calls import flow_runs, work_pools
from forebay.client import Client
from forebay.errors import ForebayError
from forebay.wire.flow_runs import FlowRun
from forebay.wire.states import StateType
from forebay_worker.proposals import is_accepted, new_state

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 10


@contextmanager
def held(client: Client, run: FlowRun) -> Iterator[str | None]:
    """The claim of a run; none where there is none to take, or where it is refused.

    A claim is renewed by heartbeats, and only workers send them: while this lasts, the process
    is one, with a name that tells what it does.
    """
    pool = run.work_pool_name
    if pool is None or run.state_type is not StateType.SCHEDULED:
        yield None
        return
    name = f"execute-{socket.gethostname()}-{run.id}"
    beat = work_pools.heartbeat(pool, name, INTERVAL_SECONDS)
    client.send(beat)
    pending = new_state(StateType.PENDING)
    answer = client.send(flow_runs.claim(run.id, pending, worker=name))
    is_over = threading.Event()

    def keep() -> None:
        while not is_over.wait(INTERVAL_SECONDS):
            try:
                client.send(beat)
            except ForebayError as error:
                logger.debug("the claim was not renewed now: %s", error)

    thread = threading.Thread(target=keep, name="forebay-claim", daemon=True)
    thread.start()
    try:
        yield answer.claim if is_accepted(answer.verdict, pending) else None
    finally:
        is_over.set()
        thread.join(INTERVAL_SECONDS)
        with contextlib.suppress(ForebayError):
            client.send(work_pools.delete_worker(pool, name))
