"""The API's endpoints as values: one module per domain, one function per endpoint.

A function returns a `Call`; `forebay.client` sends it, blocking or async. So every endpoint is
written once, and nothing is sent by building a call.

What a plan of Terraform reads has its shape named rather than imported: Pydantic and the shapes
cost 70 ms of CPU, and the provider reads rows.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import quote

if TYPE_CHECKING:
    from pydantic import BaseModel

T = TypeVar("T")

KEY_HEADER = "Idempotency-Key"  # names a creation, so that the server does it once


@dataclass(frozen=True)
class Call(Generic[T]):
    """A request and how its answer is read."""

    method: str
    path: str  # below the API's base, already escaped
    parse: Callable[[bytes], T]
    body: Any = None  # JSON values; None sends no body
    headers: Mapping[str, str] = field(default_factory=dict)
    is_repeatable: bool = False  # whether sending it twice is as good as once
    # What the answer's headers (names in lower case) make of the parsed answer, where used.
    parse_headers: Callable[[Any, Mapping[str, str]], T] | None = None


def call(
    method: str,
    path: str,
    answer: Any = None,
    body: "BaseModel | Any" = None,
    *,
    headers: Mapping[str, str] | None = None,
    is_repeatable: bool | None = None,
) -> "Call[Any]":
    """A call whose answer is validated as `answer`, or ignored when that is None.

    `answer` is a type, or the name of one in `forebay.wire`: "work_pools.WorkPool", or a list of
    those: "list[work_pools.WorkPool]".

    A model sends what was set on it and nothing else, so that a PATCH changes only what its
    caller named.
    """
    if hasattr(body, "model_dump"):
        body = body.model_dump(mode="json", exclude_unset=True)
    if is_repeatable is None:
        is_repeatable = method in ("GET", "DELETE") or KEY_HEADER in (headers or {})
    return Call(method, path, reader(answer), body, headers or {}, is_repeatable)


@cache
def reader(answer: Any) -> Callable[[bytes], Any]:
    """A function from an answer's bytes to a value of type `answer`."""
    if answer is None:
        return lambda _: None
    if isinstance(answer, str):
        name: str = answer
        return lambda content: reader(_shape(name))(content)
    if hasattr(answer, "model_validate_json"):
        validate: Callable[[bytes], Any] = answer.model_validate_json
        return validate
    from pydantic import TypeAdapter

    return TypeAdapter(answer).validate_json


@cache
def _shape(name: str) -> Any:
    """The type that `call` was given the name of."""
    module, shape = name.removeprefix("list[").removesuffix("]").split(".")
    found: Any = getattr(import_module(f"forebay.wire.{module}"), shape)
    return list[found] if name.startswith("list[") else found


def segment(name: object) -> str:
    """`name` as one segment of a path."""
    return quote(str(name), safe="")
