"""The protocol's schema messages of declared models. Knows no value."""

import json
from typing import Any

from forebay_provider.framework.declarations import Attribute, declaration
from forebay_provider.pb import tfplugin6_pb2 as pb

_NESTING = {
    "single": pb.Schema.Object.SINGLE,
    "list": pb.Schema.Object.LIST,
    "set": pb.Schema.Object.SET,
    "map": pb.Schema.Object.MAP,
}


def schema(model: type[Any], version: int = 0) -> pb.Schema:
    """The schema of `model` as a root object."""
    found = declaration(model)
    return pb.Schema(
        version=version,
        block=pb.Schema.Block(
            attributes=[_attribute(a) for a in found.attributes],
            description=found.doc,
            description_kind=pb.MARKDOWN,
        ),
    )


def _attribute(attribute: Attribute) -> pb.Schema.Attribute:
    options = attribute.options
    message = pb.Schema.Attribute(
        name=attribute.name,
        description=options.doc,
        description_kind=pb.MARKDOWN,
        required=attribute.required,
        optional=attribute.optional,
        computed=attribute.computed,
        sensitive=options.sensitive,
        write_only=options.write_only,
        deprecated=bool(options.deprecated),
        deprecation_message=options.deprecated,
    )
    if attribute.nested is None:
        message.type = json.dumps(attribute.kind.constraint(), separators=(",", ":")).encode()
    else:
        message.nested_type.CopyFrom(
            pb.Schema.Object(
                attributes=[_attribute(a) for a in declaration(attribute.nested).attributes],
                nesting=_NESTING[attribute.nesting],
            )
        )
    return message
