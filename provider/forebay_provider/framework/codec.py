"""Values to and from the protocol's DynamicValue and RawState. Knows no resource."""

import json
from decimal import Decimal
from typing import Any

import ormsgpack

from forebay_provider.framework.diagnostics import Diagnostic, Failure
from forebay_provider.framework.kinds import Kind, Mismatch
from forebay_provider.framework.values import UNKNOWN, Unknown
from forebay_provider.pb import tfplugin6_pb2 as pb

REFINED = 12  # go-cty's extension code of an unknown value of which something is known


def decode(kind: Kind, message: pb.DynamicValue) -> Any:
    """The value of `message`; nothing set is null. Raises `Failure` for what is not a `kind`."""
    try:
        if message.msgpack:
            raw = ormsgpack.unpackb(message.msgpack, ext_hook=_unknown)
            return kind.read(raw)
        if message.json:
            return kind.upgrade(_load(message.json))
        return None
    except (ValueError, RecursionError, Mismatch) as error:
        raise _malformed("Terraform sent a value that cannot be read", error) from error


def encode(kind: Kind, value: Any) -> pb.DynamicValue:
    """The message of `value`, in MessagePack because only that can carry unknown values."""
    try:
        # Dataclasses are passed on because `Unknown` is one.
        packed = ormsgpack.packb(
            kind.write(value), default=_extension, option=ormsgpack.OPT_PASSTHROUGH_DATACLASS
        )
        return pb.DynamicValue(msgpack=packed)
    except (ValueError, TypeError, RecursionError, Mismatch) as error:
        raise _malformed("A value does not fit its schema", error) from error


def upgrade(kind: Kind, stored: pb.RawState) -> Any:
    """The value of a state file's object: attributes it lacks are null, unknown ones dropped."""
    if stored.flatmap:
        raise Failure(
            Diagnostic(
                "The state is too old",
                "It was written by Terraform 0.11 or older. Run `terraform apply` once with "
                "Terraform 0.12, or import the object again.",
            )
        )
    try:
        return kind.upgrade(_load(stored.json or b"null"))
    except (ValueError, RecursionError, Mismatch) as error:
        raise _malformed("The stored state cannot be read", error) from error


def _load(text: bytes) -> Any:
    # Decimal, because a float would change the digits of a number on its way through.
    return json.loads(text, parse_float=Decimal)


def _unknown(code: int, payload: bytes) -> Unknown:
    # Every extension means unknown; only this one says more.
    return Unknown(bytes(payload)) if code == REFINED else UNKNOWN


def _extension(value: Any) -> Any:
    if not isinstance(value, Unknown):
        raise TypeError(f"{type(value).__name__} has no MessagePack form")
    if value.refinement:
        return ormsgpack.Ext(REFINED, value.refinement)
    return ormsgpack.Ext(0, b"\0")


def _malformed(summary: str, error: Exception) -> Failure:
    path = error.path if isinstance(error, Mismatch) else ()
    where = "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in path).lstrip(".")
    detail = f"{where}: {error}" if where else str(error)
    return Failure(Diagnostic(summary, detail[:500] + ".", path))
