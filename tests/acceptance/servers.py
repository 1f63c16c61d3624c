"""Which servers an acceptance test runs against, and why some run on one only. Knows no test."""

import pytest

FOREBAY, PREFECT = "forebay", "prefect"

# Whatever a test asks of a server, Prefect's 3.8.4 is asked too, but for these.
NOT_ON_PREFECT = {
    "id": "Prefect's server tells no id of its own",
    "tokens": "Prefect's server makes no tokens",
    "keys": "Prefect's server knows no key of a creation, so what it made for an answer that got "
    "lost is refused as existing",
}

# Without a mark, a test runs on Forebay's server, and with --both-servers on both.
ON_BOTH_SERVERS = pytest.mark.servers(FOREBAY, PREFECT)
ON_PREFECT = pytest.mark.servers(PREFECT)


def only_on_forebay(reason: str) -> pytest.MarkDecorator:
    """The mark of a test that Prefect's server cannot pass; `reason` is a key of the table."""
    assert reason in NOT_ON_PREFECT
    return pytest.mark.servers(FOREBAY)


def servers_of(test: pytest.Item, are_both_wanted: bool) -> tuple[str, ...]:
    """The servers that a test is to run against."""
    mark = test.get_closest_marker("servers")
    if mark is not None:
        return mark.args
    return (FOREBAY, PREFECT) if are_both_wanted else (FOREBAY,)
