"""Functions that Terraform's language can call: declared once, called with decoded values.

Knows no function. A function is pure: Terraform calls it whenever it likes, before the provider
is configured too, and compares the results.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from forebay_provider.framework import codec
from forebay_provider.framework.kinds import Kind
from forebay_provider.pb import tfplugin6_pb2 as pb


@dataclass(frozen=True, slots=True)
class Parameter:
    """An argument by position; Terraform itself refuses null and waits for unknown values."""

    name: str
    kind: Kind
    doc: str


@dataclass(frozen=True, slots=True)
class Function:
    """A function with its documentation."""

    name: str
    summary: str
    doc: str
    parameters: tuple[Parameter, ...]
    returns: Kind
    call: Callable[..., Any]  # raises `Refused`


class Refused(Exception):
    """The arguments give no result; `argument` counts from 0, None is none in particular."""

    def __init__(self, text: str, argument: int | None = None) -> None:
        super().__init__(text)
        self.argument = argument


def to_message(function: Function) -> pb.Function:
    """The protocol's description of a function."""
    message = pb.Function(
        parameters=[
            pb.Function.Parameter(
                name=p.name, type=_type(p.kind), description=p.doc, description_kind=pb.MARKDOWN
            )
            for p in function.parameters
        ],
        summary=function.summary,
        description=function.doc,
        description_kind=pb.MARKDOWN,
    )
    # The field's name is a word of Python's.
    getattr(message, "return").type = _type(function.returns)
    return message


def answer(function: Function, arguments: Sequence[pb.DynamicValue]) -> pb.CallFunction.Response:
    """The result of a call, or why there is none. Raises `Failure` for values of other types."""
    if len(arguments) != len(function.parameters):
        return refusal(f"{function.name} takes {len(function.parameters)} arguments")
    pairs = zip(function.parameters, arguments, strict=True)
    values = [codec.decode(parameter.kind, argument) for parameter, argument in pairs]
    if not_there := [i for i, value in enumerate(values) if value is None]:
        return refusal("must not be null", not_there[0])
    try:
        result = function.call(*values)
    except Refused as error:
        return refusal(str(error), error.argument)
    return pb.CallFunction.Response(result=codec.encode(function.returns, result))


def refusal(text: str, argument: int | None = None) -> pb.CallFunction.Response:
    """The answer to a call without a result."""
    printable = text.encode("utf-8", "replace").decode("utf-8")
    return pb.CallFunction.Response(
        error=pb.FunctionError(text=printable, function_argument=argument)
    )


def _type(kind: Kind) -> bytes:
    return json.dumps(kind.constraint(), separators=(",", ":")).encode()
