"""Reads of one refresh, answered from pages of many objects. Knows which endpoints list what.

Terraform reads every object by itself. The first read of a type is sent as it is; from the second
on, pages of the type's list are loaded, at most two for each read so that a small configuration
never pays for a large server. What no page holds is read by itself, so that only the object's own
endpoint decides that it is gone.
"""

import json
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from forebay.errors import ApiError
from forebay_provider import rows
from forebay_provider.api import calls
from forebay_provider.rows import Row

if TYPE_CHECKING:
    from forebay.calls import Call

T = TypeVar("T")
Send = Callable[["Call[Any]"], Any]

PAGE = 200  # the most that both servers answer
PAGES_PER_READ = 2
MAX_AGE_SECONDS = 30.0  # a refresh that takes longer loads the pages again


@dataclass(frozen=True)
class Listing:
    """A list of objects, and the reads that an object of it answers."""

    paths: str  # pattern of those reads
    page: Callable[[int], "Call[Any]"]  # by offset
    answers: Callable[[Any], dict[str, Any]]  # by path
    is_of_rows: bool = False  # whether the objects are kept as rows


def _segment(name: object) -> str:
    from forebay.calls import segment

    return segment(name)


LISTINGS = (
    Listing(
        r"/work_pools/[^/]+",
        lambda offset: rows.of_page(calls.work_pools.filter(limit=PAGE, offset=offset)),
        lambda pool: {f"/work_pools/{_segment(pool.get('name'))}": pool},
        is_of_rows=True,
    ),
    Listing(
        r"/work_queues/[^/]+|/work_pools/[^/]+/queues/[^/]+",
        lambda offset: rows.of_page(calls.work_queues.filter_all(limit=PAGE, offset=offset)),
        lambda queue: {
            f"/work_queues/{queue['id']}": queue,
            f"/work_pools/{_segment(queue.get('work_pool_name'))}/queues/"
            f"{_segment(queue.get('name'))}": queue,
        },
        is_of_rows=True,
    ),
    Listing(
        r"/flows/[^/]+|/flows/name/[^/]+",
        lambda offset: calls.flows.filter(limit=PAGE, offset=offset),
        lambda flow: {f"/flows/{flow.id}": flow, f"/flows/name/{_segment(flow.name)}": flow},
    ),
    Listing(
        r"/deployments/[^/]+(/schedules)?",
        lambda offset: calls.deployments.filter(limit=PAGE, offset=offset),
        lambda deployment: {
            f"/deployments/{deployment.id}": deployment,
            f"/deployments/{deployment.id}/schedules": deployment.schedules,
        },
    ),
    Listing(
        r"/variables/[^/]+|/variables/name/[^/]+",
        lambda offset: calls.variables.filter(limit=PAGE, offset=offset),
        lambda variable: {
            f"/variables/{variable.id}": variable,
            f"/variables/name/{_segment(variable.name)}": variable,
        },
    ),
    Listing(
        r"/v2/concurrency_limits/[^/]+",
        lambda offset: calls.concurrency_limits.filter(limit=PAGE, offset=offset),
        lambda limit: {
            f"/v2/concurrency_limits/{limit.id}": limit,
            f"/v2/concurrency_limits/{_segment(limit.name)}": limit,
        },
    ),
)


@dataclass
class _Loaded:
    """What is known of one list."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    answers: dict[str, Any] = field(default_factory=dict)
    reads: int = 0
    pages: int = 0
    is_complete: bool = False
    since: float = 0.0

    def forget(self) -> None:
        self.answers, self.reads, self.pages, self.is_complete = {}, 0, 0, False


class BulkReads:
    """Answers reads; shared by all threads of a process."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._loaded = [(listing, _Loaded()) for listing in LISTINGS]

    def read(self, call: "Call[T]") -> T:
        """The answer to a read. Raises `ForebayError`."""
        answer: T
        found = self._find(call.path)
        if found is not None:
            is_row, answer = found
            if not is_row:
                return answer
            with suppress(ValueError):  # the answer to the read itself will tell what is wrong
                return call.parse(json.dumps(answer).encode())
        answer = self._send(call)
        return answer

    def row(self, call: "Call[Any]") -> Row:
        """The answer to a read of an object that is kept as a row. Raises `ForebayError`."""
        found = self._find(call.path)
        row: Row = self._send(rows.of_object(call)) if found is None else found[1]
        return row

    def _find(self, path: str) -> tuple[bool, Any] | None:
        """The loaded answer to a read and whether it is a row; None if none is loaded."""
        for listing, loaded in self._loaded:
            if re.fullmatch(listing.paths, path):
                with loaded.lock:
                    self._load(listing, loaded, path)
                    answers = loaded.answers
                if path in answers:
                    return listing.is_of_rows, answers[path]
        return None

    def _load(self, listing: Listing, loaded: _Loaded, path: str) -> None:
        """Load pages until one has the answer, or as many as this read is worth."""
        if loaded.pages and time.monotonic() - loaded.since > MAX_AGE_SECONDS:
            loaded.forget()
        loaded.reads += 1
        affordable = PAGES_PER_READ * (loaded.reads - 1)
        while path not in loaded.answers and not loaded.is_complete and loaded.pages < affordable:
            if not loaded.pages:
                loaded.since = time.monotonic()
            try:
                items = self._send(listing.page(PAGE * loaded.pages))
            except ApiError:
                # A server that does not list them to us may still answer for each.
                loaded.is_complete = True
                return
            for item in items:
                loaded.answers.update(listing.answers(item))
            loaded.pages += 1
            loaded.is_complete = len(items) < PAGE
