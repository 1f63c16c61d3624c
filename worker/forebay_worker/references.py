"""Values that a job configuration refers to: blocks, variables, the worker's environment.

Knows no worker type. What a reference stands for is not looked at again, so that a value with
braces in it stays text.
"""

import json
import os
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any
from uuid import UUID

from forebay.calls import Call, blocks, variables
from forebay.errors import NotFound
from forebay_worker.configuration import InvalidConfiguration

Json = Any
Send = Callable[[Call[Any]], Awaitable[Any]]

BLOCKS, VARIABLES = "prefect.blocks.", "prefect.variables."
_REFERENCE = re.compile(r"\{\{\s*(prefect\.(?:blocks|variables)\.[^\s{}]+|\$\w+)\s*\}\}")
_MISSING = object()


async def resolved(values: Json, send: Send, environ: Mapping[str, str] = os.environ) -> Json:
    """`values` with what their references stand for. Raises `InvalidConfiguration`.

    `{{ prefect.blocks.TYPE.NAME }}`, which may go on into the block's fields,
    `{{ prefect.variables.NAME }}`, `{{ $NAME }}` and `{"$ref": {"block_document_id": …}}`. An
    absent variable drops its key, and inside other text it is empty.
    """
    found: dict[str, Json] = {}
    for reference in sorted(set(_references(values))):
        try:
            found[reference] = await _look_up(reference, send, environ)
        except NotFound:
            raise InvalidConfiguration(
                f"The job configuration refers to {_shown(reference)}, which does not exist."
            ) from None
    return _replaced(values, found)


def _references(value: Json) -> Iterator[str]:
    """Names, and ids of blocks, anywhere in a value."""
    if isinstance(value, str):
        yield from _REFERENCE.findall(value)
    elif isinstance(value, Mapping):
        if (id := _block_id(value)) is not None:
            yield id
            return
        for item in value.values():
            yield from _references(item)
    elif isinstance(value, list):
        for item in value:
            yield from _references(item)


async def _look_up(reference: str, send: Send, environ: Mapping[str, str]) -> Json:
    if reference.startswith("$"):
        return environ.get(reference[1:], _MISSING)
    if reference.startswith(VARIABLES):
        try:
            return (await send(variables.read_by_name(reference.removeprefix(VARIABLES)))).value
        except NotFound:
            return _MISSING
    if not reference.startswith(BLOCKS):
        return (await send(blocks.read(UUID(reference), include_secrets=True))).data
    type_slug, _, rest = reference.removeprefix(BLOCKS).partition(".")
    name, *path = rest.split(".")
    block = await send(blocks.read_by_name(type_slug, name, include_secrets=True))
    value: Json = block.data
    # Source: Prefect 3.8.4: a block that has nothing but a value stands for it.
    if set(value) == {"value"} and path[:1] != ["value"]:
        value = value["value"]
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            raise InvalidConfiguration(
                f"The job configuration refers to {_shown(reference)}, but the block has no "
                f"{key!r}."
            )
        value = value[key]
    return value


def _replaced(value: Json, found: Mapping[str, Json]) -> Json:
    if isinstance(value, str):
        if whole := _REFERENCE.fullmatch(value):
            return found[whole[1]]
        return _REFERENCE.sub(lambda part: _as_text(found[part[1]]), value)
    if isinstance(value, Mapping):
        if (id := _block_id(value)) is not None:
            return found[id]
        items = {key: _replaced(item, found) for key, item in value.items()}
        return {key: item for key, item in items.items() if item is not _MISSING}
    if isinstance(value, list):
        return [
            item for item in (_replaced(item, found) for item in value) if item is not _MISSING
        ]
    return value


def _block_id(value: Mapping[str, Json]) -> str | None:
    """The id of a reference object. Raises `InvalidConfiguration` for one that is no id."""
    target = value.get("$ref")
    if not isinstance(target, Mapping) or "block_document_id" not in target:
        return None
    try:
        return str(UUID(str(target["block_document_id"])))
    except ValueError:
        raise InvalidConfiguration(
            f"The job configuration refers to a block by {target['block_document_id']!r}, which "
            "is not an id."
        ) from None


def _shown(reference: str) -> str:
    is_name = reference.startswith((BLOCKS, VARIABLES))
    return f"{{{{ {reference} }}}}" if is_name else f"the block {reference}"


def _as_text(value: Json) -> str:
    if value is _MISSING:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
