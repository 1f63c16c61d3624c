"""Keep-alive connections that cost the machine little, so that what is measured is the server."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

from bench.meter import Cost, Meter, percentile


@dataclass(frozen=True)
class Answer:
    """A status and a body."""

    status: int
    body: bytes

    def json(self) -> Any:
        """The body's value."""
        return json.loads(self.body)


WARM_UP = 0.25  # of the time that is measured, before it
LOST = Answer(599, b"the connection was lost")


class Lane:
    """One connection; one request at a time."""

    def __init__(self, api_url: str) -> None:
        address = urlsplit(api_url)
        self.host, self.port, self.prefix = address.hostname, address.port, address.path
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    async def open(self) -> None:
        """Connect, or connect again."""
        self._reader, self._writer = await asyncio.open_connection(self.host, self.port)

    def close(self) -> None:
        """End the connection, if there is one."""
        if self._writer is not None:
            self._writer.close()

    async def send(
        self, method: str, path: str, value: Any = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """The answer to a request; a value is sent as JSON.

        `LOST` when the server ends the connection instead; the next request makes a new one.
        """
        assert self._reader is not None
        if self._reader.at_eof():  # the server ends connections that were idle for seconds
            self.close()
            await self.open()
        try:
            return await self._exchange(method, path, value, headers or {})
        except (ConnectionError, asyncio.IncompleteReadError):
            self._reader.feed_eof()
            return LOST

    async def _exchange(
        self, method: str, path: str, value: Any, headers: Mapping[str, str]
    ) -> Answer:
        assert self._reader is not None and self._writer is not None
        body = b"" if value is None else json.dumps(value).encode()
        lines = [f"{method} {self.prefix}{path} HTTP/1.1", f"host: {self.host}:{self.port}"]
        if body:
            lines += ["content-type: application/json", f"content-length: {len(body)}"]
        lines += [f"{name}: {text}" for name, text in headers.items()]
        self._writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        status = int(head[9:12])
        if b"content-length:" in head:
            length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
            return Answer(status, await self._reader.readexactly(length) if length else b"")
        if b"transfer-encoding: chunked" in head:
            return Answer(status, await self._chunks())
        return Answer(status, b"")

    async def _chunks(self) -> bytes:
        assert self._reader is not None
        parts = []
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            parts.append(await self._reader.readexactly(size))
            await self._reader.readexactly(2)
        await self._reader.readexactly(2)
        return b"".join(parts)

    async def ok(
        self, method: str, path: str, value: Any = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        """The value of the answer to a request that has to succeed."""
        answer = await self.send(method, path, value, headers)
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {answer.body[:500]!r}")
        return answer.json() if answer.body else None


Work = Callable[[Lane, int], Awaitable[int]]  # a connection and its number; operations done


async def drive(
    urls: list[str],
    lanes: int,
    seconds: float,
    meter: Meter,
    work: Work,
    *,
    most: int | None = None,
) -> Cost:
    """Let `lanes` connections, spread over servers, do `work` again and again for a time.

    What is done before, until all are at work, and what ends after does not count: requests that
    the server leaves waiting are waited for, and no part of the time. With `most` it ends after
    so many times in all, which count from the first.
    """
    made = [Lane(urls[number % len(urls)]) for number in range(lanes)]
    await asyncio.gather(*(lane.open() for lane in made))
    loop = asyncio.get_running_loop()
    begun = done = 0
    warm_up = 0.0 if most is not None else seconds * WARM_UP
    ends = loop.time() + warm_up + seconds
    took: list[float] = []

    async def keep_on(lane: Lane, number: int) -> None:
        nonlocal begun, done
        while loop.time() < ends and (most is None or begun < most):
            begun += 1
            began = time.perf_counter()
            made_now = await work(lane, number)
            took.append(time.perf_counter() - began)
            done += made_now  # after the wait: others have added meanwhile

    meter.start()
    working = asyncio.gather(*(keep_on(lane, number) for number, lane in enumerate(made)))
    try:
        if warm_up:
            await asyncio.wait([working], timeout=warm_up)
            done = 0
            took.clear()
            meter.start()
        await asyncio.wait([working], timeout=ends - loop.time())
        cost = meter.stop(done, percentile(took, 0.5) * 1000 if took else 0.0)
        await working
        return cost
    finally:
        working.cancel()
        for lane in made:
            lane.close()
