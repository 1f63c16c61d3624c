"""The registry pages of this repository."""

import shutil
from pathlib import Path

from forebay_provider import docs

ROOT = Path(__file__).parents[2]


def test_pages_are_current() -> None:
    assert docs.stale(ROOT) == []


def test_changed_missing_and_surplus_pages_are_stale(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    docs.write(tmp_path)
    (tmp_path / "docs/index.md").write_text("changed")
    (tmp_path / "docs/resources/work_pool.md").unlink()
    (tmp_path / "docs/resources/work_tank.md").write_text("surplus")

    assert docs.stale(tmp_path) == [
        "docs/index.md",
        "docs/resources/work_pool.md",
        "docs/resources/work_tank.md",
    ]
