"""How many requests go out at once, and what an interrupt leaves of them."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from forebay.calls import Call, call
from forebay.errors import ForebayError, Interrupted
from forebay.settings import ClientSettings
from forebay_provider import connection as module
from forebay_provider.connection import Connection, ProviderSettings

READ: Call[str] = call("GET", "/admin/version", str)


def connection(scripted: Any, **settings: Any) -> Connection:
    return Connection(
        ProviderSettings(client=ClientSettings(api_url=scripted.api_url), **settings), "test"
    )


def until(condition: Any) -> None:
    """Return when `condition` holds; a test that waits for ever is ended by its time limit."""
    while not condition():
        threading.Event().wait(0.01)


def test_no_more_requests_at_once_than_are_allowed(scripted: Any) -> None:
    scripted.says(200, delay_seconds=60)
    limited = connection(scripted, max_concurrent_requests=2)

    with ThreadPoolExecutor(6) as pool:
        answers = [pool.submit(limited.send, READ) for _ in range(6)]
        until(lambda: len(scripted.requests) == 2)
        at_once = len(scripted.requests)
        scripted.released.set()
        told = [answer.result() for answer in answers]

    assert at_once == 2
    assert told == ["3.8.4"] * 6


def test_request_in_flight_is_answered_after_an_interrupt_and_no_other_begins(
    scripted: Any,
) -> None:
    scripted.says(200, delay_seconds=60)
    limited = connection(scripted, max_concurrent_requests=1)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(limited.send, READ)
        until(lambda: scripted.requests)
        second = pool.submit(limited.send, READ)
        limited.stop()
        scripted.released.set()
        answer = first.result()
        with pytest.raises(Interrupted):
            second.result()

    assert answer == "3.8.4"
    assert len(scripted.requests) == 1


def test_interrupt_ends_the_tries_of_a_request(scripted: Any) -> None:
    scripted.says(503, "{}", retry_after="50")
    used = connection(scripted)
    begun = time.monotonic()

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(used.send, READ)
        until(lambda: scripted.requests)
        used.stop()
        with pytest.raises(Interrupted):
            answer.result()

    assert time.monotonic() - begun < 10


def test_server_that_stays_silent_is_left_alone_some_seconds_after_an_interrupt(
    scripted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SECONDS_AFTER_STOP", 0.3)
    scripted.says(200, delay_seconds=60)
    used = connection(scripted)

    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(used.send, READ)
        until(lambda: scripted.requests)
        begun = time.monotonic()
        used.stop()
        with pytest.raises(ForebayError, match="Whether it carried the request out"):
            answer.result()

    assert time.monotonic() - begun < 5


def test_an_interrupt_is_waited_for_ten_seconds_at_most() -> None:
    assert module.SECONDS_AFTER_STOP <= 10
