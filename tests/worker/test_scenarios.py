"""How results become the table worker type x scenario."""

import pytest

from tests.worker.scenarios import Table, cell, worker_types


def a_report(scenario: tuple[str, str], outcome: str) -> pytest.TestReport:
    return pytest.TestReport(
        "test",
        ("", 0, ""),
        {},
        outcome,
        None,
        "call",
        user_properties=[("scenario", scenario)],  # type: ignore[arg-type]
    )


def test_cell_is_filled_by_a_test_that_passed_unless_another_failed() -> None:
    table = Table()
    type = worker_types()[0]
    table.pytest_runtest_logreport(a_report((type, "cancel"), "passed"))
    table.pytest_runtest_logreport(a_report((type, "failed-exit"), "skipped"))

    before = table.is_filled(type, "cancel")
    table.pytest_runtest_logreport(a_report((type, "cancel"), "failed"))

    assert before
    assert not table.is_filled(type, "cancel")
    assert not table.is_filled(type, "failed-exit")
    assert "1 passed, 1 failed" in "\n".join(table.lines())


def test_marker_of_no_cell_is_refused() -> None:
    for args in (("process", "sunshine"), ("forklift", "cancel")):
        with pytest.raises(pytest.UsageError):
            cell(pytest.mark.scenario(*args).mark)
