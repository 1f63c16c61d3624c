"""What is different on a terminal: colour, questions."""

import os
import pty
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

ESCAPE = "\x1b["


def on_terminal(
    environment: dict[str, str],
    *args: str,
    typed: str = "",
    prompt: str = "",
    width: int = 200,
) -> tuple[int, str]:
    """Exit code and everything shown when the command line runs on a terminal of its own.

    What is typed comes once `prompt` is shown: a question for a secret drops what came before.
    """
    ours, theirs = pty.openpty()
    environment = {**environment, "TERM": "xterm-256color", "COLUMNS": str(width)}
    process = subprocess.Popen(
        [Path(sys.executable).parent / "forebay", *args],
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown, is_typed = b"", False
    try:
        while True:
            if not is_typed and prompt.encode() in shown:
                is_typed = True
                os.write(ours, typed.encode())
            if not (piece := os.read(ours, 65536)):
                break
            shown += piece
    except OSError:  # the terminal's other end is closed: nothing more comes
        pass
    os.close(ours)
    return process.wait(timeout=30), shown.decode()


@pytest.fixture
def environment(shared_server: Any) -> dict[str, str]:
    kept: dict[str, str] = dict(shared_server.environment)
    return kept


@pytest.fixture
def pool(environment: dict[str, str]) -> str:
    """A pool that exists."""
    name = f"pool {uuid.uuid4()}"
    code, shown = on_terminal(environment, "work-pool", "create", name, "-t", "process")
    assert code == 0, shown
    return name


def test_status_is_coloured_on_a_terminal(environment: dict[str, str], pool: str) -> None:
    code, shown = on_terminal(environment, "work-pool", "inspect", pool)

    assert code == 0
    assert ESCAPE in shown


def test_no_color_is_honoured(environment: dict[str, str], pool: str) -> None:
    code, shown = on_terminal({**environment, "NO_COLOR": "1"}, "work-pool", "inspect", pool)

    assert code == 0
    assert pool in shown
    assert f"{ESCAPE}3" not in shown and f"{ESCAPE}9" not in shown  # neither hue


def test_delete_asks_and_goes_on_when_the_answer_is_yes(
    environment: dict[str, str], pool: str
) -> None:
    code, shown = on_terminal(environment, "work-pool", "delete", pool, typed="y\n")

    assert code == 0
    assert f"Delete the pool '{pool}'" in shown
    assert "Deleted the pool" in shown


def test_delete_that_is_not_agreed_to_changes_nothing(
    environment: dict[str, str], pool: str
) -> None:
    code, shown = on_terminal(environment, "work-pool", "delete", pool, typed="n\n")

    assert code == 1
    assert "Deleted" not in shown
    assert on_terminal(environment, "work-pool", "inspect", pool)[0] == 0


def test_names_in_brackets_are_shown_as_they_are(environment: dict[str, str]) -> None:
    name = f"[red]{uuid.uuid4()} :smile:"
    code, _ = on_terminal(environment, "work-pool", "create", name, "-t", "process")

    _, shown = on_terminal(environment, "work-pool", "ls")

    assert code == 0
    assert name in shown


def test_terminal_is_not_asked_where_nobody_wants_questions(environment: dict[str, str]) -> None:
    name = f"pool {uuid.uuid4()}"

    code, shown = on_terminal(environment, "work-pool", "create", name, "--no-prompt")
    refused, told = on_terminal(environment, "work-pool", "delete", name, "--no-prompt")

    assert code == 0
    assert "Type of the pool" not in shown
    assert refused == 2
    assert "--yes" in told
