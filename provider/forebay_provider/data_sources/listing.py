"""What the data sources that list objects share: pages, and filters by name."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from forebay_provider.connection import Connection
from forebay_provider.framework.diagnostics import Diagnostic

if TYPE_CHECKING:
    from forebay.calls import Call

PAGE = 200  # the most that both servers answer


class Named(Protocol):
    """An object with a name and an id."""

    @property
    def id(self) -> Any: ...

    @property
    def name(self) -> Any: ...


N = TypeVar("N", bound=Named)


def every(client: Connection, page: "Callable[[int], Call[list[N]]]") -> list[N]:
    """All objects of all pages; `page` is the call of the one that begins at an offset."""
    found: list[N] = []
    while True:
        more = client.send(page(len(found)))
        found += more
        if len(more) < PAGE:
            return found


def chosen(found: Iterable[N], config: Any) -> list[N]:
    """The objects that pass the filters `ids`, `names` and `name_prefix`, by name."""
    ids, names, prefix = (getattr(config, name, None) for name in ("ids", "names", "name_prefix"))
    return sorted(
        (
            each
            for each in found
            if (ids is None or str(each.id) in ids)
            and (names is None or each.name in names)
            and (prefix is None or each.name.startswith(prefix))
        ),
        key=lambda each: str(each.name),
    )


def one_of_two(config: Any, one: str, other: str) -> Iterable[Diagnostic]:
    """The complaint about a lookup that names its object in no way, or in two."""
    given = [name for name in (one, other) if getattr(config, name) is not None]
    if len(given) != 1:
        text = f"Set exactly one of {one} and {other}."
        yield Diagnostic(f"One of {one} and {other} is needed", text, (one,) if given else ())
