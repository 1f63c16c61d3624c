"""Log lines over HTTP."""

from typing import Any
from uuid import uuid4

import httpx2 as httpx
import pytest
from sqlalchemy import text
from sqlalchemy.dialects import sqlite

from forebay_server.db.engine import Database
from forebay_server.logs import queries
from forebay_server.logs.filters import LogFilter, LogSort

RUN = str(uuid4())
OTHER = str(uuid4())


def a_line(message: str, second: int = 0, **fields: Any) -> dict[str, Any]:
    line = {"name": "flow", "level": 20, "message": message, "flow_run_id": RUN}
    return line | {"timestamp": f"2030-01-01T00:00:{second:02}Z"} | fields


async def write(api: httpx.AsyncClient, *lines: dict[str, Any]) -> None:
    answer = await api.post("/logs/", json=list(lines))
    assert (answer.status_code, answer.content) == (201, b""), answer.text


async def messages(api: httpx.AsyncClient, body: Any = None) -> list[str]:
    answer = await api.post("/logs/filter", json=body)
    assert answer.status_code == 200, answer.text
    return [line["message"] for line in answer.json()]


async def test_lines_come_back_in_order_of_time(api: httpx.AsyncClient) -> None:
    await write(api, a_line("second", 2), a_line("first", 1))
    await write(api, a_line("third", 3))

    assert await messages(api) == ["first", "second", "third"]
    assert await messages(api, {"sort": "TIMESTAMP_DESC"}) == ["third", "second", "first"]


async def test_lines_of_one_instant_keep_their_order_over_pages(api: httpx.AsyncClient) -> None:
    wanted = [f"line {number}" for number in range(450)]
    await write(api, *(a_line(message) for message in wanted))

    pages = [await messages(api, {"offset": offset}) for offset in (0, 200, 400, 600)]

    assert [len(page) for page in pages] == [200, 200, 50, 0]
    assert [message for page in pages for message in page] == wanted


async def test_filters_select_by_level_time_run_and_text(api: httpx.AsyncClient) -> None:
    task = str(uuid4())
    await write(
        api,
        a_line("Loading data", 1, level=10),
        a_line("disk full", 2, level=40, task_run_id=task),
        a_line("disk ok", 3, flow_run_id=OTHER, name="agent"),
        a_line("worker started", 4, flow_run_id=None),
    )

    async def select(**logs: Any) -> list[str]:
        return await messages(api, {"logs": logs, "limit": None, "offset": None, "sort": None})

    assert await select(level={"ge_": 40}) == ["disk full"]
    assert await select(level={"le_": 10}) == ["Loading data"]
    times = {"after_": "2030-01-01T00:00:02Z", "before_": "2030-01-01 00:00:03+00:00"}
    assert await select(timestamp=times) == ["disk full", "disk ok"]
    assert await select(flow_run_id={"any_": [OTHER]}) == ["disk ok"]
    assert await select(flow_run_id={"any_": []}) == []
    assert await select(flow_run_id={"is_null_": True}) == ["worker started"]
    assert await select(task_run_id={"any_": [task]}) == ["disk full"]
    assert await select(text={"query": "LOADING agent"}) == ["Loading data", "disk ok"]
    assert await select(text={"query": "disk -full"}) == ["disk ok"]
    assert await select(text={"query": '+disk +"disk full"'}) == ["disk full"]
    assert await select(text={"query": "%"}) == []
    either = {"level": {"ge_": 40}, "flow_run_id": {"any_": [OTHER]}, "operator": "or_"}
    assert await select(**either) == ["disk full", "disk ok"]


async def test_an_empty_batch_is_taken(api: httpx.AsyncClient) -> None:
    await write(api)

    assert await messages(api) == []


@pytest.mark.parametrize(
    "line",
    [
        a_line("x", level="loud"),
        a_line("x", level=-1),
        a_line("x", timestamp="yesterday"),
        a_line("x", flow_run_id="no-id"),
        a_line("x", bogus=1),
        a_line("nul \x00"),
        {"name": "flow", "level": 20},
    ],
)
async def test_a_bad_line_refuses_the_whole_batch(
    api: httpx.AsyncClient, line: dict[str, Any]
) -> None:
    answer = await api.post("/logs/", json=[a_line("good"), line])

    assert answer.status_code == 422
    assert answer.json()["exception_detail"][0]["loc"][:2] == ["body", 1]
    assert await messages(api) == []


async def test_a_batch_of_too_many_lines_is_refused(api: httpx.AsyncClient) -> None:
    line = {"name": "n", "level": 0, "message": "", "timestamp": 0}

    answer = await api.post("/logs/", json=[line] * 25_001)

    assert answer.status_code == 422


async def test_a_page_of_a_runs_lines_is_read_from_an_index(database: Database) -> None:
    if database.dialect != "sqlite":
        pytest.skip("an empty table's plan on PostgreSQL says nothing")
    criteria = LogFilter.model_validate({"flow_run_id": {"any_": [RUN]}})
    statement = queries.selected(criteria, LogSort.TIMESTAMP_ASC, 200, 0)
    sql = statement.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})

    async with database.read() as db:
        plan = [row.detail for row in await db.rows(text(f"EXPLAIN QUERY PLAN {sql}"))]

    assert any("USING INDEX ix_log_run_time (flow_run_id=?)" in step for step in plan), plan
    assert not any("TEMP B-TREE" in step for step in plan), plan


async def test_a_whole_batch_of_a_stock_client_is_taken(api: httpx.AsyncClient) -> None:
    batch = [a_line("x" * 90) for _ in range(18_500)]

    answer = await api.post("/logs/", json=batch)

    assert 3_900_000 < int(answer.request.headers["content-length"]) < 4_200_000
    assert answer.status_code == 201, answer.text


async def test_no_other_body_may_be_as_large(api: httpx.AsyncClient) -> None:
    large = await api.post("/flows/", json={"name": "f", "tags": ["x" * 2_000_000]})
    too_large = await api.post("/logs/", json=[a_line("x" * 6_000_000)])

    assert large.status_code == too_large.status_code == 413
