"""The page of guarantees names tests that exist."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "guarantees.md"
NAMED = re.compile(r"`([a-z_/]+\.py)(?:::(\w+))?`")


def test_every_named_test_exists() -> None:
    named = NAMED.findall(PAGE.read_text())

    missing = [f"{path}::{name}" for path, name in named if not exists(path, name)]

    assert named
    assert missing == []


def exists(path: str, name: str) -> bool:
    """Whether there is such a file, and the function in it where one is named."""
    file = ROOT / "tests" / path
    if not file.is_file():
        return False
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    functions = {n.name for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, kinds)}
    return not name or name in functions
