"""Log lines as Terraform reads them."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from forebay_provider import logs


@pytest.fixture(autouse=True)
def own_logging() -> Iterator[None]:
    """Every test leaves logging as it found it."""
    root = logging.getLogger()
    before = root.level, root.handlers[:], logging.root.manager.disable
    yield
    root.level, root.handlers[:] = before[0], before[1]
    logging.disable(before[2])
    logs._secrets.clear()


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_line_has_level_message_time_and_fields(capsys: pytest.CaptureFixture[str]) -> None:
    logs.start({"TF_LOG": "DEBUG"})

    logging.getLogger("forebay.x").warning("slow %s", "answer", extra={"pool": "etl"})

    (line,) = lines(capsys)
    assert (line["@level"], line["@message"], line["pool"]) == ("warn", "slow answer", "etl")
    assert line["@module"] == "forebay.x"
    date, time = line["@timestamp"].split("T")
    assert len(date) == 10 and len(time) == len("00:00:00.000000Z")


@pytest.mark.parametrize(
    ("environ", "levels"),
    [
        ({}, []),
        ({"TF_LOG": "OFF"}, []),
        ({"TF_LOG": "warn"}, ["warn", "error"]),
        ({"TF_LOG": "JSON"}, ["trace", "debug", "info", "warn", "error"]),
        ({"TF_LOG": "DEBUG"}, ["debug", "info", "warn", "error"]),
        ({"TF_LOG": "TRACE", "TF_LOG_PROVIDER": "ERROR"}, ["error"]),
    ],
)
def test_level_is_what_terraform_was_asked_for(
    environ: dict[str, str], levels: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    logs.start(environ)

    for level in (logs.TRACE, logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        logging.getLogger("forebay.x").log(level, "said")

    assert [line["@level"] for line in lines(capsys)] == levels


def test_secret_is_in_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    logs.start({"TF_LOG": "TRACE"})
    logs.hide("hunter2")

    try:
        raise ValueError("hunter2")
    except ValueError:
        logging.getLogger("forebay.x").exception("with hunter2", extra={"header": "hunter2"})

    (line,) = lines(capsys)
    assert "hunter2" not in json.dumps(line)
    assert line["@message"] == "with (sensitive)"
