"""Variables over HTTP."""

from typing import Any

import httpx2 as httpx
import pytest

from tests.both_databases import settings

ABSENT = "00000000-0000-4000-8000-000000000001"  # the id of nothing; constant, as it names a case

__all__ = ["settings"]  # every test here runs on both databases


async def a_variable(
    api: httpx.AsyncClient, name: str = "v", value: Any = 1, **fields: Any
) -> dict[str, Any]:
    answer = await api.post("/variables/", json={"name": name, "value": value, **fields})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def names(api: httpx.AsyncClient, body: Any = None) -> list[str]:
    answer = await api.post("/variables/filter", json=body)
    assert answer.status_code == 200, answer.text
    return [variable["name"] for variable in answer.json()]


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        1.0,
        -1.5,
        "",
        "größe",
        [],
        [1, [None]],
        {},
        {"a": {"b": [1, "x", None]}},
        2**60,
    ],
)
async def test_any_json_value_is_kept_as_it_is(api: httpx.AsyncClient, value: Any) -> None:
    made = await a_variable(api, value=value)

    by_id = (await api.get(f"/variables/{made['id']}")).json()
    by_name = (await api.get("/variables/name/v")).json()

    assert by_id == by_name == made
    assert by_name["value"] == value
    assert type(by_name["value"]) is type(value)


async def test_a_taken_name_is_a_conflict_that_names_who_has_it(api: httpx.AsyncClient) -> None:
    made = await a_variable(api)

    answer = await api.post("/variables/", json={"name": "v", "value": 2})

    assert answer.status_code == 409
    assert answer.json()["existing_id"] == made["id"]


async def test_a_change_keeps_what_it_does_not_name(api: httpx.AsyncClient) -> None:
    made = await a_variable(api, value={"a": 1}, tags=["x"])

    first = await api.patch("/variables/name/v", json={"value": None})
    second = await api.patch(f"/variables/{made['id']}", json={"tags": ["y"], "name": "w"})

    after = (await api.get("/variables/name/w")).json()
    assert (first.status_code, second.status_code, second.content) == (204, 204, b"")
    assert (after["id"], after["value"], after["tags"]) == (made["id"], None, ["y"])
    assert after["updated"] > made["updated"]


async def test_a_name_that_is_taken_cannot_be_changed_to(api: httpx.AsyncClient) -> None:
    await a_variable(api, "v")
    await a_variable(api, "w")

    answer = await api.patch("/variables/name/v", json={"name": "w"})

    assert answer.status_code == 409
    assert await names(api) == ["v", "w"]


async def test_a_deleted_variable_is_gone(api: httpx.AsyncClient) -> None:
    made = await a_variable(api, "v")
    await a_variable(api, "w")

    statuses = [
        (await api.delete(path)).status_code
        for path in ("/variables/name/w", "/variables/name/w", f"/variables/{made['id']}")
    ]

    assert statuses == [204, 404, 204]
    assert (await api.post("/variables/count")).json() == 0


@pytest.mark.parametrize("path", [ABSENT, "name/none", "no-id"])
async def test_a_variable_that_does_not_exist_is_not_found(
    api: httpx.AsyncClient, path: str
) -> None:
    answers = [
        await api.request(method, f"/variables/{path}", json={"value": 1})
        for method in ("GET", "PATCH", "DELETE")
    ]

    assert [answer.status_code for answer in answers] == [404] * 3


async def test_filters_select_by_id_name_and_tags(api: httpx.AsyncClient) -> None:
    one = await a_variable(api, "One", tags=["x", "y"])
    await a_variable(api, "two", tags=["x"])
    await a_variable(api, "1_0")

    async def found(**criteria: Any) -> list[str]:
        body = {"variables": criteria}
        listed = await names(api, body)
        assert (await api.post("/variables/count", json=body)).json() == len(listed)
        return listed

    assert await found(id={"any_": [one["id"]]}) == ["One"]
    assert await found(name={"any_": ["two", "none"]}) == ["two"]
    assert await found(name={"like_": "ONE"}) == ["One"]
    assert await found(tags={"all_": ["x", "y"]}) == ["One"]
    assert await found(tags={"is_null_": True}) == ["1_0"]
    either = {"operator": "or_", "name": {"any_": ["1_0"]}, "tags": {"all_": ["y"]}}
    assert await found(**either) == ["1_0", "One"]


async def test_variables_are_ordered_and_cut_into_pages(api: httpx.AsyncClient) -> None:
    for name in ("b", "c", "a"):
        await a_variable(api, name)

    assert await names(api) == ["a", "b", "c"]
    assert await names(api, {"sort": "NAME_DESC", "limit": 2, "offset": 1}) == ["b", "a"]
    assert await names(api, {"sort": "CREATED_DESC", "limit": None}) == ["a", "c", "b"]


@pytest.mark.parametrize(
    "body",
    [
        {"name": "v"},
        {"value": 1},
        {"name": "a/b", "value": 1},
        {"name": "a" * 256, "value": 1},
        {"name": "v", "value": 1, "bogus": 1},
        {"name": "v", "value": "\x00"},
        {"name": "v", "value": "a" * 65_536},
        {"name": "v", "value": 2**64},
        {"name": "v", "value": 1, "tags": ["\x00"]},
    ],
)
async def test_a_bad_body_is_refused(api: httpx.AsyncClient, body: Any) -> None:
    answer = await api.post("/variables/", json=body)

    assert answer.status_code == 422, answer.text


@pytest.mark.parametrize("key", ["name", "tags"])
async def test_null_is_refused_where_there_must_be_a_value(
    api: httpx.AsyncClient, key: str
) -> None:
    await a_variable(api)

    answer = await api.patch("/variables/name/v", json={key: None})

    assert answer.status_code == 409
