"""Flows over HTTP."""

import asyncio
from typing import Any

import httpx2 as httpx
import pytest


async def a_flow(api: httpx.AsyncClient, name: str, **fields: Any) -> dict[str, Any]:
    answer = await api.post("/flows/", json={"name": name, **fields})
    assert answer.status_code == 201, answer.text
    flow: dict[str, Any] = answer.json()
    return flow


async def names(api: httpx.AsyncClient, body: Any) -> list[str]:
    answer = await api.post("/flows/filter", json=body)
    assert answer.status_code == 200, answer.text
    return [flow["name"] for flow in answer.json()]


async def test_a_new_flow_answers_201_and_an_existing_one_200_unchanged(
    api: httpx.AsyncClient,
) -> None:
    first = await api.post("/flows/", json={"name": "etl", "tags": ["a"]})

    second = await api.post("/flows/", json={"name": "etl", "tags": ["b"]})

    assert (first.status_code, second.status_code) == (201, 200)
    assert second.json() == first.json()
    assert first.json()["tags"] == ["a"]


async def test_flows_created_at_once_under_one_name_are_one_flow(api: httpx.AsyncClient) -> None:
    answers = await asyncio.gather(*(api.post("/flows/", json={"name": "x"}) for _ in range(10)))

    assert sorted(answer.status_code for answer in answers) == [200] * 9 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_a_flow_is_read_by_id_and_by_name(api: httpx.AsyncClient) -> None:
    flow = await a_flow(api, "größe 1.0")

    by_id = await api.get(f"/flows/{flow['id']}")
    by_name = await api.get("/flows/name/größe 1.0")

    assert by_id.json() == by_name.json() == flow


@pytest.mark.parametrize(
    "path", ["/flows/00000000-0000-0000-0000-000000000000", "/flows/name/none", "/flows/no-id"]
)
async def test_a_flow_that_does_not_exist_is_not_found(api: httpx.AsyncClient, path: str) -> None:
    answer = await api.get(path)

    assert answer.status_code == 404


async def test_tags_are_changed_and_the_rest_stays(api: httpx.AsyncClient) -> None:
    flow = await a_flow(api, "etl", tags=["a"], labels={"team": "data"})

    answer = await api.patch(f"/flows/{flow['id']}", json={"tags": ["b", "c"]})

    after = (await api.get(f"/flows/{flow['id']}")).json()
    assert (answer.status_code, answer.content) == (204, b"")
    assert after["tags"] == ["b", "c"]
    assert after["labels"] == {"team": "data"}
    assert after["updated"] > flow["updated"]


async def test_a_deleted_flow_is_gone_and_a_second_delete_finds_nothing(
    api: httpx.AsyncClient,
) -> None:
    flow = await a_flow(api, "etl")

    first = await api.delete(f"/flows/{flow['id']}")
    second = await api.delete(f"/flows/{flow['id']}")

    assert (first.status_code, second.status_code) == (204, 404)
    assert (await api.get("/flows/name/etl")).status_code == 404


async def test_filters_select_by_id_name_and_tags(api: httpx.AsyncClient) -> None:
    one = await a_flow(api, "One", tags=["x", "y"])
    await a_flow(api, "two", tags=["x"])
    await a_flow(api, "1_0")

    assert await names(api, {"flows": {"id": {"any_": [one["id"]]}}}) == ["One"]
    assert await names(api, {"flows": {"id": {"any_": []}}}) == []
    assert await names(api, {"flows": {"name": {"like_": "ONE"}}}) == ["One"]
    assert await names(api, {"flows": {"name": {"like_": "_0"}}}) == ["1_0"]
    assert await names(api, {"flows": {"tags": {"all_": ["x", "y"]}}}) == ["One"]
    assert await names(api, {"flows": {"tags": {"any_": ["y", "z"]}}}) == ["One"]
    assert await names(api, {"flows": {"tags": {"is_null_": True}}}) == ["1_0"]
    either = {"operator": "or_", "name": {"any_": ["two"]}, "tags": {"all_": ["y"]}}
    assert await names(api, {"flows": either}) == ["One", "two"]
    assert await names(api, {"flows": {"deployment": {"is_null_": False}}}) == []


async def test_flows_are_ordered_and_cut_into_pages(api: httpx.AsyncClient) -> None:
    for name in ("b", "c", "a"):
        await a_flow(api, name)

    page = (await api.post("/flows/paginate", json={"limit": 2, "page": 2})).json()

    assert await names(api, None) == ["a", "b", "c"]
    assert await names(api, {"sort": "NAME_DESC", "limit": 2, "offset": 1}) == ["b", "a"]
    assert await names(api, {"sort": "CREATED_DESC", "limit": None}) == ["a", "c", "b"]
    assert await names(api, {"limit": 0}) == []
    assert [flow["name"] for flow in page.pop("results")] == ["c"]
    assert page == {"count": 3, "limit": 2, "pages": 2, "page": 2}
    assert (await api.post("/flows/count")).json() == 3


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/flows/", {"name": "a/b"}),
        ("/flows/", {"name": ""}),
        ("/flows/", {"name": "x", "bogus": 1}),
        ("/flows/", {"name": "x", "tags": ["\x00"]}),
        ("/flows/filter", {"limit": 201}),
        ("/flows/filter", {"offset": -1}),
        ("/flows/filter", {"flows": {"bogus": {}}}),
        ("/flows/filter", {"sort": "COLOUR_ASC"}),
        ("/flows/paginate", {"page": 0}),
    ],
)
async def test_a_bad_body_is_refused(api: httpx.AsyncClient, path: str, body: Any) -> None:
    answer = await api.post(path, json=body)

    assert answer.status_code == 422, answer.text
