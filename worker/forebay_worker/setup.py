"""From what the user asked for to a worker at work: pool, type, queues, name, signals."""

import asyncio
import contextlib
import logging
import secrets
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from forebay.calls import work_pools, work_queues
from forebay.cli.failures import Refused
from forebay.client import AsyncClient, Client
from forebay.errors import ConfigurationError, Conflict, NotFound
from forebay.settings import ClientSettings
from forebay.wire.base import check_name
from forebay.wire.work_pools import WorkPool, WorkPoolCreate
from forebay.wire.work_queues import WorkQueueCreate
from forebay_worker.base import WorkerType, find_type
from forebay_worker.configuration import type_template
from forebay_worker.health import served
from forebay_worker.installing import InstallPolicy, ensure_installed
from forebay_worker.leases import HEARTBEAT_SECONDS, Leases
from forebay_worker.loop import Worker, WorkerOptions
from forebay_worker.runs import Surroundings
from forebay_worker.shipping import LogShipper

logger = logging.getLogger(__name__)

HEALTH_HOST = "127.0.0.1"
LAST_LINES_SECONDS = 10.0  # for the log lines that are left when the worker ends


@dataclass(frozen=True)
class WorkerRequest:
    """A worker as its user describes it."""

    pool_name: str
    name: str | None = None
    type: str | None = None
    base_job_template: dict[str, Any] | None = None  # of a pool that is made
    is_pool_created: bool = True
    health_port: int | None = None
    install_policy: InstallPolicy = InstallPolicy.PROMPT
    heartbeat_seconds: int = HEARTBEAT_SECONDS
    options: WorkerOptions = field(default_factory=WorkerOptions)


async def serve(request: WorkerRequest) -> None:
    """Serve the pool until a signal ends it. Raises what the user must know before it begins."""
    settings = ClientSettings.load()
    async with AsyncClient(settings) as client:
        pool, worker_class = await find_pool(client, request)
        await make_queues(client, pool.name, request.options.queue_names)
        name = worker_name(request.name, pool.type)
        with Client(settings) as log_client:
            shipper = LogShipper(log_client)
            surroundings = Surroundings(
                client,
                shipper,
                worker_class(),
                name,
                pool.name,
                asyncio.Event(),
                Leases(request.heartbeat_seconds),
            )
            worker = Worker(surroundings, request.options)
            with _stopped_by_signals(worker):
                try:
                    await _run(worker, pool, request)
                finally:
                    await asyncio.to_thread(shipper.close, LAST_LINES_SECONDS)
    logger.info("worker stopped")


async def find_pool(
    client: AsyncClient, request: WorkerRequest
) -> tuple[WorkPool, type[WorkerType[Any]]]:
    """The pool, made if it is missing and may be, and the class that serves it."""
    try:
        pool = await client.send(work_pools.read(request.pool_name))
    except NotFound:
        pool = None
    if pool is not None:
        if request.type is not None and request.type != pool.type:
            raise Refused(
                f"The pool {pool.name!r} is of type {pool.type!r}; a worker of type "
                f"{request.type!r} cannot serve it. Leave out --type, or serve another pool."
            )
        return pool, _class_of(pool.type, request)
    if not request.is_pool_created or request.type is None:
        raise NotFound(
            f"There is no work pool {request.pool_name!r}. Make it with `forebay work-pool "
            f"create {request.pool_name} --type process`"
            + (", or give --type to have the worker make it." if request.is_pool_created else ".")
        )
    worker_class = _class_of(request.type, request)
    body = WorkPoolCreate(
        name=request.pool_name,
        type=request.type,
        base_job_template=request.base_job_template or type_template(worker_class),
    )
    try:
        pool = await client.send(work_pools.create(body))
    except Conflict:  # another worker was faster
        pool = await client.send(work_pools.read(request.pool_name))
    logger.info("work pool %s made", pool.name)
    return pool, worker_class


def _class_of(type: str, request: WorkerRequest) -> type[WorkerType[Any]]:
    """The class of a type, whose libraries are installed as the request says."""
    ensure_installed(type, request.install_policy)
    return find_type(type)


async def make_queues(client: AsyncClient, pool_name: str, names: Sequence[str]) -> None:
    """Make the queues that the pool lacks."""
    for name in names:
        try:
            await client.send(work_queues.read(pool_name, name))
        except NotFound:
            with contextlib.suppress(Conflict):  # another worker was faster
                await client.send(work_queues.create(pool_name, WorkQueueCreate(name=name)))
                logger.info("work queue %s made", name)


def worker_name(given: str | None, type: str) -> str:
    """The name given, else one that no other worker has. Raises `ConfigurationError`."""
    if given is None:
        return f"{type}-{socket.gethostname()}-{secrets.token_hex(3)}"
    try:
        return check_name(given)
    except ValueError as error:
        raise ConfigurationError(f"--name: {error}.") from None


async def _run(worker: Worker, pool: WorkPool, request: WorkerRequest) -> None:
    async with AsyncExitStack() as stack:
        if request.health_port is not None:
            port = await stack.enter_async_context(
                served(worker, HEALTH_HOST, request.health_port)
            )
            logger.info("health: http://%s:%d/health", HEALTH_HOST, port)
        logger.info("worker %s serves pool %s (%s)", worker.name, pool.name, pool.type)
        if pool.is_paused:
            logger.warning("pool %s is paused; it gives no runs until it is resumed", pool.name)
        await worker.run()


@contextmanager
def _stopped_by_signals(worker: Worker) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)
    for number in numbers:
        loop.add_signal_handler(number, worker.stop)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)  # there is nothing left to end
