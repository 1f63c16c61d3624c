"""What a resource, a data source or a provider is declared with: models and their attributes.

Whether an attribute is required, optional or computed follows from its annotation and default:

    name: str = attribute("…")                                 required
    note: str | None = attribute("…", default=None)            optional
    paused: bool = attribute("…", default=False)               optional, with a default
    id: str = attribute("…", computed=True)                    decided by the provider
    rank: int = attribute("…", default=None, computed=True)    decided by the provider if unset

Knows no protocol message.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, Literal, NewType, TypeVar, Union, dataclass_transform, get_args, get_origin

from forebay_provider.framework import kinds
from forebay_provider.framework.kinds import Kind, Object
from forebay_provider.framework.values import Unknown

M = TypeVar("M")
Nesting = Literal["single", "list", "set", "map"]

JsonText = NewType("JsonText", str)  # text that means the same when its JSON value is the same

_MISSING: Any = object()
_PRIMITIVES: dict[Any, Kind] = {
    str: kinds.STRING,
    JsonText: kinds.STRING,
    bool: kinds.BOOL,
    int: kinds.NUMBER,
    float: kinds.NUMBER,
    Any: kinds.DYNAMIC,
}


@dataclass(frozen=True, slots=True)
class Check:
    """A rule for one value."""

    complaint: Callable[[Any], str | None]  # what is wrong with a known value, if anything
    doc: str = ""  # the rule as a sentence, for the registry page


@dataclass(frozen=True, slots=True)
class Options:
    """What `attribute` was told."""

    doc: str
    default: Any
    computed: bool
    replace: bool
    volatile: bool
    sensitive: bool
    write_only: bool
    wire: str | None
    checks: tuple[Check, ...]
    deprecated: str


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a model, resolved."""

    name: str
    kind: Kind
    options: Options
    is_json: bool
    is_whole: bool  # a number without a fraction
    nested: type[Any] | None  # the model of a nested attribute
    nesting: Nesting

    @property
    def required(self) -> bool:
        return self.options.default is _MISSING and not self.options.computed

    @property
    def optional(self) -> bool:
        return self.options.default is not _MISSING

    @property
    def computed(self) -> bool:
        return self.options.computed or self.default is not None

    @property
    def default(self) -> Any:
        """The value that stands for null in the configuration; None where there is none."""
        return None if self.options.default is _MISSING else self.options.default

    @property
    def wire(self) -> str:
        """The field's name in the API."""
        return self.options.wire or self.name


@dataclass(frozen=True, slots=True)
class Declaration:
    """A model's attributes and what it says of itself."""

    attributes: tuple[Attribute, ...]
    kind: Object
    doc: str


def attribute(
    doc: str,
    *,
    default: Any = _MISSING,
    computed: bool = False,
    replace: bool = False,
    volatile: bool = False,
    sensitive: bool = False,
    write_only: bool = False,
    wire: str | None = None,
    checks: tuple[Check, ...] = (),
    deprecated: str = "",
) -> Any:
    """Declares an attribute; `doc` is a sentence for the user.

    `replace`: a change makes a new object. `computed` values keep what they were while planning,
    but a `volatile` one may change with any update. `wire` is the name in the API if different.
    """
    return Options(
        doc, default, computed, replace, volatile, sensitive, write_only, wire, checks, deprecated
    )


@dataclass_transform(kw_only_default=True, field_specifiers=(attribute,))
def model(cls: type[M]) -> type[M]:
    """Makes a class of attribute declarations a model; those of a model it extends are its too."""
    extended: Declaration | None = getattr(cls, "__declaration__", None)
    found = {each.name: each for each in extended.attributes} if extended else {}
    for name, annotation in cls.__annotations__.items():
        options: Options = cls.__dict__[name]
        found[name] = _attribute(name, annotation, options)
    attributes = tuple(found.values())
    kind = Object({a.name: a.kind for a in attributes})
    doc = " ".join((cls.__doc__ or "").split())
    cls.__declaration__ = Declaration(attributes, kind, doc)  # type: ignore[attr-defined]
    for name, method in (("__init__", _init), ("__repr__", _repr), ("__eq__", _eq)):
        setattr(cls, name, method)
    return cls


def declaration(model: type[Any] | object) -> Declaration:
    """The declaration of a model, or of an instance's model."""
    found: Declaration = model.__declaration__  # type: ignore[union-attr]
    return found


def from_values(model: type[M], values: Mapping[str, Any]) -> M:
    """An instance with `values` by attribute name; what is missing is None."""
    instance = object.__new__(model)
    own = instance.__dict__
    for a in _each(model):
        value = values.get(a.name)
        own[a.name] = value if a.nested is None else _map_nested(a, value, from_values)
    return instance


def to_values(instance: object) -> dict[str, Any]:
    """The values of an instance by attribute name."""
    values = {}
    for a in _each(instance):
        value = getattr(instance, a.name)
        values[a.name] = value if a.nested is None else _map_nested(a, value, _values_of)
    return values


def _values_of(_: type[Any], instance: object) -> dict[str, Any]:
    return to_values(instance)


def _each(model: type[Any] | object) -> tuple[Attribute, ...]:
    return declaration(model).attributes


def _map_nested(attribute: Attribute, value: Any, convert: Callable[[Any, Any], Any]) -> Any:
    nested = attribute.nested
    if nested is None or value is None or isinstance(value, Unknown):
        return value
    if attribute.nesting == "single":
        return convert(nested, value)
    if attribute.nesting == "map":
        return {key: convert(nested, item) for key, item in value.items()}
    return [convert(nested, item) for item in value]


def _attribute(name: str, annotation: Any, options: Options) -> Attribute:
    plain = _without_none(annotation)
    kind, nested, nesting = _kind(plain)
    return Attribute(
        name=name,
        kind=kind,
        options=options,
        is_json=plain is JsonText,
        is_whole=plain is int,
        nested=nested,
        nesting=nesting,
    )


def _without_none(annotation: Any) -> Any:
    if get_origin(annotation) in (Union, UnionType):
        (plain,) = [a for a in get_args(annotation) if a is not NoneType]
        return plain
    return annotation


def _kind(annotation: Any) -> tuple[Kind, type[Any] | None, Nesting]:
    if annotation in _PRIMITIVES:
        return _PRIMITIVES[annotation], None, "single"
    if hasattr(annotation, "__declaration__"):
        return declaration(annotation).kind, annotation, "single"
    element, nested, _ = _kind(get_args(annotation)[-1])
    if nested is not None and any(a.options.write_only for a in _each(nested)):
        raise TypeError("write-only attributes belong at the root of a resource")
    match get_origin(annotation):
        case origin if origin is list:
            return kinds.Sequence(element), nested, "list"
        case origin if origin is set:
            return kinds.Set(element), nested, "set"
        case origin if origin is dict:
            return kinds.Map(element), nested, "map"
    raise TypeError(f"{annotation} has no Terraform type")


def _init(self: Any, **values: Any) -> None:
    for attribute in _each(self):
        setattr(self, attribute.name, values.pop(attribute.name, attribute.default))
    if values:
        raise TypeError(f"{type(self).__name__} has no attribute {', '.join(values)}")


def _repr(self: Any) -> str:
    shown = (
        f"{a.name}={'(sensitive)' if a.options.sensitive else repr(getattr(self, a.name))}"
        for a in _each(self)
    )
    return f"{type(self).__name__}({', '.join(shown)})"


def _eq(self: Any, other: object) -> bool:
    return type(self) is type(other) and bool(to_values(self) == to_values(other))
