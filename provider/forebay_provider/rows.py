"""Answers as rows: JSON objects with nothing read into them. Knows no endpoint.

A plan compares what the API says with what the state holds, and both are JSON. The shapes of
`forebay.wire` with Pydantic cost 75 ms of CPU to import, a seventh of the smallest plan.
"""

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forebay.calls import Call

Row = dict[str, Any]


def of_object(call: "Call[Any]") -> "Call[Row]":
    """`call` with the object that it answers as a row."""
    return replace(call, parse=_one)


def of_page(call: "Call[Any]") -> "Call[list[Row]]":
    """`call` with the objects that it answers as rows."""
    return replace(call, parse=_many)


def _one(content: bytes) -> Row:
    row = json.loads(content)
    if not isinstance(row, dict) or not isinstance(row.get("id"), str):
        raise ValueError("no object with an id")  # noqa: TRY004  (as for text that is not JSON)
    return row


def _many(content: bytes) -> list[Row]:
    rows = json.loads(content)
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and isinstance(row.get("id"), str) for row in rows
    ):
        raise ValueError("no list of objects with ids")
    return rows
