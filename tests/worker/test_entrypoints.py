"""Entrypoints: found, loaded, called with parameters; what is wrong is said plainly."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from forebay_worker.entrypoints import BadEntrypoint, call_function, enter, load_function


@pytest.fixture(autouse=True)
def own_process_state(tmp_path: Path) -> Iterator[None]:
    """What loading code changes in the process is put back."""
    folder, path, modules = os.getcwd(), list(sys.path), set(sys.modules)
    os.chdir(tmp_path)
    yield
    os.chdir(folder)
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def test_function_of_a_file_is_called_with_parameters(tmp_path: Path) -> None:
    (tmp_path / "flow.py").write_text("def add(a, b=2):\n    return a + b\n")

    result = call_function(load_function("flow.py:add"), {"a": 40})

    assert result == 42


def test_coroutine_function_is_run_to_its_end(tmp_path: Path) -> None:
    (tmp_path / "flow.py").write_text(
        "import asyncio\n\nasync def main():\n    await asyncio.sleep(0)\n    return 'done'\n"
    )

    result = call_function(load_function("flow.py:main"), {})

    assert result == "done"


def test_file_finds_the_modules_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "flows"
    folder.mkdir()
    (folder / "beside_me.py").write_text("ANSWER = 42\n")
    (folder / "flow.py").write_text(
        "import beside_me\n\ndef main():\n    return beside_me.ANSWER\n"
    )

    result = call_function(load_function("flows/flow.py:main"), {})

    assert result == 42


def test_file_may_be_called_like_a_module_that_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("def main():\n    return 'mine'\n")

    result = call_function(load_function("json.py:main"), {})

    assert result == "mine"
    assert sys.modules["json"].__file__ != str(tmp_path / "json.py")


def test_function_of_an_installed_module_is_found() -> None:
    function = load_function("posixpath:basename")

    assert function("a/b") == "b"


def test_deployments_path_is_entered(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()

    enter(str(tmp_path / "code"))

    assert Path.cwd() == tmp_path / "code"


@pytest.mark.parametrize(
    ("entrypoint", "complaint"),
    [
        (None, "names no entrypoint"),
        ("flow.py", "not of the form FILE.py:FUNCTION"),
        (":main", "not of the form FILE.py:FUNCTION"),
        ("flow.py:", "not of the form FILE.py:FUNCTION"),
        ("missing.py:main", "missing.py does not exist"),
        ("flow.py:missing", "has no function 'missing'"),
        ("flow.py:NUMBER", "has no function 'NUMBER'"),
        ("no.such.module:main", "'no.such.module' is not installed"),
    ],
)
def test_bad_entrypoint_says_what_is_wrong(
    tmp_path: Path, entrypoint: str | None, complaint: str
) -> None:
    (tmp_path / "flow.py").write_text("NUMBER = 1\n")

    with pytest.raises(BadEntrypoint, match=complaint):
        load_function(entrypoint)


def test_module_that_lacks_another_says_which(tmp_path: Path) -> None:
    (tmp_path / "incomplete.py").write_text("import not_installed_anywhere\n")

    with pytest.raises(ModuleNotFoundError, match="not_installed_anywhere"):
        load_function("incomplete:main")


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({}, "missing a required argument: 'a'"),
        ({"a": 1, "z": 2}, "unexpected keyword argument 'z'"),
    ],
)
def test_parameters_that_do_not_fit_are_refused_before_the_call(
    tmp_path: Path, parameters: dict[str, int], complaint: str
) -> None:
    (tmp_path / "flow.py").write_text("def main(a):\n    raise AssertionError\n")
    function = load_function("flow.py:main")

    with pytest.raises(BadEntrypoint, match=complaint):
        call_function(function, parameters)
