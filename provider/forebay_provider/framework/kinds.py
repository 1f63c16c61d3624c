"""Terraform's types: how values of each are read, written, upgraded and compared.

Python values: str, bool, int for whole numbers and Decimal for others, list for lists, sets and
tuples, dict for maps and objects, `Dynamic`, `Unknown`, and None for null. Knows no schema.
"""

import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from forebay_provider.framework.diagnostics import Key, Path
from forebay_provider.framework.values import Dynamic, Unknown

MIN_INT64, MAX_INT64 = -(2**63), 2**63 - 1
# What core never sends is refused rather than converted: a number of 10^9 digits would hang.
MAX_NUMBER_DIGITS = 10_000


class Mismatch(Exception):
    """A value does not have the type that the schema promises."""

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path


class Kind:
    """A type. Null and unknown belong to every type and are handled here."""

    # Of a primitive type: values of this Python type are read as they are and compared with `==`.
    # Objects look at it themselves, because most of what a plan costs here is calls per attribute.
    exact: type[Any] | None = None

    def constraint(self) -> Any:
        """The type constraint as JSON values."""
        raise NotImplementedError

    def read(self, raw: Any, path: Path = ()) -> Any:
        """The value of unpacked msgpack. Raises `Mismatch`."""
        if raw is None or isinstance(raw, Unknown):
            return raw
        return self._read(raw, path)

    def write(self, value: Any, path: Path = ()) -> Any:
        """The msgpack form of `value`. Raises `Mismatch`."""
        if value is None or isinstance(value, Unknown):
            return value
        return self._write(value, path)

    def upgrade(self, raw: Any, path: Path = ()) -> Any:
        """The value of JSON from a state file; what the type added since then is null."""
        return None if raw is None else self._upgrade(raw, path)

    def same(self, one: Any, other: Any) -> bool:
        """Whether two values are equal to Terraform."""
        if one is None or other is None or isinstance(one, Unknown) or isinstance(other, Unknown):
            return bool(one == other)
        return self._same(one, other)

    def _read(self, raw: Any, path: Path) -> Any:
        raise NotImplementedError

    def _write(self, value: Any, path: Path) -> Any:
        return self._read(value, path)

    def _upgrade(self, raw: Any, path: Path) -> Any:
        return self._read(raw, path)

    def _same(self, one: Any, other: Any) -> bool:
        return bool(one == other)


class _String(Kind):
    exact = str

    def constraint(self) -> str:
        return "string"

    def _read(self, raw: Any, path: Path) -> str:
        if not isinstance(raw, str):
            raise Mismatch(path, f"a string is required, not {_name(raw)}")
        return raw


class _Bool(Kind):
    exact = bool

    def constraint(self) -> str:
        return "bool"

    def _read(self, raw: Any, path: Path) -> bool:
        if not isinstance(raw, bool):
            raise Mismatch(path, f"a bool is required, not {_name(raw)}")
        return raw


class _Number(Kind):
    exact = int

    def constraint(self) -> str:
        return "number"

    def _read(self, raw: Any, path: Path) -> int | Decimal:
        if isinstance(raw, int) and not isinstance(raw, bool):
            return raw
        try:
            # Through the shortest text of a float, as core does: 0.1 is the decimal 0.1.
            number = raw if isinstance(raw, Decimal) else Decimal(_numeric_text(raw))
        except (TypeError, InvalidOperation):
            raise Mismatch(path, f"a number is required, not {_name(raw)}") from None
        if not number.is_finite() or abs(number.adjusted()) > MAX_NUMBER_DIGITS:
            raise Mismatch(path, "the number is too large")
        return int(number) if number == number.to_integral_value() else number

    def _write(self, value: Any, path: Path) -> int | float | str:
        number = self._read(value, path)
        if isinstance(number, int):
            # MessagePack has no larger integers; core reads decimal digits instead.
            return number if MIN_INT64 <= number <= MAX_INT64 else str(Decimal(number))
        as_float = float(number)
        return as_float if Decimal(as_float) == number else format(number, "f")


def _numeric_text(raw: Any) -> str:
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise TypeError
    return repr(raw) if isinstance(raw, float) else str(raw)


