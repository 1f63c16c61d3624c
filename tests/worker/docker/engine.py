"""A real Docker engine for the tests, and an image in which this checkout's Python runs."""

import io
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
IMAGE = "forebay-test:1"
OPTIONS = (
    *("--storage-driver", "vfs", "--bridge", "none", "--iptables=false", "--ip-forward=false"),
    *("--ip-masq=false", "--userland-proxy=false", "--log-level", "warn"),
)


class NoEngine(Exception):
    """There is no engine to be had on this machine; the text says why."""


@dataclass(frozen=True)
class Engine:
    """A running engine with the image `IMAGE`."""

    url: str

    def docker(self, *arguments: str, stdin: bytes | None = None) -> str:
        """What a command of Docker's own client prints."""
        done = subprocess.run(
            ["docker", "--host", self.url, *arguments],
            input=stdin,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()


@contextmanager
def engine(folder: Path) -> Iterator[Engine]:
    """An engine below `folder`, ended with everything in it. Raises `NoEngine`."""
    daemon, unshare = shutil.which("dockerd"), shutil.which("unshare")
    if not daemon or not unshare or not shutil.which("docker"):
        raise NoEngine("dockerd, docker or unshare is not installed")
    if os.geteuid() != 0:
        raise NoEngine("a Docker engine can be started by root only")
    url = f"unix://{folder}/docker.sock"
    places = [
        *("--host", url, "--data-root", f"{folder}/root", "--exec-root", f"{folder}/exec"),
        *("--pidfile", f"{folder}/engine.pid"),
    ]
    with (folder / "engine.log").open("wb") as log:
        process = subprocess.Popen(
            [unshare, "-m", "--propagation", "private", daemon, *places, *OPTIONS],
            stdout=log,
            stderr=log,
        )
    try:
        started = Engine(url)
        _wait_until_it_answers(process, started, folder)
        started.docker("import", "-", IMAGE, stdin=root_file_system())
        yield started
        for container in started.docker("ps", "-aq").split():
            started.docker("rm", "-f", container)
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def volumes(*folders: Path) -> list[str]:
    """What a container of `IMAGE` needs of this machine to run this checkout's Python."""
    venv, python = Path(sys.prefix), Path(sys.base_prefix)
    return [f"{path}:{path}:ro" for path in (Path("/usr"), venv, python, ROOT, *folders)]


def _wait_until_it_answers(
    process: "subprocess.Popen[bytes]", started: Engine, folder: Path
) -> None:
    give_up_at = time.monotonic() + 30
    command = ["docker", "--host", started.url, "version"]
    while subprocess.run(command, capture_output=True, check=False).returncode != 0:
        if process.poll() is not None or time.monotonic() > give_up_at:
            raise NoEngine(f"dockerd does not start: {(folder / 'engine.log').read_text()}")
        time.sleep(0.1)


def root_file_system() -> bytes:
    """Nothing but the links of a merged /usr; the rest is mounted from this machine."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name in ("bin", "sbin", "lib", "lib64"):
            link = tarfile.TarInfo(name)
            link.type, link.linkname = tarfile.SYMTYPE, f"usr/{name}"
            tar.addfile(link)
        for name in ("tmp", "usr", "etc"):
            made = tarfile.TarInfo(name)
            made.type, made.mode = tarfile.DIRTYPE, 0o777
            tar.addfile(made)
    return content.getvalue()
