"""The table worker type x scenario, from the results of the tests that are marked `scenario`.

    python -m tests.worker.scenarios [pytest's options]

Runs those tests. Ends with code 1 when a cell has no test that passed, or one that failed.
"""

import sys
from collections import defaultdict
from importlib.metadata import entry_points

import pytest

SCENARIOS = (
    "deploy-run-logs",
    "failed-exit",
    "cancel",
    "adopted-after-restart",
    "bad-credentials",
    "quota-or-throttling",
    "template-values",
)
Cell = tuple[str, str]


def cell(marker: pytest.Mark) -> Cell:
    """Type and scenario of a marker. Raises `UsageError` for what is neither."""
    type, scenario = marker.args
    if scenario not in SCENARIOS or type not in worker_types():
        raise pytest.UsageError(f"no cell {type!r}, {scenario!r} in the table of scenarios")
    return type, scenario


def worker_types() -> list[str]:
    """The types of this package, in the order of their names."""
    found = entry_points(group="forebay.worker_types")
    return sorted({point.name for point in found if point.dist and point.dist.name == "forebay"})


class Table:
    """A pytest plugin that counts outcomes by cell, also those of other processes."""

    def __init__(self) -> None:
        self.outcomes: dict[Cell, list[str]] = defaultdict(list)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count the test itself, and what kept it from being run."""
        if report.when != "call" and report.passed:
            return
        for name, value in report.user_properties:
            if name == "scenario":
                type, scenario = value  # type: ignore[misc]
                self.outcomes[type, scenario].append(report.outcome)

    def is_filled(self, type: str, scenario: str) -> bool:
        """Whether a test of the cell passed and none failed."""
        found = self.outcomes[type, scenario]
        return "passed" in found and "failed" not in found

    def lines(self) -> list[str]:
        """The table, one line for each type."""
        types = worker_types()
        width = max(map(len, types)) + 2
        found = [" " * width + "  ".join(SCENARIOS)]
        for type in types:
            cells = (self._told(type, name).ljust(len(name)) for name in SCENARIOS)
            found.append(type.ljust(width) + "  ".join(cells).rstrip())
        return found

    def _told(self, type: str, scenario: str) -> str:
        found = self.outcomes[type, scenario]
        counts = [(name, found.count(name)) for name in ("passed", "failed", "skipped")]
        return ", ".join(f"{count} {name}" for name, count in counts if count) or "-"


def main(options: list[str]) -> int:
    """Run the tests and print the table; the exit code."""
    table = Table()
    code = pytest.main(["tests/worker", "-m", "scenario", "-q", *options], plugins=[table])
    print("\n".join(["", *table.lines()]))  # noqa: T201 - a program
    empty = [
        f"{type}: {scenario}"
        for type in worker_types()
        for scenario in SCENARIOS
        if not table.is_filled(type, scenario)
    ]
    if empty:
        print(f"\nNot shown: {', '.join(empty)}", file=sys.stderr)  # noqa: T201 - a program
    return int(code) or bool(empty)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
