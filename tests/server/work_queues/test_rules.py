"""Which priority a queue gets, as a table."""

import pytest

from forebay.wire.base import MAX_INT
from forebay_server.errors import Invalid
from forebay_server.work_queues.rules import Place, place


@pytest.mark.parametrize(
    ("taken", "wanted", "expected"),
    [
        ([], None, Place(1, 1)),
        ([1], None, Place(2, 2)),
        ([1, 2, 3, 4, 10], None, Place(5, 5)),
        ([2, 3], None, Place(1, 1)),
        ([1, 2, 5, 6, 100], None, Place(3, 3)),
        ([1, 2, 3], 2, Place(2, 4)),
        ([1, 2, 3, 4], 10, Place(10, 10)),
        ([1, 2, 3, 10], 2, Place(2, 4)),
        ([1, 2, 3, 4], 1, Place(1, 5)),
        ([2, 3, 4], 1, Place(1, 1)),
        ([], MAX_INT, Place(MAX_INT, MAX_INT)),
    ],
)
def test_place(taken: list[int], wanted: int | None, expected: Place) -> None:
    assert place(taken, wanted) == expected


def test_no_queue_is_pushed_beyond_the_largest_number() -> None:
    with pytest.raises(Invalid):
        place([MAX_INT], MAX_INT)
