"""Wheels of what is installed beside the tests, so that installers work without an index."""

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[2]
NOT_IN_WHEELS = ("INSTALLER", "REQUESTED", "RECORD", "direct_url.json")


def own_wheel(folder: Path) -> None:
    """Build Forebay's wheel from this checkout."""
    build = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run(
        [sys.executable, "-m", "pip", *build, "--wheel-dir", folder, REPOSITORY], check=True
    )


def wheels(requirements: list[str], folder: Path) -> None:
    """A wheel of each distribution that these need, made of its installed files."""
    for package in _needed(requirements, set()):
        _wheel(package, folder)


def _needed(requirements: list[str], seen: set[str]) -> Iterator[Distribution]:
    for text in requirements:
        requirement = Requirement(text)
        extras = sorted(requirement.extras) or [""]
        name = canonicalize_name(requirement.name)
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue  # of another platform
        further = [
            str(item)
            for item in map(Requirement, package.requires or [])
            if item.marker is None or any(item.marker.evaluate({"extra": e}) for e in extras)
        ]
        further = [item.partition(";")[0] for item in further]
        if name not in seen:
            seen.add(name)
            yield package
            yield from _needed(further, seen)


def _wheel(package: Distribution, folder: Path) -> None:
    about_wheel = str(package.read_text("WHEEL")).splitlines()
    tags = [line.removeprefix("Tag: ").split("-") for line in about_wheel if "Tag: " in line]
    tag = "-".join(".".join(dict.fromkeys(part)) for part in zip(*tags, strict=True))
    name = canonicalize_name(package.name).replace("-", "_")
    about = f"{name}-{package.version}.dist-info"
    with zipfile.ZipFile(folder / f"{name}-{package.version}-{tag}.whl", "w") as wheel:
        record = []
        for file in package.files or []:
            if ".." in file.parts or file.suffix == ".pyc" or file.name in NOT_IN_WHEELS:
                continue
            # Older installers spelled the folder of the description in another way.
            is_about = file.parts[0].endswith(".dist-info")
            target = PurePosixPath(about, *file.parts[1:]) if is_about else file
            wheel.write(str(file.locate()), str(target))
            record.append(f"{target},,\n")
        wheel.writestr(f"{about}/RECORD", "".join([*record, f"{about}/RECORD,,\n"]))