class _Dynamic(Kind):
    """Any type; the value says which."""

    def constraint(self) -> str:
        return "dynamic"

    def _read(self, raw: Any, path: Path) -> Dynamic:
        if isinstance(raw, Dynamic):
            return Dynamic(raw.kind, raw.kind.read(raw.value, path))
        if not isinstance(raw, list) or len(raw) != 2 or not isinstance(raw[0], bytes):
            raise Mismatch(path, "a value with its type is required")
        kind = from_constraint(json.loads(raw[0]), path)
        return Dynamic(kind, kind.read(raw[1], path))

    def _write(self, value: Any, path: Path) -> list[Any]:
        if not isinstance(value, Dynamic):
            raise Mismatch(path, f"a value with its type is required, not {_name(value)}")
        constraint = json.dumps(value.kind.constraint(), separators=(",", ":"))
        return [constraint.encode(), value.kind.write(value.value, path)]

    def _upgrade(self, raw: Any, path: Path) -> Dynamic | None:
        if not isinstance(raw, dict) or raw.keys() != {"value", "type"}:
            raise Mismatch(path, "a value with its type is required")
        kind = from_constraint(raw["type"], path)
        value = kind.upgrade(raw["value"], path)
        return None if value is None else Dynamic(kind, value)

    def _same(self, one: Any, other: Any) -> bool:
        kind: Kind = one.kind
        return bool(kind.constraint() == other.kind.constraint()) and kind.same(
            one.value, other.value
        )


class Sequence(Kind):
    """A list; `Set` below is the one without order."""

    name = "list"

    def __init__(self, element: Kind) -> None:
        self.element = element

    def constraint(self) -> list[Any]:
        return [self.name, self.element.constraint()]

    def _each(self, raw: Any, path: Path, convert: Any) -> list[Any]:
        if not isinstance(raw, list):
            raise Mismatch(path, f"a {self.name} is required, not {_name(raw)}")
        return [convert(item, (*path, index)) for index, item in enumerate(raw)]

    def _read(self, raw: Any, path: Path) -> list[Any]:
        return self._each(raw, path, self.element.read)

    def _write(self, value: Any, path: Path) -> list[Any]:
        return self._each(value, path, self.element.write)

    def _upgrade(self, raw: Any, path: Path) -> list[Any]:
        return self._each(raw, path, self.element.upgrade)

    def _same(self, one: Any, other: Any) -> bool:
        return len(one) == len(other) and all(map(self.element.same, one, other))


class Set(Sequence):
    """A collection without order."""

    name = "set"

    def _each(self, raw: Any, path: Path, convert: Any) -> list[Any]:
        try:
            return super()._each(raw, path, convert)
        except Mismatch as error:
            # Elements of sets have no address.
            raise Mismatch(path, str(error)) from None

    def _same(self, one: Any, other: Any) -> bool:
        rest = list(other)
        for item in one:
            found = next((i for i, o in enumerate(rest) if self.element.same(item, o)), None)
            if found is None:
                return False
            del rest[found]
        return not rest


class Map(Kind):
    """String keys, values of one type."""

    def __init__(self, element: Kind) -> None:
        self.element = element

    def constraint(self) -> list[Any]:
        return ["map", self.element.constraint()]

    def _each(self, raw: Any, path: Path, convert: Any) -> dict[str, Any]:
        if not isinstance(raw, dict) or not all(isinstance(key, str) for key in raw):
            raise Mismatch(path, f"a map is required, not {_name(raw)}")
        return {key: convert(item, (*path, Key(key))) for key, item in raw.items()}

    def _read(self, raw: Any, path: Path) -> dict[str, Any]:
        return self._each(raw, path, self.element.read)

    def _write(self, value: Any, path: Path) -> dict[str, Any]:
        return self._each(value, path, self.element.write)

    def _upgrade(self, raw: Any, path: Path) -> dict[str, Any]:
        return self._each(raw, path, self.element.upgrade)

    def _same(self, one: Any, other: Any) -> bool:
        return one.keys() == other.keys() and all(
            self.element.same(item, other[key]) for key, item in one.items()
        )


