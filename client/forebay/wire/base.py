"""What all wire shapes share. Knows no domain."""

import math
import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
)

T = TypeVar("T")

MAX_INT = 2**31 - 1
MAX_JSON_DEPTH = 64
FORBIDDEN_IN_NAMES = "/%&<>"


class Wire(BaseModel):
    """Base of answers: unknown keys of a newer server are ignored."""

    # Built when first used: whoever starts a process needs few of the shapes.
    model_config = ConfigDict(from_attributes=True, ser_json_inf_nan="null", defer_build=True)


class Action(BaseModel):
    """Base of create and update bodies: an unknown key is an error of its sender."""

    model_config = ConfigDict(extra="forbid", defer_build=True)


class Lenient(BaseModel):
    """Base of bodies of which unknown keys are ignored, as Prefect 3.8.4 ignores them."""

    model_config = ConfigDict(defer_build=True)


class Page(Wire, Generic[T]):
    """One page of answers; `page` counts from 1."""

    results: list[T]
    count: int
    limit: int
    pages: int
    page: int


class Deleted(Wire):
    """The answer to deleting several objects: those that are gone."""

    deleted: list[UUID]


def problems(error: ValidationError) -> str:
    """What is wrong with values, each problem with its field; one of all of them has none."""
    told = []
    for problem in error.errors():
        field = ".".join(map(str, problem["loc"]))
        text = problem["msg"].removeprefix("Value error, ")
        told.append(f"{field}: {text}" if field else text)
    return "; ".join(told)


def check_name(value: str) -> str:
    """`value` in NFC, when it can be the name of an object and one segment of a URL.

    Source: Prefect 3.8.4 `^[^/%&><]+$`, not blank; the rest is reliability rule B4.
    """
    name = unicodedata.normalize("NFC", value)
    if not name.strip():
        raise ValueError("a name must not be blank")
    if len(name) > 255:
        raise ValueError("a name has at most 255 characters")
    if name != name.strip():
        raise ValueError("a name must not begin or end with a space")
    if name in (".", ".."):
        raise ValueError("a name must not be . or ..")
    bad = sorted({c for c in name if c in FORBIDDEN_IN_NAMES})
    if bad:
        raise ValueError(f"a name must not contain {' '.join(bad)}")
    if any(unicodedata.category(c) in ("Cc", "Cs") for c in name):
        raise ValueError("a name must not contain control characters")
    return name


def check_text(value: str) -> str:
    """`value` when a database can store it: no NUL and no lone surrogate."""
    try:
        value.encode()  # fails on surrogates, and is many times faster than looking for them
    except UnicodeEncodeError:
        raise ValueError("text must not contain surrogate characters") from None
    if "\x00" in value:
        raise ValueError("text must not contain NUL characters")
    return value


def check_json(value: dict[str, Any]) -> dict[str, Any]:
    """`value` when both databases can store it as JSON and every reader can parse it again."""
    left: list[tuple[Any, int]] = [(value, 1)]
    while left:
        item, depth = left.pop()
        if depth > MAX_JSON_DEPTH:
            raise ValueError(f"nested more than {MAX_JSON_DEPTH} deep")
        if isinstance(item, str):
            check_text(item)
        elif isinstance(item, float) and not math.isfinite(item):
            raise ValueError("NaN and infinity are not JSON")
        elif isinstance(item, int) and not -(2**63) <= item < 2**63:
            raise ValueError("an integer must fit in 64 bits")
        elif isinstance(item, dict):
            left.extend((part, depth + 1) for pair in item.items() for part in pair)
        elif isinstance(item, list):
            left.extend((part, depth + 1) for part in item)
    return value


def _no_boolean(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a boolean is not an integer")  # noqa: TRY004  (Pydantic asks for it)
    return value


def _to_utc(value: datetime) -> datetime:
    # Naive times are UTC in every field, as in Prefect 3.8.4: its clients pass on what users gave
    # them, such as the `scheduled_time` of a run or the `anchor_date` of a schedule.
    if value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("the time is out of range in UTC") from None


def format_time(value: datetime) -> str:
    """RFC 3339 in UTC with microseconds and `Z`, as the API answers."""
    return f"{value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


Name = Annotated[str, AfterValidator(check_name)]
Text = Annotated[str, AfterValidator(check_text)]
JsonObject = Annotated[dict[str, Any], AfterValidator(check_json)]
Timestamp = Annotated[
    datetime,
    AfterValidator(_to_utc),
    PlainSerializer(format_time, return_type=str, when_used="json"),
]
NoBoolean = BeforeValidator(_no_boolean)  # a text of digits is an integer (compat)
Limit = Annotated[int, Field(ge=0, le=MAX_INT), NoBoolean]  # how much at once; 0 means none
Priority = Annotated[int, Field(ge=1, le=MAX_INT), NoBoolean]  # 1 is served first


class Object(Wire):
    """What every stored object has."""

    id: UUID
    created: Timestamp
    updated: Timestamp
