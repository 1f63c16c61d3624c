"""The benchmarks run: a short one of each kind of output, whose figures mean nothing."""

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parents[2]


def test_a_run_of_the_benchmarks_keeps_what_it_counted_and_draws_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bench", "--only", "creates", "--db", "sqlite"]

    run = subprocess.run(
        [*command, "--seconds", "0.1", "--keep", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    (found,) = tmp_path.glob("*-creates-sqlite.json")
    figures = {each["what"]: each for each in json.loads(found.read_text())["figures"]}
    singly = "runs created singly by 8 clients"
    assert figures[f"{singly}: failed"]["is_met"] is True, run.stderr
    assert figures[f"{singly}: miscounted"]["is_met"] is True
    assert f"{singly}: rate" in figures
    assert f"ok P9   sqlite    {singly}: failed" in run.stdout
    words = ElementTree.fromstring(found.with_suffix(".svg").read_text()).itertext()
    assert f"{singly}: failed" in words
    assert run.returncode == 0, run.stderr
