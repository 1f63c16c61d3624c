"""Runs as containers of a Docker engine. Knows no API; what is asked for is in `docker_request`."""

import asyncio
import contextlib
import json
import logging
import math
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import aiodocker
import aiohttp
from aiodocker.containers import DockerContainer
from aiodocker.exceptions import DockerError
from aiodocker.stream import Stream

from forebay.errors import ConfigurationError
from forebay.wire.logs import LogCreate
from forebay_worker.base import Assignment, Outcome, StartFailed, WorkerType
from forebay_worker.infrastructure import RUN_MARK, adopted_claim, base_name
from forebay_worker.lines import a_line
from forebay_worker.output import Output
from forebay_worker.proposals import backoff
from forebay_worker.worker_types.docker_request import (
    DockerConfiguration,
    container_body,
    pull_credentials,
    pull_policy,
    with_registry,
)

logger = logging.getLogger(__name__)

NOT_FOUND, CONFLICT, UNREACHABLE = 404, 409, 900  # the last is aiodocker's own
STREAMS = {1: "stdout", 2: "stderr"}
MAX_NAMES = 100
DRAIN_SECONDS = 5.0  # for output that is on its way when the container has ended
KEEP_VARIABLE = "FOREBAY_WORKER_KEEP_SECONDS"
KEEP_SECONDS = 86_400.0  # how long containers that ended stay for people to look at
SIGNALS = {137: "SIGKILL", 139: "SIGSEGV", 143: "SIGTERM"}


@dataclass
class _Running:
    container: DockerContainer
    output: Output
    ended: asyncio.Task[Outcome]
    readers: list[asyncio.Task[None]] = field(default_factory=list)


