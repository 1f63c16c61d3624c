"""Values in parameters that stand for others: JSON text, and variables by name.

Such a value is an object with the key `__prefect_kind`. Source: Prefect 3.8.4
`utilities/schema_tools/hydration.py`. Templates (`jinja`) are not rendered here: code that a
caller sends is not run in the server.
"""

import json
from typing import Any

from forebay.wire.base import check_json
from forebay_server.db.engine import Transaction
from forebay_server.errors import NotFound
from forebay_server.variables import queries

KIND = "__prefect_kind"
_ABSENT = object()  # stands for a value that its container goes without


class BadReference(Exception):
    """A value that stands for another does so wrongly; how."""


async def hydrate(db: Transaction, value: dict[str, Any]) -> dict[str, Any]:
    """`value` with every reference in it replaced by what it stands for.

    Raises `BadReference`.
    """
    if not _has_reference(value):
        return value
    found = await _hydrated(db, value)
    if not isinstance(found, dict):
        return {}
    try:
        return check_json(found)
    except ValueError as error:
        raise BadReference(str(error)) from None


def _has_reference(value: Any) -> bool:
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, dict):
            if KIND in item:
                return True
            left.extend(item.values())
        elif isinstance(item, list):
            left.extend(item)
    return False


async def _hydrated(db: Transaction, value: Any) -> Any:
    if isinstance(value, list):
        items = [await _hydrated(db, item) for item in value]
        return [item for item in items if item is not _ABSENT]
    if not isinstance(value, dict):
        return value
    if KIND in value:
        return await _meant(db, value)
    pairs = [(key, await _hydrated(db, item)) for key, item in value.items()]
    return {key: item for key, item in pairs if item is not _ABSENT}


async def _meant(db: Transaction, reference: dict[str, Any]) -> Any:
    match reference[KIND]:
        case "none":
            if "value" not in reference:
                raise BadReference("a reference of kind none needs the key value")
            return await _hydrated(db, reference["value"])
        case "json":
            return _parsed(await _part(db, reference, "value"))
        case "workspace_variable":
            name = await _part(db, reference, "variable_name")
            return name if name is _ABSENT else await _variable(db, name)
        case "jinja":
            raise BadReference("templates (jinja) are not rendered by this server")
        case _:
            return reference.get("value")


async def _part(db: Transaction, reference: dict[str, Any], key: str) -> Any:
    return await _hydrated(db, reference.get(key, _ABSENT))


def _parsed(text: Any) -> Any:
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadReference(f"Invalid JSON: {error}") from None


async def _variable(db: Transaction, name: Any) -> Any:
    if not isinstance(name, str):
        raise BadReference("the name of a variable must be a text")
    try:
        return (await queries.read(db, queries.has_name(name))).value
    except NotFound:
        raise BadReference(f"Variable '{name}' not found in workspace.") from None
