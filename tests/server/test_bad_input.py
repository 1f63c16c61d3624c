"""What a client may send wrongly, and the answer that it gets: never one of a server's fault."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2 as httpx
import pytest
from fastapi import FastAPI
from starlette.types import Message

from forebay.wire.base import MAX_JSON_DEPTH
from forebay_server import gate
from forebay_server.app import create_app
from forebay_server.settings import ServerSettings

JSON = {"content-type": "application/json"}
FLOWS = "/flows/"


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "body",
    [
        b'{"name": "a", "name": "b"}',
        b'{"name": "a", "tags": [{"x": 1, "x": 1}]}',
        b'{"name": NaN}',
        b'{"name": Infinity}',
        b'{"name": -Infinity}',
        b'{"name": "\xff"}',
        b"\xff\xfe{\x00}\x00",
    ],
)
async def test_what_is_not_json_is_a_bad_request(api: httpx.AsyncClient, body: bytes) -> None:
    answer = await api.post(FLOWS, content=body, headers=JSON)

    assert answer.status_code == 400, answer.text
    assert answer.json()["code"] == "bad_request"


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (b"{bad", ["body", 1]),
        (b'{"name": "\\u0000"}', ["body", "name"]),
        (b'{"name": "a", "tags": ["ok", "\\ud800"]}', ["body", "tags", 1]),
        (b'{"name": "a", "labels": {"\\udc00": 1}}', ["body", "labels"]),
        (b'{"name": "a", "labels": {"n": 9223372036854775808}}', ["body", "labels", "n"]),
        (b'{"name": "a", "labels": {"n": -9223372036854775809}}', ["body", "labels", "n"]),
        (b'{"name": "a", "labels": {"n": %s}}' % (b"9" * 5000), ["body"]),
        (b'{"name": "a", "labels": {"n": 1e999}}', ["body"]),
        (b'{"name": ' + b"[" * 100_000, ["body"]),
    ],
)
async def test_what_cannot_be_stored_is_refused_by_its_place(
    api: httpx.AsyncClient, body: bytes, place: list[Any]
) -> None:
    answer = await api.post(FLOWS, content=body, headers=JSON)

    assert answer.status_code == 422, answer.text
    assert answer.json()["exception_detail"][0]["loc"] == place
    assert "input" not in answer.json()["exception_detail"][0]


@pytest.mark.parametrize(("depth", "status"), [(MAX_JSON_DEPTH - 2, 201), (MAX_JSON_DEPTH, 422)])
async def test_json_is_taken_to_its_greatest_depth(
    api: httpx.AsyncClient, depth: int, status: int
) -> None:
    answer = await api.post("/variables/", json={"name": "v", "value": nested(depth)})

    assert answer.status_code == status, answer.text


async def test_a_pair_of_surrogates_is_a_character(api: httpx.AsyncClient) -> None:
    answer = await api.post(FLOWS, content=b'{"name": "\\ud83d\\ude00"}', headers=JSON)

    assert answer.status_code == 201
    assert answer.json()["name"] == "\N{GRINNING FACE}"


async def test_a_backslash_before_a_u_is_text(api: httpx.AsyncClient) -> None:
    answer = await api.post(FLOWS, content=b'{"name": "\\\\u0000"}', headers=JSON)

    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/work_pools/", {"name": "p", "concurrency_limit": 2**31}),
        ("/work_pools/", {"name": "p", "concurrency_limit": True}),
        ("/work_queues/", {"name": "q", "priority": 2**31}),
        ("/work_queues/", {"name": "q", "priority": 2**63}),
        ("/v2/concurrency_limits/", {"name": "l", "limit": 2**31}),
        ("/concurrency_limits/", {"tag": "t", "concurrency_limit": 2**31}),
        ("/flows/filter", {"limit": 2**31}),
        ("/flows/filter", {"offset": 2**63}),
        ("/flows/paginate", {"page": 2**31}),
        ("/flow_runs/filter", {"limit": -1}),
    ],
)
async def test_an_integer_out_of_range_is_refused(
    api: httpx.AsyncClient, path: str, body: dict[str, Any]
) -> None:
    answer = await api.post(path, json=body)

    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("2026-01-02T03:04:05", "2026-01-02T03:04:05.000000Z"),
        ("2026-01-02T03:04:05+02:00", "2026-01-02T01:04:05.000000Z"),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59-12:00", None),
        ("yesterday", None),
    ],
)
async def test_a_time_without_an_offset_is_utc(
    api: httpx.AsyncClient, given: str, stored: str | None
) -> None:
    line = {"name": "n", "level": 20, "message": "m", "timestamp": given}

    answer = await api.post("/logs/", json=[line])

    assert answer.status_code == (201 if stored else 422), answer.text
    lines = (await api.post("/logs/filter", json={})).json()
    assert [line["timestamp"] for line in lines] == ([stored] if stored else [])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/flows/", {"name": "n" * 256}),
        ("/work_pools/", {"name": "p", "type": "t" * 256}),
        ("/variables/", {"name": "v" * 256, "value": 1}),
    ],
)
async def test_an_over_long_name_is_refused(
    api: httpx.AsyncClient, path: str, body: dict[str, Any]
) -> None:
    answer = await api.post(path, json=body)

    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/flows/filter", {"flows": {"tags": {"all_": ["t"] * 5000}}}),
        ("/flow_runs/filter", {"flow_runs": {"tags": {"any_": ["t"] * 5000}}}),
    ],
)
async def test_more_criteria_than_can_be_searched_are_refused(
    api: httpx.AsyncClient, path: str, body: dict[str, Any]
) -> None:
    answer = await api.post(path, json=body)

    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": "application/jsonp"},
        {**JSON, "content-encoding": "gzip"},
        {**JSON, "content-encoding": "unheard-of"},
    ],
)
@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_a_body_that_is_not_plain_json_is_an_unsupported_type(
    api: httpx.AsyncClient, headers: dict[str, str], method: str
) -> None:
    answer = await api.request(method, "/work_pools/x", content=b"{}", headers=headers)

    assert answer.status_code == 415, answer.text


async def test_json_may_name_its_character_set(api: httpx.AsyncClient) -> None:
    headers = {"content-type": "Application/JSON; charset=utf-8"}

    answer = await api.post(FLOWS, content=b'{"name": "f"}', headers=headers)

    assert answer.status_code == 201


async def test_a_body_that_announces_too_much_is_refused_unread(api: httpx.AsyncClient) -> None:
    body = b'"' + b"x" * gate.MAX_BODY_BYTES + b'"'

    answer = await api.post(FLOWS, content=body, headers=JSON)

    assert answer.status_code == 413
    assert answer.json()["code"] == "body_too_large"


async def test_a_body_that_grows_too_large_is_refused(api: httpx.AsyncClient) -> None:
    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1
            yield b" " * 65536

    answer = await api.post(FLOWS, content=chunks(), headers=JSON)

    assert answer.status_code == 413
    assert sent <= gate.MAX_BODY_BYTES // 65536 + 1


async def test_a_body_that_never_ends_is_given_up(
    api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "BODY_SECONDS", 0.05)

    async def chunks() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    answer = await api.post(FLOWS, content=chunks(), headers=JSON)

    assert answer.status_code == 408
    assert answer.headers["connection"] == "close"


async def test_headers_have_a_bound(api: httpx.AsyncClient) -> None:
    answer = await api.get("/hello", headers={"x-long": "x" * gate.MAX_HEADER_BYTES})

    assert answer.status_code == 431


@pytest.mark.parametrize("path", [b"%zz", b"%f", b"%", b"%ff", b"%c3%28"])
async def test_a_path_that_is_not_encoded_text_is_a_bad_request(
    api: httpx.AsyncClient, path: bytes
) -> None:
    url = httpx.URL("http://localhost/").copy_with(raw_path=b"/api/work_pools/" + path)

    answer = await api.get(url)

    assert answer.status_code == 400, answer.text
    assert answer.json()["code"] == "bad_path"


@pytest.mark.parametrize("path", ["%00", "%E0%A4%A1", "%F0%9F%98%80", "a%20b", "%2E%2E%2Fx"])
async def test_any_other_path_leads_to_an_object_or_nowhere(
    api: httpx.AsyncClient, path: str
) -> None:
    url = httpx.URL("http://localhost/").copy_with(raw_path=f"/api/work_pools/{path}".encode())

    answer = await api.get(url)

    assert answer.status_code in (404, 422), answer.text


async def test_every_answer_tells_browsers_to_keep_off(api: httpx.AsyncClient) -> None:
    for answer in (await api.get("/hello"), await api.get("/nowhere"), await api.put("/hello")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-request-id"]
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        assert "server" not in answer.headers


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("localhost:4200", 200),
        ("127.0.0.1:4200", 200),
        ("[::1]:4200", 200),
        ("forebay.example", 200),
        ("FOREBAY.example:443", 200),
        ("evil.example", 400),
        ("localhost.evil.example", 400),
        ("127.0.0.1.evil.example", 400),
        ("", 400),
    ],
)
async def test_only_names_of_its_own_lead_to_the_server(
    settings: ServerSettings, host: str, status: int
) -> None:
    app = create_app(settings.model_copy(update={"allowed_hosts": "forebay.example, other"}))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as api:
        answer = await api.get("/api/health", headers={"host": host})

    assert answer.status_code == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost", 201),
        ("http://evil.example", 403),
        ("http://localhost:8080", 403),
        ("null", 403),
        ("http://[", 403),
    ],
)
async def test_pages_of_other_sites_change_nothing(
    api: httpx.AsyncClient, origin: str, status: int
) -> None:
    answer = await api.post(FLOWS, json={"name": "f"}, headers={"origin": origin})

    assert answer.status_code == status


async def test_no_other_site_is_let_in_by_a_preflight(api: httpx.AsyncClient) -> None:
    asked = {"origin": "http://evil.example", "access-control-request-method": "POST"}

    answer = await api.options(FLOWS, headers=asked)

    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.startswith("access-control-")]


@pytest.mark.parametrize(
    ("path", "method"), [("/health", "DELETE"), ("/flows/filter", "PUT"), ("/flows/", "TRACE")]
)
async def test_a_method_that_a_path_does_not_have_is_told_those_it_has(
    api: httpx.AsyncClient, path: str, method: str
) -> None:
    answer = await api.request(method, path)

    assert answer.status_code == 405
    assert answer.headers["allow"]


async def test_a_value_that_reads_like_an_error_is_a_value(
    api: httpx.AsyncClient, app: FastAPI
) -> None:
    """The database's own words are told from those of the request."""
    many = ["database is locked", "disk is full", *["t"] * 5000]

    answer = await api.post("/flows/filter", json={"flows": {"tags": {"all_": many}}})

    assert answer.status_code == 422, answer.text


