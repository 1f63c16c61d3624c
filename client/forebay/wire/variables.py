"""Variables on the wire. Source: Prefect 3.8.4 `Variable…`."""

import json
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from forebay.wire.base import Action, Name, Object, Text, check_json

MAX_VALUE_BYTES = 64 * 1024


def check_value(value: Any) -> Any:
    """`value` when it is JSON that can be stored and is not too large."""
    check_json({"value": value})
    if len(json.dumps(value, ensure_ascii=False).encode()) > MAX_VALUE_BYTES:
        raise ValueError(f"a value has at most {MAX_VALUE_BYTES} bytes as JSON")
    return value


Value = Annotated[Any, AfterValidator(check_value)]


class VariableCreate(Action):
    """What a caller may set on a new variable."""

    name: Name = Field(description="Name, unique in the server.")
    value: Value = Field(description="Any JSON value, null included.")
    tags: list[Text] = Field(default_factory=list)


class VariableUpdate(Action):
    """The keys that are present are changed."""

    name: Name | None = None
    value: Value = None
    tags: list[Text] | None = None


class Variable(Object):
    """A variable as the API answers it."""

    name: str
    value: Any = None
    tags: list[str] = Field(default_factory=list)
