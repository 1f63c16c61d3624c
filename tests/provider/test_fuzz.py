"""Malformed messages over gRPC, the quick part of `tests.reliability.fuzz_provider`."""

import pytest

from tests.reliability.fuzz_provider import run


@pytest.mark.parametrize("seed", [1, 2])
def test_malformed_messages_are_answered_and_end_nothing(seed: int) -> None:
    outcome = run(messages=500, seed=seed, huge_every=500)

    assert outcome.faults == []
    assert outcome.sent.total() == 500
    assert outcome.with_diagnostic > 250
