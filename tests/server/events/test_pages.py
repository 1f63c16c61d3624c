"""Stored events page by page and counted, on both databases."""

from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx2 as httpx
import pytest
from fastapi import FastAPI

from forebay.wire.states import StateCreate, StateType
from forebay.wire.tokens import Role, TokenCreate
from forebay_server.access import queries as tokens
from forebay_server.access.authentication import hash_token
from forebay_server.db.engine import Database
from forebay_server.events import reading
from tests.server.events.sockets import START, an_event
from tests.server.flow_runs.builders import a_place, a_run

Event = dict[str, Any]


async def store(api: httpx.AsyncClient, *events: Event) -> None:
    answer = await api.post("/events", json=list(events))
    assert answer.status_code == 204, answer.text


async def pages(api: httpx.AsyncClient, limit: int, **criteria: Any) -> list[list[Event]]:
    """All pages of what a filter finds, read as clients do; every one tells the same total."""
    answer = await api.post("/events/filter", json={"filter": criteria, "limit": limit})
    found = []
    totals = set()
    while True:
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found.append(page["events"])
        totals.add(page["total"])
        if page["next_page"] is None:
            break
        address = urlsplit(page["next_page"])
        assert address.path == "/api/events/filter/next"
        answer = await api.get(f"/events/filter/next?{address.query}")
    assert totals == {sum(map(len, found))}
    return found


def places(events: list[Event]) -> list[tuple[str, str]]:
    return [(event["occurred"], event["id"]) for event in events]


@pytest.mark.parametrize("order", ["ASC", "DESC"])
async def test_pages_go_through_all_kinds_of_events_in_one_order(
    api: httpx.AsyncClient, database: Database, order: str
) -> None:
    run = await a_run(database)  # whose first state is an event, too
    about = {"prefect.resource.id": f"prefect.flow-run.{run}"}
    seconds = (0, 1, 1, 1, 2)  # some at one time, so that a page ends between them
    await store(api, *(an_event(second=second, resource=about) for second in seconds))
    await store(api, an_event(resource={"prefect.resource.id": "another"}))

    found = await pages(api, 2, resource={"id": [about["prefect.resource.id"]]}, order=order)

    events = [event for page in found for event in page]
    assert [len(page) for page in found] == [2, 2, 2]
    assert places(events) == sorted(places(events), reverse=order == "DESC")
    assert len({event["id"] for event in events}) == 6
    assert {event["event"] for event in events} >= {"prefect.flow-run.Scheduled"}


async def test_a_page_is_the_same_whatever_comes_meanwhile(api: httpx.AsyncClient) -> None:
    await store(api, *(an_event(second=second) for second in range(4)))
    first = (await api.post("/events/filter", json={"limit": 2})).json()

    await store(api, an_event(second=99))
    query = urlsplit(first["next_page"]).query
    again = [(await api.get(f"/events/filter/next?{query}")).json() for _ in range(2)]

    occurred = [datetime.fromisoformat(event["occurred"]) for event in again[0]["events"]]
    assert again[0] == again[1]
    assert occurred == [START + timedelta(seconds=1), START]
    assert again[0]["total"] == 4
    assert again[0]["next_page"] is None


async def test_what_no_index_finds_is_found_in_bounded_steps(
    api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "PAGE", 2)
    monkeypatch.setattr(reading, "MAX_SCANNED", 4)
    red = {"prefect.resource.id": "a", "colour": "red"}
    rare = an_event(second=0, resource=red)
    await store(api, rare, *(an_event(second=second) for second in range(1, 10)))
    body = {"filter": {"resource": {"labels": {"colour": "red"}}}, "limit": 1}

    answer = (await api.post("/events/filter", json=body)).json()
    sizes = [len(answer["events"])]
    while answer["next_page"]:
        query = urlsplit(answer["next_page"]).query
        answer = (await api.get(f"/events/filter/next?{query}")).json()
        sizes.append(len(answer["events"]))

    assert sizes == [0, 0, 1]
    assert answer["events"][0]["id"] == rare["id"]


async def test_only_the_last_event_of_each_resource_is_distinct(api: httpx.AsyncClient) -> None:
    for name in ("a", "b", "c"):
        about = {"prefect.resource.id": name}
        await store(api, *(an_event(second=n, resource=about) for n in (ord(name), 200)))

    found = await pages(api, 2, resource={"distinct": True})

    about = [e["resource"]["prefect.resource.id"] for page in found for e in page]
    assert [len(page) for page in found] == [2, 1]
    assert sorted(about) == ["a", "b", "c"]


