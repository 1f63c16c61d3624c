"""Which requests are sent again, for how long, and what ends them."""

import json
import threading
import time
from typing import Any

import pytest

from forebay.answers import Answer
from forebay.calls import KEY_HEADER, Call, call
from forebay.client import Client
from forebay.errors import ApiError, Conflict, Forbidden, Interrupted, Unavailable
from forebay.exchange import Exchanger
from forebay.settings import ClientSettings

READ: Call[str] = call("GET", "/admin/version", str)
CREATE: Call[str] = call("POST", "/things/", str, {"name": "a"})
KEYED: Call[str] = call("POST", "/things/", str, {"name": "a"}, headers={KEY_HEADER: "k"})


def send(scripted: Any, wanted: Call[Any], **settings: Any) -> Any:
    quick = {"wait_min_seconds": 0.01, **settings}
    with Client(ClientSettings(api_url=scripted.api_url, **quick)) as client:
        return client.send(wanted)


def lines(scripted: Any) -> list[str]:
    return [line for line, _ in scripted.requests]


@pytest.mark.parametrize("status", [502, 504])
def test_create_is_not_repeated_when_a_proxy_does_not_know_what_became_of_it(
    scripted: Any, status: int
) -> None:
    scripted.says(status, '{"detail": "bad gateway"}')

    with pytest.raises(ApiError, match="bad gateway"):
        send(scripted, CREATE)

    assert len(scripted.requests) == 1


@pytest.mark.parametrize("status", [None, 502, 504])
def test_keyed_create_is_repeated_under_its_key_when_the_answer_is_lost(
    scripted: Any, status: int | None
) -> None:
    scripted.says(status)
    scripted.says(201)

    answer = send(scripted, KEYED)

    assert answer == "3.8.4"
    assert [headers["idempotency-key"] for _, headers in scripted.requests] == ["k", "k"]


def test_keyed_create_waits_for_its_own_earlier_try(scripted: Any) -> None:
    scripted.says(409, '{"detail": "in progress"}', retry_after="0.01")
    scripted.says(201)

    assert send(scripted, KEYED) == "3.8.4"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 500])
def test_refusal_is_final(scripted: Any, status: int) -> None:
    scripted.says(status, '{"detail": "no"}')

    with pytest.raises(ApiError):
        send(scripted, KEYED)

    assert len(scripted.requests) == 1


def test_name_that_is_taken_is_a_conflict_even_if_a_proxy_adds_a_wait(scripted: Any) -> None:
    scripted.says(409, '{"detail": "taken"}', retry_after="1")

    with pytest.raises(Conflict):
        send(scripted, CREATE)

    assert len(scripted.requests) == 1


def test_longer_wait_than_the_time_for_tries_ends_them_at_once(scripted: Any) -> None:
    scripted.says(503, '{"detail": "later"}', retry_after="3600")
    begun = time.monotonic()

    with pytest.raises(Unavailable, match="later"):
        send(scripted, READ)

    assert time.monotonic() - begun < 5
    assert len(scripted.requests) == 1


def test_tries_end_with_their_time(scripted: Any) -> None:
    scripted.says(503, '{"detail": "later"}', retry_after="0.1")
    begun = time.monotonic()

    with pytest.raises(Unavailable):
        send(scripted, READ, max_tries=1000, retry_seconds=1.0)

    assert time.monotonic() - begun < 2
    assert 2 <= len(scripted.requests) <= 11


def test_silent_server_is_not_waited_for_beyond_the_time_for_tries(scripted: Any) -> None:
    scripted.says(503, "{}", retry_after="0.1")
    scripted.says(200, delay_seconds=30)
    begun = time.monotonic()

    with pytest.raises(Exception, match="No answer"):
        send(scripted, READ, max_tries=2, retry_seconds=1.0, timeout_seconds=30.0)

    assert time.monotonic() - begun < 5


def test_only_the_statuses_that_are_set_are_tried_again(scripted: Any) -> None:
    scripted.says(503, "{}")

    with pytest.raises(Unavailable):
        send(scripted, READ, retried_statuses=frozenset({429}))

    assert len(scripted.requests) == 1


