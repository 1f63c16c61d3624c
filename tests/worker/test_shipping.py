"""Shipping: complete and in order, whatever the API does, and never in the run's way."""

import time

import pytest

from forebay.client import Client
from forebay.settings import ClientSettings
from forebay_worker.backlog import LINE_OVERHEAD, Backlog
from forebay_worker.shipping import BATCH_LINES, LogShipper
from tests.worker.builders import a_log_line
from tests.worker.conftest import LogStore

Store = tuple[LogStore, Client]


def test_lines_arrive_complete_and_in_order(log_store: Store) -> None:
    store, client = log_store
    messages = [f"line {i}" for i in range(3 * BATCH_LINES + 7)]
    shipper = LogShipper(client)

    for message in messages:
        shipper.put(a_log_line(message))
    done = shipper.close(10)

    assert done
    assert store.messages == messages
    assert len(set(store.keys)) == len(store.keys) == store.requests


def test_flush_returns_when_the_lines_are_stored(log_store: Store) -> None:
    store, client = log_store
    shipper = LogShipper(client)

    shipper.put(a_log_line("one"))
    done = shipper.flush(10)

    assert done
    assert store.messages == ["one"]
    shipper.close(10)


def test_api_that_hangs_does_not_hold_up_the_run(log_store: Store) -> None:
    store, client = log_store
    store.open.clear()
    messages = [f"line {i}" for i in range(20_000)]
    shipper = LogShipper(client, Backlog(memory_bytes=100 * LINE_OVERHEAD))

    began = time.process_time()
    for message in messages:
        shipper.put(a_log_line(message))
    spent = time.process_time() - began
    in_time = shipper.flush(0.01)
    store.open.set()
    done = shipper.close(60)

    assert spent < 10
    assert not in_time
    assert done
    assert store.messages == messages


def test_lines_wait_for_an_api_that_is_down(log_store: Store) -> None:
    store, client = log_store
    answers = iter([503, 500])
    store.decide = lambda _: next(answers, 201)
    shipper = LogShipper(client)

    shipper.put(a_log_line("one"))
    shipper.put(a_log_line("two"))
    done = shipper.flush(10)

    assert done
    assert store.messages == ["one", "two"]
    shipper.close(10)


def test_line_that_the_api_refuses_takes_no_other_with_it(
    log_store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store, client = log_store
    store.decide = lambda messages: 422 if "bad" in messages else 201
    shipper = LogShipper(client)

    for message in ("one", "two", "bad", "three"):
        shipper.put(a_log_line(message))
    shipper.close(10)

    assert store.messages == ["one", "two", "three"]
    assert "log lines were refused" in caplog.text


def test_wrong_token_is_not_tried_again(
    log_store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    store, client = log_store
    store.decide = lambda _: 401
    shipper = LogShipper(client)

    shipper.put(a_log_line("one"))
    done = shipper.flush(10)

    assert done
    assert store.requests == 1
    assert "log lines were refused" in caplog.text
    shipper.close(10)


def test_closing_gives_up_in_time_and_says_what_was_lost(
    caplog: pytest.LogCaptureFixture, unused_tcp_port: int
) -> None:
    settings = ClientSettings(api_url=f"http://127.0.0.1:{unused_tcp_port}/api", max_tries=1)
    with Client(settings) as client:
        shipper = LogShipper(client)
        shipper.put(a_log_line("one"))
        began = time.monotonic()

        done = shipper.close(0.5)

    assert not done
    assert time.monotonic() - began < 5
    assert "log lines were lost: 1" in caplog.text
