"""What a measurement found, and the table of it. Knows neither servers nor files."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

MARKS = {None: "  ", True: "ok", False: "NO"}
ANY = "-"  # the database of what has none


@dataclass(frozen=True)
class Figure:
    """One line of the table. `bound` is what `value` may be at most, or at least."""

    target: str  # P1 …
    what: str
    db: str
    value: float
    unit: str = ""
    bound: float | None = None
    is_least: bool = False
    floor: float | None = None  # the same work without Forebay, measured in the same run
    peer: float | None = None  # the same work by the original, measured in turns with ours

    @property
    def is_met(self) -> bool | None:
        """Whether the bound holds; None without one."""
        if self.bound is None:
            return None
        return self.value >= self.bound if self.is_least else self.value <= self.bound

    @property
    def share(self) -> float | None:
        """How much of the bound is used up, 1 being all; None without a bound.

        Infinite where the bound is 0 and the value is not.
        """
        if self.bound is None:
            return None
        used, most = (self.bound, self.value) if self.is_least else (self.value, self.bound)
        if most == 0:
            return 0.0 if used == 0 else float("inf")
        return used / most

    @property
    def line(self) -> str:
        """The figure as a line of the table."""
        bound = ""
        if self.bound is not None:
            bound = f"{'≥' if self.is_least else '≤'} {_number(self.bound)}"
        beside = [
            f"{name} {_number(value)}"
            for name, value in (("floor", self.floor), ("peer", self.peer))
            if value is not None
        ]
        value = f"{_number(self.value):>9} {self.unit:4}"
        start = f"{MARKS[self.is_met]} {self.target:4} {self.db:9} {self.what:70}"
        return f"{start} {value} {bound:8} {', '.join(beside)}".rstrip()

    def as_json(self) -> dict[str, Any]:
        """The figure with what follows from it."""
        return {**asdict(self), "is_met": self.is_met}


def ordered(figures: Iterable[Figure]) -> list[Figure]:
    """By number of the target, else as they were measured."""
    return sorted(figures, key=lambda figure: int(figure.target[1:]))


def table(figures: Iterable[Figure]) -> str:
    """All lines by target, and how many bounds hold."""
    rows = ordered(figures)
    bounded = [figure for figure in rows if figure.bound is not None]
    met = sum(bool(figure.is_met) for figure in bounded)
    return "\n".join([*(figure.line for figure in rows), f"{met} of {len(bounded)} bounds met"])


def _number(value: float) -> str:
    """With three digits that tell something."""
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"
