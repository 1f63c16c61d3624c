"""Runs our commands as they are installed beside this Python."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FOREBAY = str(Path(sys.executable).parent / "forebay")
URL, HOME = "FOREBAY_API_URL", "FOREBAY_HOME"


@contextmanager
def serving(*options: str) -> Iterator[dict[str, str]]:
    """A server on SQLite, and the environment in which commands find it and its token."""
    with tempfile.TemporaryDirectory() as folder:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("FOREBAY_", "PREFECT_"))}
        environment = {**kept, HOME: folder}
        server = subprocess.Popen(
            [FOREBAY, "server", "start", "--port", "0", *options],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert server.stdout is not None
            environment[URL] = server.stdout.readline().split()[-1]
            yield environment
        finally:
            server.terminate()
            server.communicate()
