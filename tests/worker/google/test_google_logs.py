"""Lines out of Cloud Logging: each once, in order, however they arrive."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from forebay_worker.base import JobConfiguration
from forebay_worker.output import Output
from forebay_worker.worker_types.google_logs import LATENESS, LogReader, entry_text, entry_time
from forebay_worker.worker_types.google_session import GoogleSession
from tests.worker.builders import Collector, an_assignment
from tests.worker.google.executions import PROJECT
from tests.worker.google.fake import Cloud

FILTER = 'resource.type="cloud_run_job"'
ORIGIN = {
    "logName": f"projects/{PROJECT}/logs/run.googleapis.com%2F{{}}",
    "resource": {"type": "cloud_run_job", "labels": {"job_name": "j"}},
}


@pytest.fixture
def reporter() -> Collector:
    """What is reported of the run."""
    return Collector()


def a_reader(
    session: GoogleSession, reporter: Collector, logged_until: datetime | None = None
) -> LogReader:
    """A reader of the lines of a command."""
    output = Output(JobConfiguration(command="x"), an_assignment(reporter), is_shown=False)
    return LogReader(session, FILTER, output, logged_until)


async def test_lines_of_many_pages_are_read_once(
    cloud: Cloud, session: GoogleSession, reporter: Collector
) -> None:
    reader = a_reader(session, reporter)
    for number in range(100):
        cloud.log.write(ORIGIN, str(number), "stdout")

    first, second = await reader.read_on(), await reader.read_on()

    assert (first, second) == (True, False)
    assert reporter.messages("stdout") == [str(number) for number in range(100)]


async def test_line_that_arrives_late_is_not_lost(
    cloud: Cloud, session: GoogleSession, reporter: Collector
) -> None:
    reader = a_reader(session, reporter)
    cloud.log.holds_back = 1
    cloud.log.write(ORIGIN, "early", "stdout")
    cloud.log.write(ORIGIN, "later", "stderr")
    await reader.read_on()
    cloud.log.catch_up()

    await reader.read_on()

    assert [line.message for line in reporter.lines] == ["later", "early"]
    assert [line.name for line in reporter.lines] == ["stderr", "stdout"]
    assert reporter.lines[1].timestamp < reporter.lines[0].timestamp


async def test_later_reads_ask_for_what_may_still_be_new_only(
    cloud: Cloud, session: GoogleSession, reporter: Collector
) -> None:
    reader = a_reader(session, reporter)
    cloud.log.write(ORIGIN, "one", "stdout")
    await reader.read_on()

    await reader.read_on()

    time = entry_time(cloud.log.entries[0]) - LATENESS
    asked = [body["filter"] for body in cloud.bodies("entries.list")]
    assert asked == [FILTER, f'{FILTER}\ntimestamp>="{time.isoformat()}"']


async def test_reading_goes_on_after_the_last_line_that_is_stored(
    cloud: Cloud, session: GoogleSession, reporter: Collector
) -> None:
    cloud.log.write(ORIGIN, "stored", "stdout")
    known = entry_time(cloud.log.entries[0])
    cloud.log.write(ORIGIN, "new", "stdout")

    await a_reader(session, reporter, known).read_on()

    assert reporter.messages("stdout") == ["new"]


async def test_last_lines_are_read_in_one_request(
    cloud: Cloud, session: GoogleSession, reporter: Collector
) -> None:
    for number in range(50):
        cloud.log.write(ORIGIN, str(number), "stdout")

    await a_reader(session, reporter).read_last()

    assert reporter.messages("stdout") == [str(number) for number in range(30, 50)]
    assert len(cloud.bodies("entries.list")) == 1


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        ({"textPayload": "a line\n"}, "a line"),
        ({"jsonPayload": {"message": "told\n", "level": 3}}, "told"),
        ({"jsonPayload": {"level": 3}}, '{"level": 3}'),
        ({}, ""),
    ],
    ids=["text", "message", "object", "nothing"],
)
def test_text_of_an_entry_is_what_was_written(entry: dict[str, Any], text: str) -> None:
    assert entry_text(entry) == text


@pytest.mark.parametrize(
    ("timestamp", "microseconds"),
    [
        ("2026-05-01T00:00:00Z", 0),
        ("2026-05-01T00:00:00.5Z", 500_000),
        ("2026-05-01T00:00:00.123456789Z", 123_456),
    ],
)
def test_time_of_an_entry_is_exact_to_the_microsecond(timestamp: str, microseconds: int) -> None:
    expected = datetime(2026, 5, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)

    assert entry_time({"timestamp": timestamp}) == expected
