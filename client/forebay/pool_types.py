"""The types of work pools and their default base job templates. Knows no API and no worker."""

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any


@dataclass(frozen=True)
class PoolType:
    """One type, as the data file beside this module describes it."""

    type: str
    display_name: str
    description: str
    kind: str  # hybrid: workers poll it; push, managed: the server starts its runs
    collection: str  # the package in which stock clients look for its worker
    default_template: dict[str, Any]


@cache
def pool_types() -> Mapping[str, PoolType]:
    """Every known type by name; read from the data file when first asked for.

    Variables, defaults and constraints: Prefect 3.8.4 and its worker packages, joined where the
    two differ. Other types may exist: a worker brings its own template along.
    """
    text = files("forebay").joinpath("pool_types.json").read_text("utf-8")
    return {item["type"]: PoolType(**item) for item in json.loads(text)}


def default_template(type: str) -> dict[str, Any]:
    """A copy of the type's base job template; empty for an unknown type."""
    known = pool_types().get(type)
    return copy.deepcopy(known.default_template) if known else {}