async def test_a_full_disk_stops_writes_only_and_for_a_time(
    api: httpx.AsyncClient, app: FastAPI
) -> None:
    async def limit_pages(pages: Callable[[int], int]) -> None:
        async with app.state.database.write() as db:
            connection = db.connection
            count = (await connection.exec_driver_sql("PRAGMA page_count")).scalar()
            await connection.exec_driver_sql(f"PRAGMA max_page_count = {pages(count)}")

    large = {"name": "large", "value": json.dumps(list(range(1000)))}
    await api.post(FLOWS, json={"name": "before"})

    await limit_pages(lambda count: count)
    refused = await api.post("/variables/", json=large)
    read = await api.get("/flows/name/before")
    await limit_pages(lambda count: count + 1000)
    written = await api.post("/variables/", json=large)

    assert refused.status_code == 507
    assert refused.json()["code"] == "storage_full"
    assert read.status_code == 200
    assert written.status_code == 201, written.text


async def test_a_client_that_is_gone_before_its_body_is_there_is_no_error(
    app: FastAPI, caplog: pytest.LogCaptureFixture
) -> None:
    half: list[Message] = [
        {"type": "http.request", "body": b'{"name":', "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return half.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json"), (b"content-length", b"100")]
    scope = {"type": "http", "method": "POST", "path": "/api/flows/", "raw_path": b"/api/flows/"}
    scope |= {"headers": [(b"host", b"localhost"), *headers], "query_string": b"", "state": {}}
    await app({**scope, "http_version": "1.1", "scheme": "http", "root_path": ""}, receive, send)

    assert sent[0]["status"] == 400
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
