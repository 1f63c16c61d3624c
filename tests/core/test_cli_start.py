"""What the command line does before it talks to a server: lists, imports, usage, extras."""

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import typer.main

import forebay as package
from forebay.cli.root import OWN_COMMANDS, OWN_GROUPS
from tests.core.builders import Run, run_here

SERVER = ("forebay_server", "fastapi", "sqlalchemy", "sqlmodel")
OTHERS = (*SERVER, "forebay_worker", "forebay_provider", "grpc")


def imported(*args: str) -> set[str]:
    """Top-level modules that are imported when the command line is called so."""
    code = dedent("""
        import atexit, sys
        tell = lambda: print("\\n".join(sys.modules), file=sys.stderr)
        atexit.register(tell)
        from forebay.cli import main
        main()
    """)
    ended = subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, check=False
    )
    return {name.partition(".")[0] for name in ended.stderr.splitlines()}


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_root_imports_neither_a_client_nor_another_package(option: str) -> None:
    modules = imported(option)

    assert "typer" in modules
    assert modules.isdisjoint(["http", "httpx2", "pydantic", *OTHERS])


# Without pydantic in the list: typer itself reads values with it where it is installed.
@pytest.mark.parametrize("args", [["work-pool", "--help"], ["deployment", "run", "--help"]])
def test_help_of_a_group_imports_no_client(args: list[str]) -> None:
    modules = imported(*args)

    assert "typer" in modules
    assert modules.isdisjoint(["httpx2", *OTHERS])


def test_command_of_the_client_imports_neither_another_package_nor_asyncs_http() -> None:
    modules = imported("work-pool", "ls")

    assert "pydantic" in modules
    assert modules.isdisjoint(["httpx2", *OTHERS])


def test_help_lists_own_and_announced_groups(forebay: Run) -> None:
    ended = forebay("--help")

    assert ended.returncode == 0
    for group in ("work-pool", "work-queue", "deployment", "flow-run", "server", "provider"):
        assert f" {group} " in ended.stdout


def test_version(forebay: Run) -> None:
    ended = forebay("--version")

    assert ended.returncode == 0
    assert ended.stdout == f"forebay {package.__version__}\n"


def test_group_of_another_package_is_imported_when_it_is_called(forebay: Run) -> None:
    ended = forebay("server", "--help")

    assert ended.returncode == 0
    assert "start" in ended.stdout


@pytest.fixture
def announced(tmp_path: Path) -> dict[str, str]:
    """An environment with a distribution whose group lacks what it needs."""
    folder = tmp_path / "site"
    information = folder / "acme_extra-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: acme-extra\nVersion: 1.0\nProvides-Extra: early\n"
    )
    (information / "entry_points.txt").write_text(
        "[forebay.commands]\nearly = acme_early:app\nlate = acme_late:app\nown = acme_own:app\n"
    )
    (folder / "acme_early.py").write_text("import acme_absent\n")
    (folder / "acme_late.py").write_text(
        "import typer\napp = typer.Typer()\n\n@app.callback()\ndef group() -> None: ...\n\n"
        "@app.command()\ndef start() -> None:\n    import acme_absent\n"
    )
    (folder / "acme_own.py").write_text(
        "import typer\napp = typer.Typer()\n\n@app.callback()\ndef group() -> None: ...\n\n"
        "@app.command()\ndef start() -> None:\n    raise RuntimeError('a defect')\n"
    )
    return {"PYTHONPATH": str(folder)}


def test_group_without_its_extra_names_package_and_command(
    forebay: Run, announced: dict[str, str]
) -> None:
    ended = forebay("early", "--help", environment=announced)

    assert ended.returncode == 2
    assert "needs the package acme_absent" in ended.stderr
    assert 'pip install "acme-extra[early]"' in ended.stderr


def test_command_that_misses_its_extra_when_it_runs_says_the_same(
    forebay: Run, announced: dict[str, str]
) -> None:
    ended = forebay("late", "start", environment=announced)

    assert ended.returncode == 2
    assert 'pip install "acme-extra"' in ended.stderr


def test_group_without_its_extra_is_listed_all_the_same(
    forebay: Run, announced: dict[str, str]
) -> None:
    ended = forebay("--help", environment=announced)

    assert ended.returncode == 0
    assert "Commands of acme-extra." in ended.stdout


def test_defect_is_one_line_unless_debugging_is_asked_for(
    forebay: Run, announced: dict[str, str]
) -> None:
    quiet = forebay("own", "start", environment=announced)
    loud = forebay("own", "start", environment={**announced, "FOREBAY_DEBUG": "1"})

    assert quiet.returncode == loud.returncode == 1
    assert "RuntimeError: a defect" in quiet.stderr
    assert "Traceback" not in quiet.stderr
    assert "Traceback" in loud.stderr


