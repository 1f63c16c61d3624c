"""What `terraform plan` of one resource costs with our provider, against a bare grpcio provider.

    python bench/provider_start.py [--rounds 10]

Both are run in turns, so that a busy machine slows both. CPU is the user and system time of
Terraform and everything that it starts. The plan creates a pool, for which no server is asked.
"""

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from forebay_provider import installation

TARGET_RATIO = 1.35
SOURCES = {"bare": "example.com/bench/bare", "forebay": "registry.terraform.io/forebay/forebay"}
CONFIGURATIONS = {
    "bare": 'resource "bare_pool" "one" {\n  name = "etl"\n}\n',
    "forebay": 'resource "forebay_work_pool" "one" {\n  name = "etl"\n  type = "process"\n}\n',
}


def prepare(folder: Path, name: str, environment: dict[str, str]) -> Path:
    """An initialised working folder with one resource."""
    work = folder / name
    work.mkdir()
    source = f'{name} = {{ source = "{SOURCES[name]}" }}'
    block = f"terraform {{\n  required_providers {{\n    {source}\n  }}\n}}\n"
    (work / "main.tf").write_text(block + CONFIGURATIONS[name])
    subprocess.run(
        ["terraform", "init"], cwd=work, env=environment, check=True, capture_output=True
    )
    return work


def install_bare(mirror: Path) -> None:
    """Put the bare provider into the mirror, started the same way as ours."""
    ours = installation.install(mirror)
    folder = mirror / SOURCES["bare"] / "1.0.0" / ours.platform
    folder.mkdir(parents=True)
    module = Path(__file__).with_name("bare_provider.py")
    shutil.copy(module, mirror / "bare_provider.py")
    script = folder / "terraform-provider-bare_v1.0.0"
    script.write_text(
        f"#!{sys.executable} -I\nimport sys\nsys.path.insert(0, {str(mirror)!r})\n"
        "import bare_provider\n"
    )
    script.chmod(0o755)


def measure(work: Path, environment: dict[str, str]) -> tuple[float, float]:
    """CPU and wall seconds of one plan."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = ["terraform", "plan", "-refresh=false", "-input=false"]
    subprocess.run(command, cwd=work, env=environment, check=True, capture_output=True)
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - start
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in SOURCES}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        install_bare(folder / "mirror")
        configuration = folder / "terraformrc"
        path = json.dumps(str(folder / "mirror"))
        configuration.write_text(
            f"provider_installation {{\n  filesystem_mirror {{ path = {path} }}\n}}\n"
        )
        environment = {
            **os.environ,
            "TF_CLI_CONFIG_FILE": str(configuration),
            "CHECKPOINT_DISABLE": "1",
            "FOREBAY_HOME": str(folder / "home"),
        }
        works = {name: prepare(folder, name, environment) for name in SOURCES}
        for work in works.values():
            measure(work, environment)  # writes bytecode and keeps the certificate
        for _ in range(rounds):
            for name, work in works.items():
                figures[name].append(measure(work, environment))
    medians = {}
    for name, runs in figures.items():
        cpu, wall = (statistics.median(column) for column in zip(*runs, strict=True))
        medians[name] = cpu, wall
        print(f"{name:8} {cpu:.3f} s CPU  {wall:.3f} s wall  (median of {rounds})")
    cpu, wall = (
        ours / bare for ours, bare in zip(medians["forebay"], medians["bare"], strict=True)
    )
    print(f"{'ratio':8} {cpu:.2f} CPU     {wall:.2f} wall    (target: at most {TARGET_RATIO} CPU)")


main()
