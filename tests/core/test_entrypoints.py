"""What is read from a function's source without running it."""

from pathlib import Path
from typing import Any

import pytest

from forebay.entrypoints import Entrypoint, read_entrypoint
from forebay.errors import ConfigurationError


def read(folder: Path, source: str, name: str = "flow.py:main") -> Entrypoint:
    (folder / "flow.py").write_text(source)
    return read_entrypoint(name, folder)


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        ("x", {}),
        ("x: int", {"type": "integer"}),
        ("x: float", {"type": "number"}),
        ("x: str", {"type": "string"}),
        ("x: bool", {"type": "boolean"}),
        ("x: list", {"type": "array"}),
        ("x: dict", {"type": "object"}),
        ("x: None", {"type": "null"}),
        ("x: 'int'", {"type": "integer"}),
        ("x: list[int]", {"type": "array", "items": {"type": "integer"}}),
        ("x: dict[str, bool]", {"type": "object", "additionalProperties": {"type": "boolean"}}),
        ("x: int | None", {"anyOf": [{"type": "integer"}, {"type": "null"}]}),
        ("x: Optional[str]", {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        ("x: t.Union[int, str]", {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        ("x: Annotated[int, 'whole']", {"type": "integer"}),
        ("x: Literal['a', 'b']", {"enum": ["a", "b"]}),
        ("x: datetime", {}),
        ("x: int | datetime", {}),
        ("x: not_closed[", None),
        ("x=3", {"default": 3}),
        ("x: list = []", {"type": "array", "default": []}),
        ("x: int = None", {"anyOf": [{"type": "integer"}, {"type": "null"}], "default": None}),
        ("x: int = LIMIT", {"type": "integer"}),
        ("x: float = float('inf')", {"type": "number"}),
        ("x={1, 2}", {}),
    ],
)
def test_annotation_and_default_become_schema(
    tmp_path: Path, parameter: str, expected: dict[str, Any] | None
) -> None:
    source = f"def main({parameter}): ..."

    if expected is None:
        with pytest.raises(ConfigurationError, match="is not Python"):
            read(tmp_path, source)
        return
    schema = read(tmp_path, source).parameters

    assert schema["properties"]["x"] == {"title": "x", "position": 0, **expected}
    assert schema["required"] == ([] if "=" in parameter else ["x"])


def test_code_is_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "was-run"

    read(tmp_path, f"open({str(marker)!r}, 'w')\n@open({str(marker)!r}, 'w')\ndef main(): ...")

    assert not marker.exists()


def test_keyword_only_and_async_functions_are_read(tmp_path: Path) -> None:
    schema = read(tmp_path, "async def main(a: int, b=1, *, c: str, d=None): ...").parameters

    assert list(schema["properties"]) == ["a", "b", "c", "d"]
    assert schema["required"] == ["a", "c"]


@pytest.mark.parametrize(("signature", "allowed"), [("a", False), ("a, **rest", True)])
def test_unknown_parameters_are_allowed_where_the_function_takes_them(
    tmp_path: Path, signature: str, allowed: bool
) -> None:
    schema = read(tmp_path, f"def main({signature}): ...").parameters

    assert schema["additionalProperties"] is allowed


def test_file_below_the_working_folder_keeps_that_folder(tmp_path: Path) -> None:
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows" / "a.py").write_text('def main():\n    """Say hello."""\n')

    found = read_entrypoint("flows/a.py:main", tmp_path)

    assert (found.folder, found.text) == (tmp_path.resolve(), "flows/a.py:main")
    assert found.description == "Say hello."


def test_file_elsewhere_brings_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "a.py").write_text("def main(): ...")

    found = read_entrypoint("../a.py:main", tmp_path / "here")

    assert (found.folder, found.text) == (tmp_path.resolve(), "a.py:main")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("flow.py", r"FILE\.py:FUNCTION"),
        (":main", r"FILE\.py:FUNCTION"),
        ("flow.py:not a name", r"FILE\.py:FUNCTION"),
        ("absent.py:main", "Cannot read"),
        ("flow.py:absent", "it has: main, positional"),
        ("flow.py:positional", "remove the `/`"),
    ],
)
def test_wrong_entrypoint_says_what_is_wrong(tmp_path: Path, name: str, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        read(tmp_path, "def main(): ...\ndef positional(a, /): ...", name)


@pytest.mark.parametrize("content", [b"def main(:", b"\x00", b"\xff\xfe"])
def test_file_that_is_not_python_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "flow.py").write_bytes(content)

    with pytest.raises(ConfigurationError, match=r"flow\.py is not Python"):
        read_entrypoint("flow.py:main", tmp_path)