async def test_a_worker_reads_and_counts_events_of_its_pools_runs_only(
    api: httpx.AsyncClient, app: FastAPI, database: Database
) -> None:
    own, foreign = await a_place(database, "own"), await a_place(database, "foreign")
    runs = [str(await a_run(database, place.queue_id)) for place in (own, foreign)]
    about = [{"prefect.resource.id": f"prefect.flow-run.{run}"} for run in runs]
    await store(api, an_event(), *(an_event(resource=each) for each in about))
    async with database.write() as db:
        token = TokenCreate(name="w", role=Role.WORKER, work_pool_name="own")
        await tokens.create(db, token, hash_token("fb_worker"))
    app.state.authenticator._is_open = False
    api.headers["authorization"] = "Bearer fb_worker"

    found = await pages(api, 1)
    every = {"filter": {"occurred": {"until": "2040-01-01T00:00:00Z"}}}
    counted = (await api.post("/events/count-by/resource", json=every)).json()

    assert [event["resource"]["prefect.resource.id"] for (event,) in found] == [
        about[0]["prefect.resource.id"]
    ] * 2
    assert [(count["value"], count["count"]) for count in counted] == [
        (about[0]["prefect.resource.id"], 2)
    ]


async def test_events_are_counted_by_name_and_by_resource(
    api: httpx.AsyncClient, database: Database
) -> None:
    await a_run(database, state=StateCreate(type=StateType.PENDING))
    named = [
        {"prefect.resource.id": "x", "prefect.resource.name": name} for name in ("old", "new")
    ]
    await store(
        api,
        *(an_event("b.c", second=n, resource=each) for n, each in enumerate(named)),
        an_event("a.b", second=3),
    )
    body = {
        "filter": {"occurred": {"since": "2000-01-01T00:00:00Z", "until": "2040-01-01T00:00:00Z"}}
    }

    by_name = (await api.post("/events/count-by/event", json=body)).json()
    by_resource = (await api.post("/events/count-by/resource", json=body)).json()

    assert [(each["value"], each["count"]) for each in by_name] == [
        ("b.c", 2),
        ("a.b", 1),
        ("prefect.flow-run.Pending", 1),
    ]
    assert (by_resource[0]["value"], by_resource[0]["label"]) == ("x", "new")
    times = [datetime.fromisoformat(by_resource[0][name]) for name in ("start_time", "end_time")]
    assert times == [START, START + timedelta(seconds=1)]


async def test_intervals_without_events_are_counted_too(api: httpx.AsyncClient) -> None:
    times = ("2026-01-05T00:00:00Z", "2026-01-05T23:59:59.999999Z", "2026-01-07T12:00:00Z")
    await store(api, *(an_event(occurred=time) for time in times))
    occurred = {"since": "2026-01-05T10:00:00Z", "until": "2026-01-07T13:00:00Z"}
    body = {"filter": {"occurred": occurred}}

    by_day = (await api.post("/events/count-by/day", json=body)).json()
    hours = {**body, "time_unit": "hour", "time_interval": 12}
    by_time = (await api.post("/events/count-by/time", json=hours)).json()

    assert [count["count"] for count in by_day] == [1, 0, 1]
    assert [count["value"] for count in by_day] == ["0", "1", "2"]
    assert by_day[0]["start_time"] == "2026-01-05T00:00:00.000000Z"
    assert by_day[0]["end_time"] == "2026-01-05T23:59:59.999999Z"
    assert [count["count"] for count in by_time] == [0, 1, 0, 0, 0, 1]


async def test_what_cannot_be_read_or_counted_is_refused(api: httpx.AsyncClient) -> None:
    await store(api, an_event(), an_event())
    many = [str(uuid4()) for _ in range(2_000)]
    first_time = {"occurred": {"until": "0001-01-01T00:00:00Z"}}
    seconds = {"filter": {}, "time_unit": "second"}

    answers = {
        "malformed": await api.get("/events/filter/next?page-token=x"),
        "not packed": await api.get("/events/filter/next?page-token=eHh4eA=="),
        "missing": await api.get("/events/filter/next"),
        "too many": await api.post("/events/filter", json={"limit": 201}),
        "unknown": await api.post("/events/count-by/colour", json={"filter": {}}),
        "no filter": await api.post("/events/count-by/day", json={}),
        "too short": await api.post("/events/count-by/time", json=seconds),
        "too long": await api.post(
            "/events/filter", json={"limit": 1, "filter": {"related": {"id": many}, "id": {}}}
        ),
        "first": await api.post("/events/count-by/day", json={"filter": first_time}),
        "none": await api.post("/events/filter", json={"limit": 0}),
    }

    statuses = {name: answer.status_code for name, answer in answers.items()}
    assert statuses == dict.fromkeys(answers, 422) | {"too long": 200, "first": 200, "none": 200}
    assert answers["none"].json() == {"events": [], "total": 2, "next_page": None}


async def test_a_filter_too_long_for_an_address_says_so(api: httpx.AsyncClient) -> None:
    await store(api, an_event(), an_event())
    ids = ["forebay.test.1", *(str(uuid4()) for _ in range(2_000))]

    answer = await api.post(
        "/events/filter", json={"limit": 1, "filter": {"resource": {"id": ids}}}
    )

    assert answer.status_code == 422
    assert "filter is too long" in answer.json()["detail"]


async def test_there_are_no_automations(api: httpx.AsyncClient) -> None:
    body = {"automations": {"name": {"any_": ["a"]}}, "sort": "UPDATED_DESC", "limit": None}

    assert (await api.post("/automations/filter", json=body)).json() == []
    assert (await api.post("/automations/count", json={})).json() == 0
    assert (await api.post("/automations/filter", json={"limit": 201})).status_code == 422