class DockerWorker(WorkerType[DockerConfiguration]):
    """The worker type `docker`. An id is `ENGINE:CONTAINER`."""

    worker_type = "docker"
    outlives_worker = True
    configuration = DockerConfiguration

    def __init__(self) -> None:
        self._keep = timedelta(seconds=_keep_seconds(os.environ))
        self._running: dict[str, _Running] = {}
        self._connected: aiodocker.Docker | None = None

    async def start(self, configuration: DockerConfiguration, assignment: Assignment) -> str:
        """Have the image there, then create and start the container."""
        body, networks = container_body(configuration, assignment)
        with _failures_named():
            engine = self._engine()
            await self._provide_image(engine, configuration, assignment)
            container = await _create(engine, body, _names(configuration, assignment))
            try:
                running = await self._start(engine, container, networks, configuration, assignment)
            except BaseException:
                await _delete(container)
                raise
            return self._hold(engine, running)

    async def adopt(
        self, infrastructure_id: str, configuration: DockerConfiguration, assignment: Assignment
    ) -> str | None:
        """Watch a container of this engine; output goes on where it was stored last."""
        with _failures_named():
            engine = self._engine()
            place, _, container_id = infrastructure_id.rpartition(":")
            if place != _place(engine):
                return None
            container = engine.containers.container(container_id)
            try:
                found = await container.show()
            except DockerError as error:
                if error.status == NOT_FOUND:
                    return None
                raise
        claim = adopted_claim(found["Config"]["Labels"], assignment)
        if claim is None:
            return None
        output = Output(configuration, assignment, is_shown=configuration.stream_output)
        running = _Running(container, output, asyncio.create_task(_until_ended(container)))
        since = assignment.logged_until or datetime.now(UTC)
        running.readers = [
            asyncio.create_task(_follow(container, name, output, since))
            for name in STREAMS.values()
        ]
        self._hold(engine, running)
        return claim

    async def wait(self, infrastructure_id: str) -> Outcome:
        """How the container ended; by then what it wrote has been handed on."""
        running = self._running[infrastructure_id]
        outcome = await asyncio.shield(running.ended)
        _, late = await asyncio.wait(running.readers, timeout=DRAIN_SECONDS)
        for reader in late:
            reader.cancel()
        running.output.end()
        if outcome.exit_code != 0:
            running.output.report_last_words()
        del self._running[infrastructure_id]
        return outcome

    async def kill(self, infrastructure_id: str, grace_seconds: float) -> None:
        """SIGTERM, and SIGKILL after the grace; an engine that does not answer is asked again."""
        running = self._running.get(infrastructure_id)
        if running is None:
            return
        for pause in backoff():
            try:
                await running.container.stop(t=math.ceil(grace_seconds))
            except (DockerError, aiohttp.ClientError) as error:
                if isinstance(error, DockerError) and error.status == NOT_FOUND:
                    return
                logger.warning("container %s cannot be stopped: %s", infrastructure_id, error)
            else:
                return
            await asyncio.sleep(pause)

    async def clean_up(self) -> None:
        """Delete containers of runs that ended longer ago than they are kept."""
        filters = {"label": [RUN_MARK], "status": ["created", "exited", "dead"]}
        oldest = datetime.now(UTC) - self._keep
        with _failures_named():
            for found in await self._engine().containers.list(
                all=True, filters=json.dumps(filters)
            ):
                with contextlib.suppress(DockerError):
                    state = await found.show()
                    if _ended_at(state) < oldest:
                        await found.delete(v=True)

    async def close(self) -> None:
        """Close the connections to the engine."""
        for running in self._running.values():
            for task in (running.ended, *running.readers):
                task.cancel()
        if self._connected:
            await self._connected.close()

    def _engine(self) -> aiodocker.Docker:
        """The engine as Docker's own command line finds it. Raises `StartFailed`."""
        if self._connected is None:
            try:
                self._connected = aiodocker.Docker()
            except (AssertionError, ValueError, OSError) as error:
                raise StartFailed(
                    "No Docker engine was found: start one on this machine, or set DOCKER_HOST"
                    + (f" ({error})." if str(error) else ".")
                ) from None
        return self._connected

    async def _provide_image(
        self, engine: aiodocker.Docker, configuration: DockerConfiguration, assignment: Assignment
    ) -> None:
        policy, image = pull_policy(configuration), configuration.image
        if policy == "Never" or (policy == "IfNotPresent" and await _has(engine, image)):
            return
        credentials = pull_credentials(configuration)
        try:
            await engine.images.pull(
                with_registry(image) if credentials else image, auth=credentials
            )
        except DockerError as error:
            if error.status == UNREACHABLE:
                raise
            reason = f"The image {image!r} cannot be pulled: {error.message.strip()}"
            if policy != "IfPossible" or not await _has(engine, image):
                raise StartFailed(f"{reason}.") from None
            assignment.reporter.log(_warning(assignment, f"{reason}. The one at hand is used."))

    async def _start(
        self,
        engine: aiodocker.Docker,
        container: DockerContainer,
        networks: Sequence[str],
        configuration: DockerConfiguration,
        assignment: Assignment,
    ) -> _Running:
        for name in networks:
            network = await engine.networks.get(name)
            await network.connect({"Container": container.id})
        output = Output(configuration, assignment, is_shown=configuration.stream_output)
        # Both before the start: a container may end, and be removed, before anybody asks.
        stream = await container.attach(stdin=False, stdout=True, stderr=True).__aenter__()
        removed = (
            asyncio.create_task(_until_ended(container, "removed"))
            if configuration.auto_remove
            else None
        )
        try:
            await container.start()
        except BaseException:
            if removed:
                removed.cancel()
            await _closed(stream)
            raise
        ended = removed or asyncio.create_task(_until_ended(container))
        return _Running(
            container, output, ended, [asyncio.create_task(_read(container, stream, output))]
        )

    def _hold(self, engine: aiodocker.Docker, running: _Running) -> str:
        infrastructure_id = f"{_place(engine)}:{running.container.id}"
        self._running[infrastructure_id] = running
        return infrastructure_id


@contextmanager
def _failures_named() -> Iterator[None]:
    """What the engine refuses, as the reason why a run cannot start."""
    try:
        yield
    except DockerError as error:
        if error.status == UNREACHABLE:
            raise StartFailed(f"The Docker engine does not answer: {error.message}.") from None
        raise StartFailed(f"The Docker engine refuses: {error.message.strip()}.") from None
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise StartFailed(f"The Docker engine does not answer: {error}.") from None


def _keep_seconds(environ: Mapping[str, str]) -> float:
    """How long containers that ended stay. Raises `ConfigurationError`."""
    given = environ.get(KEEP_VARIABLE, "").strip()
    try:
        seconds = float(given or KEEP_SECONDS)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise ConfigurationError(f"{KEEP_VARIABLE} must be a number of seconds, not {given!r}.")
    return seconds


def _place(engine: aiodocker.Docker) -> str:
    """What tells one engine from another: its address, or this machine's name."""
    return urlsplit(engine.docker_host).netloc.replace("localhost", socket.gethostname())


