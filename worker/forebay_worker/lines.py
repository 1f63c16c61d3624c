"""Log lines from bytes and text: decoding, cutting, and what the API can store."""

import codecs
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import UUID

from forebay.wire.logs import LogCreate

MAX_LINE = 32_768  # characters; longer lines are stored in pieces
_UNSTORABLE = {0: "\\x00", **{code: "\ufffd" for code in range(0xD800, 0xE000)}}


def storable(text: str) -> str:
    """`text` without what the API refuses: NUL is spelled out, lone surrogates are replaced."""
    return text.translate(_UNSTORABLE)


def a_line(
    run_id: UUID, name: str, level: int, message: str, timestamp: datetime | None = None
) -> Iterator[LogCreate]:
    """A message as one line, or as several when it is too long for one."""
    time = timestamp or datetime.now(UTC)
    text = storable(message)
    for start in range(0, len(text) or 1, MAX_LINE):
        yield LogCreate(
            name=storable(name)[:255],
            level=level,
            message=text[start : start + MAX_LINE],
            timestamp=time,
            flow_run_id=run_id,
        )


class LineCutter:
    """Cuts a stream of bytes into lines; bytes that are no UTF-8 are replaced."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def feed(self, data: bytes) -> list[str]:
        """The lines that `data` completes, without their ends."""
        return self.feed_text(self._decoder.decode(data))

    def feed_text(self, text: str) -> list[str]:
        """The lines that `text` completes; a line longer than `MAX_LINE` is given in pieces."""
        *lines, self._rest = (self._rest + text).split("\n")
        while len(self._rest) > MAX_LINE:
            lines.append(self._rest[:MAX_LINE])
            self._rest = self._rest[MAX_LINE:]
        return [line.removesuffix("\r") for line in lines]

    def end(self) -> list[str]:
        """What is left when the stream has ended."""
        rest = self._rest + self._decoder.decode(b"", final=True)
        self._rest = ""
        return [rest] if rest else []
