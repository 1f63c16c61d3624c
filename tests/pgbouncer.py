"""A PgBouncer of one's own in front of a test's PostgreSQL, in transaction mode."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from tests.postgres import USER

PORT = 6432  # names the socket in its folder; nothing listens on the network
START_SECONDS = 10


@contextmanager
def pooler(program: str, url: str, connections: int) -> Iterator[str]:
    """The URL of `url`'s database through a pooler with so many connections to it."""
    parts = urlsplit(url)
    cluster = parse_qs(parts.query)["host"][0]
    folder = Path(tempfile.mkdtemp(prefix="forebay-pgbouncer-"))
    settings = folder / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\n* = host={cluster} user={USER}\n"
        f"[pgbouncer]\nlisten_port = {PORT}\nunix_socket_dir = {folder}\nauth_type = any\n"
        f"pool_mode = transaction\ndefault_pool_size = {connections}\nmax_client_conn = 500\n"
    )
    command = [program, "-q", settings]
    if os.geteuid() == 0:  # as whom it refuses to run
        shutil.chown(folder, USER)
        command[1:1] = ["-u", USER]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        _wait_for(folder / f".s.PGSQL.{PORT}", process)
        query = urlencode({"host": str(folder), "port": PORT}, safe="/")
        yield urlunsplit(parts._replace(query=query))
    finally:
        process.terminate()
        process.communicate()
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + START_SECONDS
    while not path.exists():
        if process.poll() is not None or time.monotonic() > until:
            process.kill()
            raise RuntimeError(f"PgBouncer did not start: {process.communicate()[1]}")
        time.sleep(0.01)