class Object(Kind):
    """Named attributes, each with its type; every one is present, if only as null."""

    def __init__(self, attributes: Mapping[str, Kind]) -> None:
        self.attributes = dict(attributes)

    def constraint(self) -> list[Any]:
        return ["object", {name: kind.constraint() for name, kind in self.attributes.items()}]

    def _read(self, raw: Any, path: Path) -> dict[str, Any]:
        self._check(raw, path)
        return self._each(raw, path, "read")

    def _write(self, value: Any, path: Path) -> dict[str, Any]:
        self._check(value, path)
        written = {}
        for name, kind in self.attributes.items():
            item = value.get(name)
            # A whole number may still be too large for MessagePack.
            if item is not None and (type(item) is not kind.exact or kind is NUMBER):
                item = kind.write(item, (*path, name))
            written[name] = item
        return written

    def _upgrade(self, raw: Any, path: Path) -> dict[str, Any]:
        if not isinstance(raw, dict):
            raise Mismatch(path, f"an object is required, not {_name(raw)}")
        return self._each(raw, path, "upgrade")

    def _each(self, raw: dict[str, Any], path: Path, verb: str) -> dict[str, Any]:
        values = {}
        for name, kind in self.attributes.items():
            value = raw.get(name)
            if value is not None and type(value) is not kind.exact:
                value = getattr(kind, verb)(value, (*path, name))
            values[name] = value
        return values

    def _check(self, raw: Any, path: Path) -> None:
        if not isinstance(raw, dict):
            raise Mismatch(path, f"an object is required, not {_name(raw)}")
        if not raw.keys() <= self.attributes.keys():
            extra = ", ".join(sorted(map(str, raw.keys() - self.attributes.keys())))
            raise Mismatch(path, f"the object has no attribute {extra}")

    def _same(self, one: Any, other: Any) -> bool:
        for name, kind in self.attributes.items():
            mine, its = one.get(name), other.get(name)
            if mine is not its and not kind.same(mine, its):
                return False
        return True


class Tuple(Kind):
    """A fixed number of elements, each with its type; occurs only inside dynamic values."""

    def __init__(self, elements: list[Kind]) -> None:
        self.elements = elements

    def constraint(self) -> list[Any]:
        return ["tuple", [kind.constraint() for kind in self.elements]]

    def _each(self, raw: Any, path: Path, verb: str) -> list[Any]:
        if not isinstance(raw, list) or len(raw) != len(self.elements):
            raise Mismatch(path, f"{len(self.elements)} elements are required")
        pairs = enumerate(zip(self.elements, raw, strict=True))
        return [getattr(kind, verb)(item, (*path, index)) for index, (kind, item) in pairs]

    def _read(self, raw: Any, path: Path) -> list[Any]:
        return self._each(raw, path, "read")

    def _write(self, value: Any, path: Path) -> list[Any]:
        return self._each(value, path, "write")

    def _upgrade(self, raw: Any, path: Path) -> list[Any]:
        return self._each(raw, path, "upgrade")

    def _same(self, one: Any, other: Any) -> bool:
        pairs = zip(self.elements, one, other, strict=True)
        return all(kind.same(a, b) for kind, a, b in pairs)


STRING, NUMBER, BOOL, DYNAMIC = _String(), _Number(), _Bool(), _Dynamic()
_PRIMITIVES: dict[str, Kind] = {
    "string": STRING,
    "number": NUMBER,
    "bool": BOOL,
    "dynamic": DYNAMIC,
}


def from_constraint(constraint: Any, path: Path = ()) -> Kind:
    """The type that a type constraint in JSON describes. Raises `Mismatch`."""
    match constraint:
        case str() if constraint in _PRIMITIVES:
            return _PRIMITIVES[constraint]
        case ["list", element]:
            return Sequence(from_constraint(element, path))
        case ["set", element]:
            return Set(from_constraint(element, path))
        case ["map", element]:
            return Map(from_constraint(element, path))
        case ["object", dict() as attributes]:
            return Object({n: from_constraint(c, path) for n, c in attributes.items()})
        case ["tuple", list() as elements]:
            return Tuple([from_constraint(element, path) for element in elements])
    raise Mismatch(path, "the value's type is not one of Terraform's")


def _name(value: object) -> str:
    return {
        str: "a string",
        bool: "a bool",
        int: "a number",
        float: "a number",
        list: "a list",
        dict: "a map",
        bytes: "bytes",
    }.get(type(value), type(value).__name__)
