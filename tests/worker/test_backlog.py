"""The backlog: first in, first out, whether lines lie in memory or in the file."""

from collections.abc import Iterator
from contextlib import closing

from hypothesis import given
from hypothesis import strategies as st

from forebay_worker.backlog import LINE_OVERHEAD, Backlog
from tests.worker.builders import a_log_line

# How many lines are put (positive) or taken (negative), one step after another.
steps = st.lists(st.integers(-6, 6), max_size=60)


@given(steps)
def test_lines_come_out_in_the_order_in_which_they_went_in(amounts: list[int]) -> None:
    numbers = iter(range(10_000))
    put: list[str] = []
    taken: list[str] = []

    with closing(Backlog(memory_bytes=3 * LINE_OVERHEAD)) as backlog:
        for amount in amounts:
            for _ in range(amount):
                put.append(f"line {next(numbers)}")
                assert backlog.put(a_log_line(put[-1]))
            if amount < 0:
                taken += _taken(backlog, -amount)
            assert len(backlog) == len(put) - len(taken)
        taken += _taken(backlog, 1000)

    assert taken == put


def _taken(backlog: Backlog, most: int) -> Iterator[str]:
    return (line.message for line in backlog.take(most, 1_000_000))


def test_batch_is_bounded_by_characters_but_never_empty() -> None:
    with closing(Backlog()) as backlog:
        for size in (50, 5, 5, 1):
            backlog.put(a_log_line("x" * size))

        batches = [[len(line.message) for line in backlog.take(10, 10)] for _ in range(3)]

    assert batches == [[50], [5, 5], [1]]


def test_line_that_fits_nowhere_is_refused() -> None:
    with closing(Backlog(memory_bytes=0, file_bytes=1000)) as backlog:
        kept = [backlog.put(a_log_line("x" * 300)) for _ in range(5)]

        taken = backlog.take(10, 10_000)

    assert kept == [True, True, False, False, False]
    assert len(taken) == 2


def test_file_is_used_again_when_it_has_been_read() -> None:
    with closing(Backlog(memory_bytes=0, file_bytes=1000)) as backlog:
        for round in range(20):
            assert backlog.put(a_log_line(f"{round} " + "x" * 300))

            assert [line.message[:2].strip() for line in backlog.take(1, 1)] == [str(round)]
