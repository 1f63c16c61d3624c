"""Plants faults in a copy of the product, one at a time: the named test must fail of each.

`python -m tests.reliability.mutations` plants all of them, and prints which were caught;
`--only TEXT` those whose names have it. A test that has never failed has shown nothing.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest

from tests.reliability.faults import FAULTS, Fault

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("server", "client", "worker", "provider")
TEST_SECONDS = 900
LOADED_ONCE = ("pytest", "pytest_asyncio", "fastapi", "sqlmodel", "alembic", "httpx2", "asyncpg")
SOME_FAILED = 1  # pytest's exit code; others tell that the tests were not run


class Planting:
    """A copy of the product, to be changed and tested with the tests of this tree."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._second = int(time.time())
        # What takes long to load and stays as it is, is loaded once for all of them.
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(LOADED_ONCE))
        for package in PACKAGES:
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / package, folder / package, ignore=ignored)

    def is_caught(self, fault: Fault) -> bool:
        """Whether the fault's test fails of it. Raises `ValueError` where it does not fit."""
        file = self._folder / fault.file
        source = file.read_text()
        if source.count(fault.text) != 1:
            raise ValueError(
                f"{fault.name}: its text is {source.count(fault.text)} times in {file}"
            )
        changed_at = file.stat().st_mtime
        file.write_text(source.replace(fault.text, fault.instead))
        # Compiled modules are told apart by whole seconds, of which none may come twice.
        self._second += 1
        os.utime(file, (self._second, self._second))
        try:
            code, output = self.run([fault.test, "--exitfirst"])
        finally:
            file.write_text(source)
            os.utime(file, (changed_at, changed_at))
        # A test that could not even begin has caught nothing.
        return code == SOME_FAILED and "\nFAILED " in output

    def failing(self, tests: Collection[str]) -> set[str]:
        """Those that fail without a fault. Raises `RuntimeError` where they cannot be run."""
        code, output = self.run(sorted(tests))
        if code not in (0, SOME_FAILED) or " skipped" in output:
            raise RuntimeError(f"the tests do not run:\n{output}")
        failed = [line for line in output.splitlines() if line.startswith("FAILED ")]
        return {test for test in tests if any(f" {test}" in line for line in failed)}

    def run(self, tests: Sequence[str]) -> tuple[int, str]:
        """Run tests against the copy: pytest's exit code, and what it wrote."""
        output = self._folder / "output"
        paths = [str(self._folder / package) for package in PACKAGES]
        process = self._context.Process(target=_test, args=(paths, [*tests], output))
        process.start()
        process.join(TEST_SECONDS)
        if process.is_alive():
            assert process.pid is not None
            os.kill(process.pid, signal.SIGINT)  # so that the tests end what they have started
            process.join()
        return process.exitcode or 0, output.read_text()


def _test(paths: Sequence[str], tests: Sequence[str], output: Path) -> None:
    """Run tests in this process, which has loaded nothing of the product yet."""
    with output.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(ROOT)
    sys.path[:0] = paths
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)  # for processes that the tests start
    options = ["-q", "-p", "no:cacheprovider", "-rf", "--no-header", "--tb=no"]
    code = int(pytest.main([*options, *tests]))
    sys.stdout.flush()
    sys.exit(code)


def plant(faults: Sequence[Fault]) -> tuple[list[str], list[str]]:
    """Names of the faults that were caught, and of those that were not."""
    caught: list[str] = []
    missed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="forebay-faults-") as folder:
        planting = Planting(Path(folder))
        unsound = planting.failing({fault.test for fault in faults})
        for fault in faults:
            began = time.monotonic()
            # A test that fails anyway shows nothing.
            is_caught = fault.test not in unsound and planting.is_caught(fault)
            (caught if is_caught else missed).append(fault.name)
            word = "caught" if is_caught else "MISSED"
            took = time.monotonic() - began
            sys.stderr.write(f"{word}  {fault.name}  ({fault.test}, {took:.0f} s)\n")
    return caught, missed


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.reliability.mutations")
    parser.add_argument("--only", default="", help="faults whose names have this text")
    wanted = parser.parse_args().only
    chosen = [fault for fault in FAULTS if wanted in fault.name]
    began = time.monotonic()
    caught, missed = plant(chosen)
    figures = {
        "name": "mutations",
        "planted": len(chosen),
        "caught": len(caught),
        "missed": missed,
        "took_s": round(time.monotonic() - began, 1),
        "ok": bool(chosen) and not missed,
    }
    print(json.dumps(figures))  # noqa: T201 - the line that the module is for
    sys.exit(0 if figures["ok"] else 1)


if __name__ == "__main__":
    main()
