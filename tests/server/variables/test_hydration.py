"""Values in parameters that stand for others."""

from typing import Any

import httpx2 as httpx
import pytest

from forebay_server.db.engine import Database
from forebay_server.variables.hydration import KIND, BadReference, hydrate

NAMED = {KIND: "workspace_variable", "variable_name": "v"}
CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "plain values": ({"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}),
    "JSON text": ({"a": {KIND: "json", "value": "[1, 2]"}}, {"a": [1, 2]}),
    "JSON that is no text": ({"a": {KIND: "json", "value": 5}}, {"a": 5}),
    "JSON text left out": ({"a": {KIND: "json"}, "b": [{KIND: "json"}]}, {"b": []}),
    "a variable": ({"a": [NAMED]}, {"a": [{"k": 1}]}),
    "a variable left out": ({"a": {KIND: "workspace_variable"}}, {}),
    "a name within a name": (
        {"a": {KIND: "workspace_variable", "variable_name": {KIND: "json", "value": '"v"'}}},
        {"a": {"k": 1}},
    ),
    "a value given as it is": (
        {"a": {KIND: "none", "value": {"x": NAMED}}},
        {"a": {"x": {"k": 1}}},
    ),
    "an unknown kind": ({"a": {KIND: "else", "value": 3}}, {"a": 3}),
    "all of it": ({KIND: "json", "value": '{"a": 1}'}, {"a": 1}),
    "nothing at all": ({KIND: "json"}, {}),
}


@pytest.mark.parametrize("name", CASES)
async def test_references_are_replaced(
    api: httpx.AsyncClient, database: Database, name: str
) -> None:
    await api.post("/variables/", json={"name": "v", "value": {"k": 1}})
    given, wanted = CASES[name]

    async with database.read() as db:
        assert await hydrate(db, given) == wanted


@pytest.mark.parametrize(
    "reference",
    [
        {KIND: "json", "value": "{"},
        {KIND: "json", "value": "NaN"},
        {KIND: "json", "value": '"\\u0000"'},
        {KIND: "jinja", "template": "{{ 1 }}"},
        {KIND: "workspace_variable", "variable_name": "nobody"},
        {KIND: "workspace_variable", "variable_name": ["v"]},
        {KIND: "none"},
    ],
    ids=str,
)
async def test_references_to_nothing_are_told(
    database: Database, reference: dict[str, Any]
) -> None:
    async with database.read() as db:
        with pytest.raises(BadReference):
            await hydrate(db, {"a": reference})
