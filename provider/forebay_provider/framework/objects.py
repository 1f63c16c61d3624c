"""Whole objects of a model, as the protocol's messages carry them. Knows no resource."""

from typing import Any

from forebay_provider.framework import codec
from forebay_provider.framework.declarations import declaration, to_values
from forebay_provider.framework.diagnostics import Diagnostic, Failure
from forebay_provider.framework.semantics import keep_form
from forebay_provider.framework.values import Unknown, is_known
from forebay_provider.pb import tfplugin6_pb2 as pb

Values = dict[str, Any]


def decode(model: type[Any], message: pb.DynamicValue) -> Values | None:
    """The object's values by attribute name, or None for null. Raises `Failure`."""
    values = codec.decode(declaration(model).kind, message)
    if isinstance(values, Unknown):
        raise Failure(Diagnostic("Terraform sent an object that is wholly unknown"))
    decoded: Values | None = values
    return decoded


def decode_present(model: type[Any], message: pb.DynamicValue) -> Values:
    """The object's values where there must be an object. Raises `Failure`."""
    values = decode(model, message)
    if values is None:
        raise Failure(Diagnostic("Terraform sent null where an object is needed"))
    return values


def decode_state(model: type[Any], message: pb.DynamicValue) -> Values | None:
    """The values of an object that exists, None if there is none. Raises `Failure`."""
    values = decode(model, message)
    if not is_known(values):
        raise Failure(Diagnostic("Terraform sent a state with values that are not known"))
    return values


def is_null(model: type[Any], message: pb.DynamicValue) -> bool:
    """Whether there is no object. Raises `Failure`."""
    # Planning asks this of every object, and the rest of the value does not matter there.
    first = message.msgpack[:1]
    is_object = bool(first) and (first[0] & 0xF0 == 0x80 or first[0] in (0xDE, 0xDF))
    return not is_object and decode(model, message) is None


def is_same(one: Values, other: Values) -> bool:
    """Whether two objects have the very same values, without a look into nested ones."""
    return all(
        value is other[name] or (isinstance(value, str) and value == other[name])
        for name, value in one.items()
    )


def encode(model: type[Any], values: Values | None) -> pb.DynamicValue:
    """The message of an object; None is null. Raises `Failure`."""
    return codec.encode(declaration(model).kind, values)


def settled(instance: object, like: Values) -> Values:
    """What state keeps of `instance`: nothing unknown or write-only, in the form of `like`."""
    values = to_values(instance)
    for attribute in declaration(instance).attributes:
        is_undecided = isinstance(values[attribute.name], Unknown)
        if attribute.options.write_only or is_undecided:
            values[attribute.name] = None
    return keep_form(type(instance), values, like)


def with_write_only(model: type[Any], planned: Values, config: Values | None) -> Values:
    """`planned` with the values that exist only in the configuration."""
    given = config or {}
    return {
        a.name: given.get(a.name) if a.options.write_only else planned[a.name]
        for a in declaration(model).attributes
    }
