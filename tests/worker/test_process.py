"""Processes: real ones, in groups of their own, with a clean environment and no shell."""

import asyncio
import os
import resource
import sys
from pathlib import Path

import pytest

from forebay_worker.base import StartFailed
from forebay_worker.worker_types.process import ProcessConfiguration, ProcessWorker
from tests.worker.builders import Collector, an_assignment, wait_until_gone

SLEEP = "import time; print('up', flush=True); time.sleep(60)"


def python(code: str) -> str:
    """A command line that runs `code`, which contains no double quotes."""
    return f'{sys.executable} -c "{code}"'


async def run_to_end(command: str, **options: object) -> tuple[int | None, str, Collector]:
    worker, collector = ProcessWorker(), Collector()
    configuration = ProcessConfiguration.model_validate({"command": command, **options})
    id = await worker.start(configuration, an_assignment(collector))
    outcome = await worker.wait(id)
    return outcome.exit_code, outcome.reason, collector


async def start_sleeping(code: str) -> tuple[ProcessWorker, str]:
    """A process that has begun to sleep after `code`."""
    worker, collector = ProcessWorker(), Collector()
    is_up = collector.seen("up")
    configuration = ProcessConfiguration(command=python(code + SLEEP))
    id = await worker.start(configuration, an_assignment(collector))
    async with asyncio.timeout(20):
        await is_up.wait()
    return worker, id


async def test_all_that_is_written_arrives_in_order() -> None:
    code, _, collector = await run_to_end(
        python("import sys\nfor i in range(5000): print(i)\nsys.stderr.write('end')")
    )

    assert code == 0
    assert collector.messages("stdout") == [str(i) for i in range(5000)]
    assert collector.messages("stderr") == ["end"]


async def test_last_lines_of_a_process_that_dies_are_kept() -> None:
    code, reason, collector = await run_to_end(
        python("import os\nprint('last words')\nos._exit(9)")
    )

    assert code == 9
    assert reason == "the process ended with exit code 9"
    assert collector.messages("stdout") == ["last words"]


async def test_command_is_not_read_by_a_shell(tmp_path: Path) -> None:
    target = tmp_path / "made"

    code, _, collector = await run_to_end(f"echo $HOME; touch {target} | cat > x")

    assert code == 0
    assert collector.messages("stdout") == [f"$HOME; touch {target} | cat > x"]
    assert not target.exists()


async def test_environment_holds_what_is_configured_and_nothing_of_the_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_WORKER", "hidden")
    names = "'SECRET_OF_THE_WORKER', 'GREETING', 'LEVEL', 'GONE'"

    _, _, collector = await run_to_end(
        python(f"import os\nfor n in ({names}): print(os.environ.get(n))"),
        env={"GREETING": "größe", "LEVEL": 3, "GONE": None},
    )

    assert collector.messages("stdout") == ["None", "größe", "3", "None"]


async def test_process_starts_in_an_empty_folder_of_its_own_which_is_removed() -> None:
    _, _, collector = await run_to_end(
        python("import os\nprint(os.getcwd(), oct(os.stat('.').st_mode & 511), os.listdir())")
    )

    folder, mode, names = collector.messages("stdout")[0].split(" ")
    assert (mode, names) == ("0o700", "[]")
    with pytest.raises(FileNotFoundError):
        os.listdir(folder)


async def test_process_starts_in_the_folder_that_is_configured(tmp_path: Path) -> None:
    _, _, collector = await run_to_end("pwd", working_dir=str(tmp_path))

    assert collector.messages("stdout") == [str(tmp_path)]
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"command": "no-such-program"}, "'no-such-program' cannot be started"),
        ({"command": "echo 'open"}, "cannot be read: No closing quotation"),
        ({"command": "echo", "working_dir": "/no/such/folder"}, "is not a folder"),
        ({"command": "echo", "env": {"A": "nul\0"}}, "cannot be started: embedded null byte"),
    ],
)
async def test_what_cannot_be_started_says_why(options: dict[str, object], complaint: str) -> None:
    configuration = ProcessConfiguration.model_validate(options)

    with pytest.raises(StartFailed, match=complaint):
        await ProcessWorker().start(configuration, an_assignment(Collector()))


@pytest.mark.scenario("process", "quota-or-throttling")
async def test_machine_that_gives_no_more_descriptors_is_told() -> None:
    worker, limits = ProcessWorker(), resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest_free = os.dup(0)
    os.close(lowest_free)

    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free + 4, limits[1]))
    try:
        with pytest.raises(StartFailed, match="Too many open files"):
            await worker.start(ProcessConfiguration(command="true"), an_assignment(Collector()))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    assert (await run_to_end("true"))[0] == 0


async def test_failed_start_leaves_no_descriptor_open() -> None:
    configuration = ProcessConfiguration(command="no-such-program")
    worker = ProcessWorker()
    with pytest.raises(StartFailed):
        await worker.start(configuration, an_assignment(Collector()))
    before = os.listdir("/dev/fd")

    for _ in range(5):
        with pytest.raises(StartFailed):
            await worker.start(configuration, an_assignment(Collector()))

    assert len(os.listdir("/dev/fd")) <= len(before)


async def test_kill_asks_first() -> None:
    worker, id = await start_sleeping("")

    await worker.kill(id, grace_seconds=20)
    outcome = await worker.wait(id)

    assert outcome.exit_code == -15
    assert outcome.reason == "the process was ended by SIGTERM"


async def test_kill_insists_after_the_grace() -> None:
    worker, id = await start_sleeping("import signal; signal.signal(15, signal.SIG_IGN); ")

    await worker.kill(id, grace_seconds=0.1)
    outcome = await worker.wait(id)

    assert outcome.reason == "the process was ended by SIGKILL"


async def test_what_a_process_has_started_ends_with_it() -> None:
    child = "import time; time.sleep(60)"

    _, _, collector = await run_to_end(
        python(
            "import subprocess, sys\n"
            f"print(subprocess.Popen([sys.executable, '-c', '{child}']).pid)"
        )
    )

    await asyncio.to_thread(wait_until_gone, int(collector.messages("stdout")[0]))


async def test_quiet_process_shows_nothing_on_the_console(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "forebay_worker")

    await run_to_end("echo shown")
    await run_to_end("echo hidden", stream_output=False)

    assert "shown" in caplog.text
    assert "hidden" not in caplog.text
