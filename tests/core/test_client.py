"""The client against a server that answers badly, late or not at all."""

import asyncio
import json
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from forebay.calls import Call, call
from forebay.client import AsyncClient, Client
from forebay.errors import (
    ApiError,
    Conflict,
    FieldProblem,
    ForebayError,
    Invalid,
    NotFound,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from forebay.settings import ClientSettings

READ: Call[str] = call("GET", "/admin/version", str)
CREATE: Call[str] = call("POST", "/things/", str, {"name": "a"})

Send = Callable[..., Any]


def send_blocking(url: str, wanted: Call[Any], **settings: Any) -> Any:
    with Client(ClientSettings(api_url=url, **settings)) as client:
        return client.send(wanted)


def send_async(url: str, wanted: Call[Any], **settings: Any) -> Any:
    async def sent() -> Any:
        async with AsyncClient(ClientSettings(api_url=url, **settings)) as client:
            return await client.send(wanted)

    return asyncio.run(sent())


@pytest.fixture(params=[send_blocking, send_async], ids=["blocking", "async"])
def send(request: pytest.FixtureRequest) -> Send:
    chosen: Send = request.param
    return chosen


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
def test_refused_for_now_is_tried_again(send: Send, scripted: Any, status: int) -> None:
    scripted.says(status)
    scripted.says(200)

    answer = send(scripted.api_url, READ)

    assert answer == "3.8.4"
    assert len(scripted.requests) == 2


def test_create_is_tried_again_when_the_server_says_that_it_did_nothing(
    send: Send, scripted: Any
) -> None:
    scripted.says(503)
    scripted.says(201)

    answer = send(scripted.api_url, CREATE)

    assert answer == "3.8.4"
    assert [line for line, _ in scripted.requests] == ["POST /api/things/"] * 2


def test_retry_after_is_waited_for(send: Send, scripted: Any) -> None:
    scripted.says(429, retry_after="0.7")
    scripted.says(200)
    begun = time.monotonic()

    send(scripted.api_url, READ)

    assert time.monotonic() - begun >= 0.7


def test_tries_end(send: Send, scripted: Any) -> None:
    scripted.says(503, '{"exception_message": "Service Unavailable"}')

    with pytest.raises(Unavailable, match="Service Unavailable"):
        send(scripted.api_url, READ, max_tries=3)

    assert len(scripted.requests) == 3


def test_read_is_repeated_after_a_broken_connection(send: Send, scripted: Any) -> None:
    scripted.says(None)
    scripted.says(200)

    answer = send(scripted.api_url, READ)

    assert answer == "3.8.4"


def test_create_is_not_repeated_after_a_broken_connection(send: Send, scripted: Any) -> None:
    scripted.says(None)

    with pytest.raises(Unreachable):
        send(scripted.api_url, CREATE)

    assert len(scripted.requests) == 1


def test_silent_server_is_unreachable_after_the_time_limit(send: Send, scripted: Any) -> None:
    scripted.says(200, delay_seconds=30)

    with pytest.raises(Unreachable, match=r"timed out|Timeout"):
        send(scripted.api_url, CREATE, timeout_seconds=0.2)


def test_no_server_names_the_address_and_the_next_step(send: Send) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/api"

    with pytest.raises(Unreachable) as caught:
        send(url, READ, max_tries=2)

    assert url in str(caught.value)
    assert "forebay server start" in str(caught.value)
    assert "FOREBAY_API_URL" in str(caught.value)


def test_redirect_is_reported_and_not_followed(send: Send, scripted: Any) -> None:
    scripted.says(302, location="http://127.0.0.1:9/elsewhere")

    with pytest.raises(ForebayError, match=r"redirect to http://127\.0\.0\.1:9/elsewhere"):
        send(scripted.api_url, READ, api_key="secret")

    assert len(scripted.requests) == 1


def test_token_is_sent_as_bearer_and_password_as_basic(send: Send, scripted: Any) -> None:
    scripted.says(200)

    send(scripted.api_url, READ, api_key="secret")
    send(scripted.api_url, READ, basic_auth="me:secret")

    sent = [headers["authorization"] for _, headers in scripted.requests]
    assert sent == ["Bearer secret", "Basic bWU6c2VjcmV0"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, Unauthorized), (404, NotFound), (409, Conflict), (422, Invalid), (500, ApiError)],
)
def test_error_has_the_class_of_its_status_and_the_servers_words(
    send: Send, scripted: Any, status: int, kind: type[ApiError]
) -> None:
    scripted.says(status, '{"detail": "the reason"}')

    with pytest.raises(kind, match="the reason") as caught:
        send(scripted.api_url, READ)

    assert caught.value.status == status


def test_conflict_names_the_object_that_has_the_name(send: Send, scripted: Any) -> None:
    body = {"detail": "The name is taken.", "existing_id": "an id"}
    scripted.says(409, json.dumps(body))

    with pytest.raises(Conflict) as caught:
        send(scripted.api_url, CREATE)

    assert caught.value.existing_id == "an id"


def test_refused_body_names_its_fields(send: Send, scripted: Any) -> None:
    problems = [
        {"loc": ["body", "priority"], "msg": "must be positive"},
        {"loc": ["body", "schedules", 0, "cron"], "msg": "is not cron"},
        {"loc": ["body"], "msg": "is too large"},
    ]
    scripted.says(422, json.dumps({"exception_detail": problems}))

    with pytest.raises(Invalid) as caught:
        send(scripted.api_url, CREATE)

    assert caught.value.problems == (
        FieldProblem(("priority",), "must be positive"),
        FieldProblem(("schedules", 0, "cron"), "is not cron"),
        FieldProblem((), "is too large"),
    )
    told = "priority: must be positive; schedules.0.cron: is not cron; is too large"
    assert str(caught.value) == told


def test_missing_credentials_name_the_setting(send: Send, scripted: Any) -> None:
    scripted.says(401, '{"exception_message": "Unauthorized"}')

    with pytest.raises(Unauthorized, match="FOREBAY_API_KEY"):
        send(scripted.api_url, READ)


def test_address_that_leads_nowhere_does_not_mean_that_the_object_is_gone(
    send: Send, scripted: Any
) -> None:
    scripted.says(404, '{"detail": "Not Found"}')

    with pytest.raises(ApiError, match=f"{scripted.api_url} has no such endpoint") as caught:
        send(scripted.api_url, READ)

    assert not isinstance(caught.value, NotFound)


def test_a_page_instead_of_an_error_does_not_mean_that_the_object_is_gone(
    send: Send, scripted: Any
) -> None:
    scripted.says(404, "<html>no such site</html>")

    with pytest.raises(ApiError, match=f"{scripted.api_url} answered with HTTP status 404") as e:
        send(scripted.api_url, READ)

    assert not isinstance(e.value, NotFound)


@pytest.mark.parametrize("body", ["<html>welcome</html>", "", "[1]", '{"a": 1}'])
def test_answer_of_another_server_names_the_address(send: Send, scripted: Any, body: str) -> None:
    scripted.says(200, body)

    with pytest.raises(ForebayError, match="is this the address of a Forebay or Prefect 3 API"):
        send(scripted.api_url, READ)


@pytest.mark.parametrize("body", ['{"exception_detail": 3}', '{"exception_detail": [{"loc": 1}]}'])
def test_error_of_a_strange_shape_is_still_an_error_of_the_api(
    send: Send, scripted: Any, body: str
) -> None:
    scripted.says(422, body)

    with pytest.raises(Invalid):
        send(scripted.api_url, READ)
