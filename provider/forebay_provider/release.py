"""Archives of the provider for registries and for network mirrors. Knows no Terraform call.

    python -m forebay_provider.release [--dir dist/provider] [--mirror FOLDER]

An archive holds a launcher alone: it finds a Python that has exactly this version of the package
installed, and starts it. The same launcher fits every platform that has a shell.
"""

import argparse
import base64
import hashlib
import json
import sys
import zipfile
from pathlib import Path

from forebay import __version__
from forebay_provider.installation import ADDRESSES

PLATFORMS = ("linux_amd64", "linux_arm64", "darwin_amd64", "darwin_arm64", "freebsd_amd64")
NAME = "terraform-provider-forebay"
MODE = 0o755
TIME = (2020, 1, 1, 0, 0, 0)  # the same bytes for the same content, whenever they are made

_LAUNCHER = """\
#!/bin/sh
# Starts the Forebay provider {version} from the Python package of that very version.
wanted={version}
check='import sys, importlib.util
try:
    from forebay import __version__ as found
except ImportError:
    found = "none"
if found != "none" and importlib.util.find_spec("grpc") is None:
    found += " without the extra provider"
sys.stdout.write(found)'
seen=
for python in "$FOREBAY_PYTHON" "$HOME/.forebay/provider/venv/bin/python" python3 python; do
  [ -n "$python" ] && command -v "$python" >/dev/null 2>&1 || continue
  found=$("$python" -I -c "$check" 2>/dev/null) || continue
  if [ "$found" = "$wanted" ]; then
    exec "$python" -I -c 'from forebay_provider.__main__ import main; main()' "$@"
  fi
  seen="$seen $python has $found;"
done
echo "The Forebay provider $wanted needs a Python with forebay[provider]==$wanted;$seen" >&2
echo "install it (pip install 'forebay[provider]==$wanted'), or let FOREBAY_PYTHON name one." >&2
exit 1
"""


def launcher(version: str = __version__) -> bytes:
    """The program in an archive: a shell script, for which no compiler is needed."""
    return _LAUNCHER.format(version=version).encode()


def release(folder: Path, version: str = __version__) -> list[Path]:
    """Write archives, manifest and checksums of a release into `folder`; returns them."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [_archive(folder, version, platform) for platform in PLATFORMS]
    manifest = folder / f"{NAME}_{version}_manifest.json"
    manifest.write_text(
        json.dumps({"version": 1, "metadata": {"protocol_versions": ["6.0"]}}), "utf-8"
    )
    sums = folder / f"{NAME}_{version}_SHA256SUMS"
    digests = ((hashlib.sha256(f.read_bytes()).hexdigest(), f.name) for f in (*files, manifest))
    sums.write_text("".join(f"{digest}  {name}\n" for digest, name in digests), "utf-8")
    return [*files, manifest, sums]


def mirror(folder: Path, version: str = __version__) -> None:
    """Make `folder` a network mirror of this version; other versions in it stay."""
    for address in ADDRESSES:
        here = folder / address
        here.mkdir(parents=True, exist_ok=True)
        archives = {}
        for platform in PLATFORMS:
            archive = _archive(here, version, platform)
            digest = hashlib.sha256(archive.read_bytes()).hexdigest()
            hashes = [f"h1:{_h1(launcher(version), version)}", f"zh:{digest}"]
            archives[platform] = {"url": archive.name, "hashes": hashes}
        (here / f"{version}.json").write_text(json.dumps({"archives": archives}), "utf-8")
        versions: dict[str, dict[str, str]] = {
            file.stem: {} for file in sorted(here.glob("*.json"))
        }
        versions.pop("index", None)
        (here / "index.json").write_text(json.dumps({"versions": versions}), "utf-8")


def _archive(folder: Path, version: str, platform: str) -> Path:
    path = folder / f"{NAME}_{version}_{platform}.zip"
    entry = zipfile.ZipInfo(_program(version), TIME)
    entry.external_attr = MODE << 16  # Terraform takes the mode from here
    entry.create_system = 3  # Unix, whatever made it
    entry.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(entry, launcher(version))
    return path


def _h1(content: bytes, version: str) -> str:
    """Terraform's hash of a package's content. Source: tfplugin6, `h1` of lock files."""
    line = f"{hashlib.sha256(content).hexdigest()}  {_program(version)}\n"
    return base64.b64encode(hashlib.sha256(line.encode()).digest()).decode()


def _program(version: str) -> str:
    return f"{NAME}_v{version}"


def main() -> None:
    """Write a release, and with --mirror a network mirror too."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dir", type=Path, default=Path("dist/provider"))
    parser.add_argument("--mirror", type=Path)
    options = parser.parse_args()
    for path in release(options.dir):
        sys.stdout.write(f"{path}\n")
    if options.mirror is not None:
        mirror(options.mirror)
        sys.stdout.write(f"{options.mirror}\n")


if __name__ == "__main__":
    main()