def _names(configuration: DockerConfiguration, assignment: Assignment) -> list[str]:
    """Names to try in turn, the same ones whenever this run is started."""
    name = base_name(configuration, assignment, longest=60)
    with_run = f"{name}-{assignment.run.id.hex[-8:]}"
    return [name, with_run, *(f"{with_run}-{number}" for number in range(2, MAX_NAMES))]


async def _create(
    engine: aiodocker.Docker, body: dict[str, Any], names: Sequence[str]
) -> DockerContainer:
    for name in names:
        try:
            return await engine.containers.create(body, name=name)
        except DockerError as error:
            if error.status == NOT_FOUND:
                raise StartFailed(
                    f"The image {body['Image']!r} is not on the engine's machine: "
                    f"{error.message.strip()}. Let it be pulled by another image_pull_policy."
                ) from None
            if error.status != CONFLICT:
                raise
    raise StartFailed(f"There are {len(names)} containers named like {names[0]!r}.")


async def _has(engine: aiodocker.Docker, image: str) -> bool:
    try:
        await engine.images.inspect(image)
    except DockerError as error:
        if error.status == NOT_FOUND:
            return False
        raise
    return True


async def _delete(container: DockerContainer) -> None:
    with contextlib.suppress(DockerError, aiohttp.ClientError):
        await container.delete(force=True, v=True)


async def _until_ended(container: DockerContainer, condition: str = "not-running") -> Outcome:
    """How the container ended, however often the engine breaks off the wait."""
    for pause in backoff():
        try:
            ended = await container.wait(condition=condition)
            return Outcome(ended["StatusCode"], await _how_ended(container, ended["StatusCode"]))
        except (DockerError, aiohttp.ClientError) as error:
            if isinstance(error, DockerError) and error.status == NOT_FOUND:
                return Outcome(None, "the container was removed before its exit code was known")
            logger.info("container %s is waited for again: %s", container.id[:12], error)
        await asyncio.sleep(pause)
    raise AssertionError("backoff has no end")


async def _how_ended(container: DockerContainer, code: int) -> str:
    text = f"the container ended with exit code {code}"
    if code in SIGNALS:
        text = f"the container was ended by {SIGNALS[code]} (exit code {code})"
    with contextlib.suppress(DockerError, aiohttp.ClientError):  # removed, or asked too much
        state = (await container.show())["State"]
        if state.get("OOMKilled"):
            return f"the container ran out of memory (exit code {code})"
        if state.get("Error"):
            return f"{text}: {state['Error']}"
    return text


async def _read(container: DockerContainer, stream: Stream, output: Output) -> None:
    """Hand on what the container writes from its start on."""
    try:
        while message := await stream.read_out():
            output.feed(STREAMS.get(message.stream, "stdout"), message.data)
    except aiohttp.ClientError as error:
        logger.info("output of container %s broke off: %s", container.id[:12], error)
    finally:
        await _closed(stream)
    since = datetime.now(UTC)
    await asyncio.gather(*(_follow(container, name, output, since) for name in STREAMS.values()))


async def _follow(container: DockerContainer, name: str, output: Output, since: datetime) -> None:
    """Hand on what the container writes to one stream after `since`, until it has ended."""
    for pause in backoff():
        with contextlib.suppress(DockerError, aiohttp.ClientError):
            start = since.timestamp()
            since = datetime.now(UTC)
            async for text in container.log(**{name: True}, follow=True, since=f"{start:.9f}"):
                output.feed(name, text.encode())
                since = datetime.now(UTC)
        with contextlib.suppress(aiohttp.ClientError):
            try:
                if not (await container.show())["State"]["Running"]:
                    return
            except DockerError as error:
                if error.status == NOT_FOUND:
                    return
        await asyncio.sleep(pause)


async def _closed(stream: Stream) -> None:
    # The library asserts that the connection is still there, which the engine may have closed.
    with contextlib.suppress(AssertionError, aiohttp.ClientError):
        await stream.close()


def _ended_at(state: dict[str, Any]) -> datetime:
    """When a container ended; when it was made, if it never ran."""
    finished = str(state["State"]["FinishedAt"])
    text = str(state["Created"]) if finished.startswith("0001-") else finished
    return datetime.fromisoformat(text[:19] + "+00:00")


def _warning(assignment: Assignment, text: str) -> LogCreate:
    run = assignment.run
    line, *_ = a_line(run.id, "forebay.worker", logging.WARNING, text)
    return line
