"""Decodes JSON bodies: what either database or another reader could not take is refused here."""

import json
import math
import re
from typing import Any

from fastapi.exceptions import RequestValidationError

from forebay.wire.base import MAX_JSON_DEPTH, check_text
from forebay_server.errors import BadRequest

# Escapes of NUL and of surrogates, which are the rule in pairs, and integers of 64 bits or more:
# only a body that has one of them is looked through text by text and number by number.
_SUSPICIOUS = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])|\d{19}")

TOO_DEEP = f"nested more than {MAX_JSON_DEPTH} deep"


class _NotJson(ValueError):
    """Something that the decoder takes and RFC 8259 does not."""


def decode(body: bytes) -> Any:
    """The value of a JSON body.

    Raises `BadRequest` when it is not UTF-8, repeats a key or holds NaN or infinity, and
    `RequestValidationError` when it is no JSON at all (Prefect 3.8.4: 422) or cannot be stored.
    """
    try:
        value = _DECODER.decode(body.decode())
    except UnicodeDecodeError:
        raise BadRequest("The body is not UTF-8.") from None
    except json.JSONDecodeError as error:
        raise _refused("json_invalid", ("body", error.pos), error.msg) from None
    except _NotJson as error:
        raise BadRequest(f"The body is not JSON: {error}.") from None
    except RecursionError:
        raise _refused("json_depth", ("body",), TOO_DEEP) from None
    except ValueError:  # more digits than Python converts
        raise _refused("value_error", ("body",), "an integer must fit in 64 bits") from None
    is_suspicious = _SUSPICIOUS.search(body) is not None
    if body.count(b"{") + body.count(b"[") > MAX_JSON_DEPTH:
        _check_depth(value)
    if is_suspicious:
        _check_leaves(value)
    return value


def _refused(kind: str, place: tuple[str | int, ...], message: str) -> RequestValidationError:
    return RequestValidationError([{"type": kind, "loc": place, "msg": message}])


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_JSON_DEPTH + 1):
        level = [
            part
            for item in level
            if type(item) in (dict, list)
            for part in (item.values() if type(item) is dict else item)
        ]
        if not level:
            return
    raise _refused("json_depth", ("body",), TOO_DEEP)


def _check_leaves(value: Any) -> None:
    """Refuse texts and integers that cannot be stored, keys of objects among them."""
    left: list[tuple[tuple[str | int, ...], Any]] = [(("body",), value)]
    while left:
        place, item = left.pop()
        try:
            if type(item) is str:
                check_text(item)
            elif type(item) is int and not -(2**63) <= item < 2**63:
                raise ValueError("an integer must fit in 64 bits")
            elif type(item) is list:
                left.extend(((*place, index), part) for index, part in enumerate(item))
            elif type(item) is dict:
                for key in item:
                    check_text(key)
                left.extend(((*place, key), part) for key, part in item.items())
        except ValueError as error:
            raise _refused("value_error", place, str(error)) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _NotJson("a key is repeated in an object")
    return value


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise _refused("value_error", ("body",), "a number is out of range")
    return number


def _constant(text: str) -> float:
    raise _NotJson(f"{text} is no number")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_number, parse_constant=_constant
)
