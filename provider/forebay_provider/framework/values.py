"""Values that Terraform has and Python has not. Knows no encoding."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forebay_provider.framework.kinds import Kind


@dataclass(frozen=True, slots=True)
class Unknown:
    """A value that is decided during apply; `refinement` is what is known of it, as received."""

    refinement: bytes = b""


UNKNOWN = Unknown()
_PLAIN = (str, int)  # what most values are, and always known


@dataclass(frozen=True, slots=True)
class Dynamic:
    """A value whose type travels with it."""

    kind: "Kind"
    value: Any


def is_known(value: object) -> bool:
    """Whether `value` and everything in it is decided."""
    if value is None or isinstance(value, _PLAIN):
        return True
    if isinstance(value, Unknown):
        return False
    if isinstance(value, dict):
        return all(map(is_known, value.values()))
    if isinstance(value, list):
        return all(map(is_known, value))
    return not isinstance(value, Dynamic) or is_known(value.value)
