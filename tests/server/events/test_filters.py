"""Which labels of a resource a filter finds."""

import pytest

from forebay_server.events.filters import has_labels

RED = {"prefect.resource.id": "house.1", "colour": "red"}


@pytest.mark.parametrize(
    ("labels", "is_found"),
    [
        (None, True),
        ({}, True),
        ({"colour": "red"}, True),
        ({"colour": "blue"}, False),
        ({"colour": ["blue", "red"]}, True),
        ({"colour": []}, False),
        ({"colour": "r*"}, True),
        ({"colour": "*"}, True),
        ({"colour": "!blue"}, True),
        ({"colour": "!r*"}, False),
        ({"colour": ["!blue", "!red"]}, False),
        ({"colour": ["!blue", "green"]}, False),
        ({"size": "!large"}, False),  # a label must be there to be different
        ({"prefect.resource.id": "house.*", "colour": "red"}, True),
        ({"prefect.resource.id": "house.*", "colour": "blue"}, False),
    ],
)
def test_labels_are_found_by_value_prefix_and_negation(
    labels: dict[str, str | list[str]] | None, is_found: bool
) -> None:
    assert has_labels(RED, labels) is is_found