@pytest.mark.parametrize(
    "args",
    [
        ["work-poll", "ls"],
        ["work-pool", "list"],
        ["work-pool", "ls", "--colour"],
        ["work-pool", "create"],
        ["work-pool", "create", "a/b", "--base-job-template", "-"],
        ["work-pool", "create", " ", "--base-job-template", "-"],
        ["work-pool", "create", "a", "--type", "no-such-type"],
        ["work-pool", "create", "a", "--base-job-template", "missing.json"],
        ["work-pool", "update", "a"],
        ["work-pool", "pause"],
        ["work-pool", "pause", "a", "--all"],
        ["work-pool", "set-concurrency-limit", "a", "-1"],
        ["work-pool", "set-concurrency-limit", "a", "2147483648"],
        ["work-queue", "create", "a"],
        ["work-queue", "create", "a", "-p", "b", "--priority", "0"],
        ["deployment", "create", "missing.py:main"],
        ["deployment", "create", "no-function.py"],
        ["deployment", "run", "no-slash"],
        ["deployment", "run", "a/b", "--param", "no-equals-sign"],
        ["deployment", "run", "a/b", "--params", "[1]"],
        ["flow-run", "inspect", "not-an-id"],
        ["flow-run", "ls", "--state-type", "ASLEEP"],
        ["flow-run", "logs", "00000000-0000-0000-0000-000000000000", "-f", "--tail"],
        ["flow-run", "logs", "00000000-0000-0000-0000-000000000000", "--head", "--tail"],
        ["work-queue", "inspect", "no-pool-is-chosen"],
        ["block", "inspect", "no-slash"],
        ["block", "create", "secret"],
        ["gcl", "create", "a"],
        ["gcl", "create", "a", "--limit", "-1"],
        ["gcl", "update", "a"],
        ["variable", "set", "a"],
        ["variable", "set", "a/b", "1"],
        ["deployment", "run", "a/b", "--start-at", "noon"],
        ["deployment", "delete"],
        ["deployment", "delete", "a/b", "--all"],
        ["deployment", "schedule", "pause", "a/b", "--all"],
        ["deployment", "schedule", "create", "a/b"],
        ["deploy", "--file", "missing.yaml"],
        ["--profile", "nowhere", "work-pool", "ls"],
    ],
    ids=" ".join,
)
def test_wrong_usage_exits_with_2_before_anything_is_sent(
    args: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOREBAY_API_URL", "http://127.0.0.1:1/api")

    ended = run_here(*args, input="{}")

    assert ended.returncode == 2, ended.stderr
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr


def test_misspelt_command_names_the_right_one(forebay: Run) -> None:
    ended = forebay("work-poll", "ls")

    assert "work-pool" in ended.stderr


def test_server_that_is_not_there_exits_with_5_and_names_the_next_step(forebay: Run) -> None:
    ended = forebay("work-pool", "ls", environment={"FOREBAY_API_URL": "http://127.0.0.1:1"})

    assert ended.returncode == 5
    assert ended.stdout == ""
    assert "forebay server start" in ended.stderr


def test_address_that_is_no_url_exits_with_2(forebay: Run) -> None:
    ended = forebay("work-pool", "ls", environment={"FOREBAY_API_URL": "localhost"})

    assert ended.returncode == 2
    assert "'localhost' is not a URL" in ended.stderr


def test_output_that_nobody_reads_any_more_is_no_error(forebay: Run) -> None:
    command = f"{Path(sys.executable).parent / 'forebay'} --help | true"

    ended = subprocess.run(
        ["bash", "-c", command], env=os.environ, capture_output=True, text=True, check=False
    )

    assert ended.stderr == ""


def test_default_template_is_the_worker_types_own(forebay: Run) -> None:
    ended = forebay("work-pool", "get-default-base-job-template", "--type", "process")

    template = json.loads(ended.stdout)
    assert set(template) == {"job_configuration", "variables"}
    assert set(template["job_configuration"]) == set(template["variables"]["properties"])


def every_command() -> dict[str, Any]:
    """Each command of the light package, by its words."""
    found: dict[str, Any] = {}

    def walk(words: tuple[str, ...], command: Any) -> None:
        for name, sub in getattr(command, "commands", {}).items():
            walk((*words, name), sub)
        if not hasattr(command, "commands"):
            found[" ".join(words)] = command

    for name, (module, _) in {**OWN_GROUPS, **OWN_COMMANDS}.items():
        walk((name,), typer.main.get_command(import_module(module).app))
    return found


def options(command: Any) -> set[str]:
    return {option for param in command.params for option in param.opts}


def test_every_command_can_answer_in_json() -> None:
    silent = [name for name, command in every_command().items() if "-o" not in options(command)]

    assert silent == []


def test_every_command_that_deletes_can_be_agreed_to_in_advance() -> None:
    destructive = {
        name: command
        for name, command in every_command().items()
        if name.split()[-1] in ("delete", "clear")
    }

    assert len(destructive) > 5
    assert [n for n, command in destructive.items() if "--yes" not in options(command)] == []


def test_short_and_whole_name_of_a_group_are_the_same() -> None:
    short, whole = run_here("gcl", "--help"), run_here("global-concurrency-limit", "--help")

    assert short.returncode == 0
    assert short.stdout.splitlines()[1:] == whole.stdout.splitlines()[1:]
