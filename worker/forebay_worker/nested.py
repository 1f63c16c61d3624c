"""Objects inside of objects, as templates nest them. Pure."""

from typing import Any

Json = dict[str, Any]


def at(body: Json, *path: str) -> Json:
    """The object at a path, made where it is missing. Raises `ValueError` for anything else."""
    found = body
    for number, key in enumerate(path):
        match found.setdefault(key, {}):
            case dict() as nested:
                found = nested
            case _:
                raise ValueError(f"{'.'.join(path[: number + 1])} must be an object")
    return found
