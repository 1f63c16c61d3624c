"""What the fields of a block schema say: their checksum, which values are secret. Pure.

The checksum was found by trying against Prefect 3.8.4, whose clients look schemas up by the one
that they calculate themselves.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from uuid import UUID

Fields = Mapping[str, Any]
Path = tuple[str | int, ...]

EVERY = "*"  # in a secret field: each key at that place


def checksum(fields: Fields) -> str:
    """`sha256:…` of the fields: not of what is secret, nor of the blocks that they refer to."""
    bare = _without(fields, "secret_fields")
    definitions = bare.pop("definitions", None) or {}
    used = {name: definitions.get(name) for name in _referred(fields)}
    kept = {name: d for name, d in used.items() if d and "block_type_slug" not in d}
    if kept:
        bare["definitions"] = kept
    text = json.dumps([[bare], {}], sort_keys=True)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _without(value: Any, key: str) -> Any:
    if isinstance(value, Mapping):
        return {k: _without(v, key) for k, v in value.items() if k != key}
    return [_without(item, key) for item in value] if isinstance(value, list) else value


def _referred(value: Any) -> Iterator[str]:
    """The names of the definitions that are referred to anywhere."""
    if isinstance(value, Mapping):
        reference = value.get("$ref")
        if isinstance(reference, str):
            yield reference.rpartition("/")[2]
        for part in value.values():
            yield from _referred(part)
    elif isinstance(value, list):
        for part in value:
            yield from _referred(part)


def secret_paths(fields: Fields, data: Any) -> list[Path]:
    """Where in `data` values are that must not be told; null is no secret."""
    listed = fields.get("secret_fields")
    patterns = {field for field in listed if isinstance(field, str)} if listed else set()
    properties = fields.get("properties")
    for name, schema in properties.items() if isinstance(properties, Mapping) else ():
        # What is for writing only is not for reading, listed or not.
        if isinstance(schema, Mapping) and schema.get("writeOnly") is True:
            patterns.add(name)
    found: dict[Path, None] = {}
    for pattern in sorted(patterns):
        found.update(dict.fromkeys(_matches(pattern, data, ())))
    return [path for path in found if not any(path[:n] in found for n in range(1, len(path)))]


def _matches(pattern: str, value: Any, path: Path) -> Iterator[Path]:
    """Places below `path` that a dotted pattern means; keys may themselves hold dots."""
    if not pattern:
        if value is not None:
            yield path
        return
    first, _, rest = pattern.partition(".")
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _matches(rest if first == EVERY else pattern, item, (*path, index))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if first == EVERY:
                yield from _matches(rest, item, (*path, key))
            elif key == pattern:
                yield from _matches("", item, (*path, key))
            elif pattern.startswith(key + "."):
                yield from _matches(pattern[len(key) + 1 :], item, (*path, key))
    elif value is not None and path:
        yield path  # not of the shape that was declared: rather too secret than not enough


def referred_id(value: Any) -> UUID | None:
    """The block that a value refers to, if it is a reference."""
    reference = value.get("$ref") if isinstance(value, Mapping) else None
    if isinstance(reference, Mapping):
        reference = reference.get("block_document_id")
    try:
        return UUID(reference) if isinstance(reference, str) else None
    except ValueError:
        return None


def place_name(path: Path) -> str:
    """A place as text."""
    return json.dumps(path)


def places(names: Iterable[str]) -> list[Path]:
    """The places that texts of `place_name` mean."""
    return [tuple(json.loads(name)) for name in names]


def read_at(data: Any, path: Path) -> Any:
    """The value at `path`."""
    for step in path:
        data = data[step]
    return data


def replaced(data: Any, values: Mapping[Path, Any]) -> Any:
    """`data` with other values at some places."""
    return _replaced(data, values, ())


def _replaced(data: Any, values: Mapping[Path, Any], path: Path) -> Any:
    if path in values:
        return values[path]
    if isinstance(data, Mapping):
        return {key: _replaced(item, values, (*path, key)) for key, item in data.items()}
    if isinstance(data, list):
        return [_replaced(item, values, (*path, i)) for i, item in enumerate(data)]
    return data
