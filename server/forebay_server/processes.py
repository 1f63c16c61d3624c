"""Serves on a socket that listens, with one process or several. Knows no route.

Several processes share the socket. The first process does not serve then: it starts the others,
replaces one that dies, and ends them when it is told to.
"""

import asyncio
import gc
import logging
import multiprocessing
import os
import signal
import socket
import time
from asyncio import Event
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from types import FrameType

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from forebay_server.app import create_app
from forebay_server.settings import ServerSettings

logger = logging.getLogger(__name__)

DRAIN_SECONDS = 1.0  # from SIGTERM, during which a balancer learns to send nothing more
FINISH_SECONDS = 10  # for requests in flight after that
CLOSE_SECONDS = 2.0  # of those, for clients of streams to read that they are let go
END_SECONDS = DRAIN_SECONDS + FINISH_SECONDS + 4.0  # then a process is ended by force
# Longer than clients keep an idle connection (httpx: 5 s): whoever closes first must not be the
# server, since a request that meets the closing is lost.
KEEP_ALIVE_SECONDS = 75
MAX_FRAME_BYTES = 4 << 20  # of a websocket; a stream may allow less and say so
SHORT_LIFE_SECONDS = 5.0  # a process that dies younger is replaced after a pause
PAUSE_SECONDS = 1.0

# Started afresh, not forked: a copy of this process would make the same "random" ids.
_context = multiprocessing.get_context("spawn")


def serve(settings: ServerSettings, listener: socket.socket, processes: int) -> int:
    """Serve until SIGTERM or SIGINT; the exit code, 0 when everything ended cleanly."""
    if processes == 1:
        _serve_here(settings, listener)
        return 0
    return _Supervisor(settings, listener, processes).run()


def _serve_here(
    settings: ServerSettings, listener: socket.socket, supervisor: int | None = None
) -> None:
    app = create_app(settings)
    stopping: Event = app.state.stopping
    config = uvicorn.Config(
        _closing_connections(app, stopping),
        log_level=os.environ.get("FOREBAY_LOG_LEVEL", "warning").lower(),
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=FINISH_SECONDS,
        ws_max_size=MAX_FRAME_BYTES,
    )
    config.load()
    gc.freeze()  # what is here by now stays: no collection looks at it again
    gc.enable()
    _Server(config, stopping, supervisor).run(sockets=[listener])


def _closing_connections(app: ASGIApp, stopping: Event) -> ASGIApp:
    """`app`, whose last answer on each connection says so, so that clients open new ones."""

    async def drained(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_and_close(message: Message) -> None:
            if message["type"] == "http.response.start" and stopping.is_set():
                message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        await app(scope, receive, send_and_close if scope["type"] == "http" else send)

    return drained


class _Server(uvicorn.Server):
    """Ends in steps: not ready at once, deaf after a while, and then finishes what it has."""

    def __init__(self, config: uvicorn.Config, stopping: Event, supervisor: int | None) -> None:
        super().__init__(config)
        self._stopping = stopping
        self._supervisor = supervisor
        self._closes_at = float("inf")

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if sig == signal.SIGINT and self._supervisor is not None:
            return  # of a terminal, which told the supervisor too
        if sig == signal.SIGTERM and not self._stopping.is_set():
            self._closes_at = time.monotonic() + DRAIN_SECONDS
        elif self.should_exit:
            self.force_exit = True
        else:
            self.should_exit = True
        self._stopping.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        cutting = asyncio.create_task(self._cut_closed())
        try:
            await super().shutdown(sockets)
        finally:
            cutting.cancel()

    async def _cut_closed(self) -> None:
        """Cut the connections that are closed and whose clients do not read so."""
        await asyncio.sleep(CLOSE_SECONDS)
        for connection in [*self.server_state.connections]:
            if connection.transport is not None and connection.transport.is_closing():
                connection.transport.abort()

    async def on_tick(self, counter: int) -> bool:
        is_over = await super().on_tick(counter) or time.monotonic() >= self._closes_at
        return is_over or (self._supervisor is not None and os.getppid() != self._supervisor)


class _Supervisor:
    """Keeps a number of serving processes alive."""

    def __init__(self, settings: ServerSettings, listener: socket.socket, number: int) -> None:
        self._settings = settings
        self._listener = listener
        self._number = number
        self._is_stopping = False
        self._started_at: dict[SpawnProcess, float] = {}

    def run(self) -> int:
        """Supervise until SIGTERM or SIGINT; the exit code."""
        woken, waker = socket.socketpair()
        woken.setblocking(False)
        waker.setblocking(False)
        signal.set_wakeup_fd(waker.fileno())  # so that waiting ends with a signal
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        while not self._is_stopping:
            while len(self._started_at) < self._number:
                self._start()
            sentinels = [process.sentinel for process in self._started_at]
            wait([woken, *sentinels])
            self._bury()
        self._listener.close()
        return self._end_all()

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._is_stopping = True

    def _start(self) -> None:
        process = _context.Process(
            target=_serve_here, args=(self._settings, self._listener, os.getpid())
        )
        process.start()
        self._started_at[process] = time.monotonic()

    def _bury(self) -> None:
        """Forget the processes that have died; others take their places."""
        for process, started_at in [*self._started_at.items()]:
            if process.is_alive() or self._is_stopping:
                continue
            del self._started_at[process]
            logger.warning(
                "process %s ended with code %s; another takes its place",
                *(process.pid, process.exitcode),
            )
            if time.monotonic() - started_at < SHORT_LIFE_SECONDS:
                time.sleep(PAUSE_SECONDS)

    def _end_all(self) -> int:
        for process in self._started_at:
            process.terminate()
        deadline = time.monotonic() + END_SECONDS
        is_clean = True
        for process in self._started_at:
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()
            # One that was told before it had begun to serve ends by the signal itself.
            is_clean = is_clean and process.exitcode in (0, -signal.SIGTERM)
        return 0 if is_clean else 1