def test_stop_ends_the_wait_for_another_try(scripted: Any) -> None:
    scripted.says(503, "{}", retry_after="50")
    settings = ClientSettings(api_url=scripted.api_url)
    begun = time.monotonic()

    with Client(settings) as client:
        threading.Timer(0.3, client.stop).start()
        with pytest.raises(Interrupted):
            client.send(READ)

    assert time.monotonic() - begun < 10


def test_stopped_client_sends_nothing(scripted: Any) -> None:
    scripted.says(200)

    with Client(ClientSettings(api_url=scripted.api_url)) as client:
        client.stop()
        with pytest.raises(Interrupted):
            client.send(READ)

    assert scripted.requests == []


TOKEN = json.dumps({"token": "t1", "client": "c", "expiration": "2030-01-01T00:00:00Z"})


def test_csrf_token_is_read_when_the_server_asks_for_one(scripted: Any) -> None:
    scripted.says(403, '{"detail": "Missing CSRF token."}')
    scripted.says(200, TOKEN)
    scripted.says(201)

    send(scripted, CREATE)

    asked = lines(scripted)
    assert [line.partition("?")[0] for line in asked] == [
        "POST /api/things/",
        "GET /api/csrf-token",
        "POST /api/things/",
    ]
    headers = scripted.requests[-1][1]
    assert headers["prefect-csrf-token"] == "t1"
    assert asked[1].endswith(headers["prefect-csrf-client"])


def test_csrf_token_is_renewed_when_it_is_refused(scripted: Any) -> None:
    scripted.says(200, TOKEN)
    scripted.says(403, '{"detail": "Invalid CSRF token or client identifier."}')
    scripted.says(200, TOKEN.replace("t1", "t2"))
    scripted.says(201)

    send(scripted, CREATE, csrf="on")

    tokens = [headers.get("prefect-csrf-token") for _, headers in scripted.requests]
    assert tokens == [None, "t1", None, "t2"]


def test_csrf_tokens_that_are_read_at_once_leave_each_other_valid() -> None:
    exchanger = Exchanger(ClientSettings(), "test")
    token_of: dict[str, str] = {}  # by client, as Prefect 3.8.4 keeps them
    answers: list[Any] = [None, None]
    calls = [exchanger.exchange(CREATE) for _ in answers]

    def answered(request: Any) -> Answer:
        if request.method == "GET":
            token = f"t{len(token_of)}"
            token_of[request.url.partition("client=")[2]] = token
            return Answer(200, {}, json.dumps({"token": token}).encode())
        given = {name.decode(): value.decode() for name, value in request.headers}
        is_valid = token_of.get(given.get("prefect-csrf-client", ""), "none") == given.get(
            "prefect-csrf-token"
        )
        return Answer(201, {}, b'"made"') if is_valid else Answer(403, {}, b"Invalid CSRF token")

    # Both are refused before either has a token, and both have one before either uses it.
    for _ in range(3):
        requests = [each.send(answer) for each, answer in zip(calls, answers, strict=True)]
        answers = list(map(answered, requests))

    assert [answer.status for answer in answers] == [201, 201]


def test_server_without_csrf_is_asked_once(scripted: Any) -> None:
    scripted.says(422, '{"detail": "CSRF protection is disabled."}')
    scripted.says(201)

    with Client(ClientSettings(api_url=scripted.api_url, csrf="on")) as client:
        client.send(CREATE)
        client.send(CREATE)

    assert len(scripted.requests) == 3


def test_refused_csrf_token_is_told_where_csrf_is_off(scripted: Any) -> None:
    scripted.says(403, '{"detail": "Missing CSRF token."}')

    with pytest.raises(Forbidden, match="Missing CSRF token"):
        send(scripted, CREATE, csrf="off")

    assert len(scripted.requests) == 1


def test_read_needs_no_csrf_token(scripted: Any) -> None:
    scripted.says(200)

    send(scripted, READ, csrf="on")

    assert lines(scripted) == ["GET /api/admin/version"]


def test_custom_headers_are_sent_and_do_not_replace_the_credentials(scripted: Any) -> None:
    scripted.says(200)

    send(scripted, READ, headers={"x-team": "data", "authorization": "Bearer x"}, api_key="k")

    headers = scripted.requests[0][1]
    assert (headers["x-team"], headers["authorization"]) == ("data", "Bearer k")
