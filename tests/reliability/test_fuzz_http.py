"""The quick tier of `fuzz_http`."""

from tests.reliability.fuzz_http import fuzz


def test_no_request_makes_the_server_fail() -> None:
    figures = fuzz("sqlite", seconds=300, requests=200, seed=2)

    assert figures.requests >= 200, "too few requests to tell anything"
    assert len(figures.done) > 120, "too few operations did what they are for"
    assert (figures.server_errors, figures.schema_breaks) == (0, {}), "\n".join(figures.examples)
