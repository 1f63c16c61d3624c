"""Real processes of this machine in place of a cloud's containers, and stand-ins on free ports."""

import asyncio
import contextlib
import os
import signal
import socket
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import uvicorn
from starlette.applications import Starlette


class LocalProcess:
    """A process in a session of its own, with the lines that it writes and their times."""

    def __init__(self) -> None:
        self.lines: list[tuple[datetime, str]] = []
        self._process: asyncio.subprocess.Process | None = None

    async def run(self, command: Sequence[str], environment: Mapping[str, str]) -> int:
        """Run to the end; the exit code as a container's, 128 and more for signals."""
        self._process = process = await asyncio.create_subprocess_exec(
            *command,
            env=dict(environment),
            cwd=tempfile.mkdtemp(prefix="forebay-container-"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        assert process.stdout is not None
        async for line in process.stdout:
            self.lines.append((datetime.now(UTC), line.decode().rstrip("\n")))
        code = await process.wait()
        return 128 - code if code < 0 else code

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all that the process has started."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)


@contextmanager
def listening(
    app: Starlette, close: Callable[[], Awaitable[None]], **options: str
) -> Iterator[int]:
    """Serve an application in a thread of its own; the port."""
    config = uvicorn.Config(app, log_level="critical", lifespan="off", ws="none", **options)  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    opened = socket.create_server(("127.0.0.1", 0))  # what comes before it serves, waits

    async def serve() -> None:
        await server.serve(sockets=[opened])
        await close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    yield opened.getsockname()[1]
    server.force_exit = server.should_exit = True
    thread.join(20)
