"""Archives for registries and mirrors, and the launcher in them."""

import hashlib
import json
import os
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from forebay import __version__
from forebay_provider import handshake, release


def launch(tmp_path: Path, version: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the launcher of a version as a curious human would."""
    program = tmp_path / "terraform-provider-forebay"
    program.write_bytes(release.launcher(version))
    program.chmod(0o755)
    return subprocess.run(
        [program, "--version"],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_release_has_what_a_registry_asks_for(tmp_path: Path) -> None:
    names = {path.name for path in release.release(tmp_path, "1.2.3")}

    stem = "terraform-provider-forebay_1.2.3"
    archives = {f"{stem}_{platform}.zip" for platform in release.PLATFORMS}
    assert names == archives | {f"{stem}_manifest.json", f"{stem}_SHA256SUMS"}
    manifest = json.loads((tmp_path / f"{stem}_manifest.json").read_text())
    assert manifest["metadata"]["protocol_versions"] == ["6.0"]


def test_checksums_are_those_of_the_files(tmp_path: Path) -> None:
    *files, sums = release.release(tmp_path, "1.2.3")

    listed = dict(reversed(line.split("  ")) for line in sums.read_text().splitlines())

    assert listed == {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def test_program_in_an_archive_can_be_run(tmp_path: Path) -> None:
    archive = release.release(tmp_path, "1.2.3")[0]

    with zipfile.ZipFile(archive) as opened:
        (entry,) = opened.infolist()

    assert entry.filename == "terraform-provider-forebay_v1.2.3"
    assert stat.S_IMODE(entry.external_attr >> 16) == 0o755


def test_same_content_has_the_same_checksum(tmp_path: Path) -> None:
    first = release.release(tmp_path / "a")[-1].read_text()
    second = release.release(tmp_path / "b")[-1].read_text()

    assert first == second


def test_launcher_starts_the_package_of_its_version(tmp_path: Path) -> None:
    done = launch(tmp_path, __version__, FOREBAY_PYTHON=sys.executable)

    assert done.stdout == f"terraform-provider-forebay {__version__}\n"


def test_launcher_refuses_a_package_of_another_version(tmp_path: Path) -> None:
    done = launch(tmp_path, "99.0.0", FOREBAY_PYTHON=sys.executable)

    assert done.returncode == 1
    assert f"{sys.executable} has {__version__}" in done.stderr
    assert "pip install 'forebay[provider]==99.0.0'" in done.stderr
    assert done.stdout == ""


def test_launcher_gives_terraform_the_handshake(tmp_path: Path) -> None:
    program = tmp_path / "terraform-provider-forebay"
    program.write_bytes(release.launcher())
    program.chmod(0o755)
    environment = {
        **os.environ,
        "FOREBAY_PYTHON": sys.executable,
        handshake.COOKIE_NAME: handshake.COOKIE,
    }

    with subprocess.Popen([program], env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        process.terminate()

    assert line.startswith("1|6|unix|")


@pytest.mark.parametrize("address", release.ADDRESSES)
def test_mirror_lists_its_versions_and_keeps_the_older(tmp_path: Path, address: str) -> None:
    release.mirror(tmp_path, "1.0.0")
    release.mirror(tmp_path, "1.1.0")

    here = tmp_path / address
    assert json.loads((here / "index.json").read_text()) == {
        "versions": {"1.0.0": {}, "1.1.0": {}}
    }
    archives = json.loads((here / "1.1.0.json").read_text())["archives"]
    assert set(archives) == set(release.PLATFORMS)
    assert all((here / archive["url"]).exists() for archive in archives.values())
