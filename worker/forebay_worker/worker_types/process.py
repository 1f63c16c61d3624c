"""Runs as processes of the worker's machine, without a shell, each in a group of its own."""

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from pydantic import Field

from forebay_worker.base import (
    Assignment,
    JobConfiguration,
    Outcome,
    Reporter,
    StartFailed,
    WorkerType,
)
from forebay_worker.channel import DESCRIPTOR_VARIABLE, listen
from forebay_worker.infrastructure import arguments
from forebay_worker.lines import LineCutter, a_line
from forebay_worker.output import Echo

DEFAULT_COMMAND = (sys.executable, "-m", "forebay_worker.execute")
# What a process needs to work at all; nothing else of the worker's environment reaches a run.
INHERITED = (
    *("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV"),
    *("LANG", "LC_ALL", "LC_CTYPE", "LC_TIME", "LC_NUMERIC", "TZ", "SYSTEMROOT"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
    *("http_proxy", "https_proxy", "no_proxy"),
)
READ_BYTES = 65_536
# For output that something outside the group still holds open when the run has ended.
DRAIN_SECONDS = 5.0


class ProcessConfiguration(JobConfiguration):
    """Job configuration of a process."""

    stream_output: bool = Field(
        default=True, description="Whether the worker's console shows what runs write."
    )
    working_dir: Path | None = Field(
        default=None,
        description="Folder in which the process starts; by default an empty one of its own.",
    )


@dataclass
class _Running:
    process: asyncio.subprocess.Process
    readers: list[asyncio.Task[None]]
    own_folder: str | None


class ProcessWorker(WorkerType[ProcessConfiguration]):
    """The worker type `process`. An id is `HOST:PID` and means something on that host only."""

    worker_type = "process"
    configuration = ProcessConfiguration

    def __init__(self) -> None:
        self._running: dict[str, _Running] = {}

    async def start(self, configuration: ProcessConfiguration, assignment: Assignment) -> str:
        """Start the process and read what it writes."""
        command = arguments(configuration.command, DEFAULT_COMMAND)
        own_folder = None
        if configuration.working_dir is None:
            own_folder = tempfile.mkdtemp(prefix="forebay-run-")  # mode 0700
        kept = ExitStack()  # this end of each line; the other is the process's
        try:
            with ExitStack() as given:
                ours, theirs = socket.socketpair()
                kept.callback(ours.close)
                given.callback(theirs.close)
                out_read, out_write = _pipe(kept, given)
                err_read, err_write = _pipe(kept, given)
                process = await asyncio.create_subprocess_exec(
                    *command,
                    cwd=own_folder or configuration.working_dir,
                    env=_environment(configuration.env, assignment, theirs.fileno()),
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=out_write,
                    stderr=err_write,
                    pass_fds=(theirs.fileno(),),
                    start_new_session=True,
                )
        except (OSError, ValueError) as error:
            kept.close()
            _remove(own_folder)
            raise StartFailed(_why(error, command, configuration)) from None
        reporter = Echo(assignment) if configuration.stream_output else assignment.reporter
        run_id = assignment.run.id
        readers = [
            asyncio.create_task(listen(ours, reporter)),
            asyncio.create_task(_read_lines(out_read, run_id, "stdout", reporter)),
            asyncio.create_task(_read_lines(err_read, run_id, "stderr", reporter)),
        ]
        infrastructure_id = f"{socket.gethostname()}:{process.pid}"
        self._running[infrastructure_id] = _Running(process, readers, own_folder)
        return infrastructure_id

    async def wait(self, infrastructure_id: str) -> Outcome:
        """How the process ended; by then everything that it wrote has been handed on."""
        running = self._running[infrastructure_id]
        code = await running.process.wait()
        # What it left behind in its group would go on without anybody who knows of it.
        _signal_group(running.process.pid, signal.SIGKILL)
        _, late = await asyncio.wait(running.readers, timeout=DRAIN_SECONDS)
        for reader in late:
            reader.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        _remove(running.own_folder)
        del self._running[infrastructure_id]
        return Outcome(code, _how_ended(code))

    async def kill(self, infrastructure_id: str, grace_seconds: float) -> None:
        """SIGTERM to the group, and SIGKILL after the grace."""
        running = self._running.get(infrastructure_id)
        if running is None or running.process.returncode is not None:
            return
        _signal_group(running.process.pid, signal.SIGTERM)
        try:
            async with asyncio.timeout(grace_seconds):
                await running.process.wait()
        except TimeoutError:
            _signal_group(running.process.pid, signal.SIGKILL)
            await running.process.wait()


def _pipe(kept: ExitStack, given: ExitStack) -> tuple[int, int]:
    """A new pipe's end to read, which is kept, and its end to write, which is given away."""
    read, write = os.pipe()
    kept.callback(os.close, read)
    given.callback(os.close, write)
    return read, write


def _environment(
    configured: Mapping[str, str], assignment: Assignment, channel: int
) -> dict[str, str]:
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    # `python` means the worker's own interpreter, whatever shell started the worker.
    folders = [str(Path(sys.executable).parent), inherited.get("PATH", os.defpath)]
    return {
        **inherited,
        "PATH": os.pathsep.join(folders),
        "PYTHONUNBUFFERED": "1",  # what is printed before a crash is not lost in a buffer
        **assignment.credentials,
        **configured,
        **assignment.environment,
        DESCRIPTOR_VARIABLE: str(channel),
    }


def _why(
    error: OSError | ValueError, command: list[str], configuration: ProcessConfiguration
) -> str:
    folder = configuration.working_dir
    if folder and not folder.is_dir():
        return f"The working_dir {str(folder)!r} is not a folder of this machine."
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return f"The program {command[0]!r} cannot be started: {reason}."


def _how_ended(code: int) -> str:
    if code >= 0:
        return f"the process ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"the process was ended by {name}"


def _signal_group(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def _remove(folder: str | None) -> None:
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


async def _read_lines(descriptor: int, run_id: UUID, name: str, reporter: Reporter) -> None:
    """Hand on what arrives at the reading end of a pipe, until nobody can write to it."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(descriptor, "rb", 0)
    )
    cutter = LineCutter()
    try:
        while data := await reader.read(READ_BYTES):
            _log(cutter.feed(data), run_id, name, reporter)
    finally:
        _log(cutter.end(), run_id, name, reporter)
        transport.close()


def _log(texts: list[str], run_id: UUID, name: str, reporter: Reporter) -> None:
    for text in texts:
        for line in a_line(run_id, name, logging.INFO, text):
            reporter.log(line)
