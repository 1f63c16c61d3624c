"""Identities: the attributes that tell one object of a type from another. Knows no resource.

A resource declares the names of those attributes; their values are taken from its state.
"""

import json
from typing import Any

from forebay_provider.framework import codec
from forebay_provider.framework.declarations import declaration
from forebay_provider.framework.diagnostics import Diagnostic, Failure
from forebay_provider.framework.kinds import Object
from forebay_provider.framework.values import is_known
from forebay_provider.pb import tfplugin6_pb2 as pb

Values = dict[str, Any]
Names = tuple[str, ...]

_kinds: dict[tuple[type[Any], Names], Object] = {}  # made on first use


def schema(model: type[Any], names: Names) -> pb.ResourceIdentitySchema:
    """The identity schema of a type."""
    attributes = {a.name: a for a in declaration(model).attributes}
    return pb.ResourceIdentitySchema(
        identity_attributes=[
            pb.ResourceIdentitySchema.IdentityAttribute(
                name=name,
                type=json.dumps(attributes[name].kind.constraint()).encode(),
                required_for_import=True,
                description=attributes[name].options.doc,
            )
            for name in names
        ]
    )


def of(model: type[Any], names: Names, values: Values | None) -> pb.ResourceIdentityData | None:
    """The identity of an object; None while it is not decided, or where there is no object."""
    if not names or values is None:
        return None
    found = {name: values[name] for name in names}
    if not is_known(found) or None in found.values():
        return None
    return pb.ResourceIdentityData(identity_data=codec.encode(_kind(model, names), found))


def read(model: type[Any], names: Names, message: pb.ResourceIdentityData) -> Names:
    """The values of a whole identity, in the order of `names`. Raises `Failure`."""
    found = codec.decode(_kind(model, names), message.identity_data)
    if not isinstance(found, dict) or not all(isinstance(found[n], str) for n in names):
        listed = ", ".join(names)
        raise Failure(Diagnostic("The identity is not whole", f"It consists of {listed}."))
    return tuple(found[name] for name in names)


def upgrade(model: type[Any], names: Names, stored: pb.RawState) -> pb.ResourceIdentityData:
    """A stored identity in its present form. Raises `Failure`."""
    kind = _kind(model, names)
    found = codec.upgrade(kind, stored)
    return pb.ResourceIdentityData(identity_data=codec.encode(kind, found))


def _kind(model: type[Any], names: Names) -> Object:
    if (model, names) not in _kinds:
        kinds = declaration(model).kind.attributes
        _kinds[model, names] = Object({name: kinds[name] for name in names})
    return _kinds[model, names]
