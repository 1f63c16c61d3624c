"""What `terraform plan` costs with our provider, against a bare grpcio provider.

    python bench/provider_start.py [--rounds 10] [--many 500] [--tf PYTHON]

Both are run in turns, so that a busy machine slows both. CPU is the user and system time of
Terraform and everything that it starts, without the server's. Three plans are measured: of a pool
to create, for which no server is asked, of a pool that exists and has not changed, which is read
from a server, and of many pools and queues that exist, with the number of requests to the server.
The bare provider asks no server in any; its many objects refer to each other as ours do, because
what Terraform does for a reference is its own cost.

With `--tf`, a Python that has the package `tf`, a sample provider of that package plans its
resource too, and our plan, with the whole schema loaded, is compared with it.
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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from forebay_provider import installation

TARGET_RATIO, TARGET_RATIO_OF_MANY, TARGET_RATIO_TO_TF, TARGET_REQUESTS = 1.35, 1.6, 1.0, 20
SOURCES = {
    "bare": "example.com/bench/bare",
    "tf": "example.com/bench/tf",
    "forebay": "registry.terraform.io/forebay/forebay",
}
CONFIGURATIONS = {
    "tf": 'resource "tf_pool" "one" {\n  name = "etl"\n}\n',
    "bare": 'resource "bare_pool" "one" {\n  name = "etl"\n}\n',
    "forebay": 'resource "forebay_work_pool" "one" {\n  name = "etl"\n  type = "process"\n}\n',
}

MANY = {
    "bare": """
resource "bare_pool" "many" {{
  count = {pools}
  name  = "pool ${{count.index}}"
}}
resource "bare_pool" "queues" {{
  count = {queues}
  name  = "${{bare_pool.many[count.index % {pools}].name}} queue ${{count.index}}"
}}
""",
    "forebay": """
resource "forebay_work_pool" "many" {{
  count = {pools}
  name  = "pool ${{count.index}}"
  type  = "process"
}}
resource "forebay_work_queue" "many" {{
  count          = {queues}
  work_pool_name = forebay_work_pool.many[count.index % {pools}].name
  name           = "queue ${{count.index}}"
}}
""",
}


def prepare(
    folder: Path, name: str, environment: dict[str, str], configuration: str, label: str = "one"
) -> Path:
    """An initialised working folder with a configuration."""
    work = folder / f"{name}-{label}"
    work.mkdir()
    source = f'{name} = {{ source = "{SOURCES[name]}" }}'
    block = f"terraform {{\n  required_providers {{\n    {source}\n  }}\n}}\n"
    (work / "main.tf").write_text(block + configuration)
    subprocess.run(
        ["terraform", "init"], cwd=work, env=environment, check=True, capture_output=True
    )
    return work


def install(mirror: Path, interpreters: dict[str, str]) -> None:
    """Put ours into the mirror, and each of the others, started the same way."""
    ours = installation.install(mirror)
    for name, interpreter in interpreters.items():
        folder = mirror / SOURCES[name] / "1.0.0" / ours.platform
        folder.mkdir(parents=True)
        module = f"{name}_provider"
        shutil.copy(Path(__file__).with_name(f"{module}.py"), mirror)
        script = folder / f"terraform-provider-{name}_v1.0.0"
        script.write_text(
            f"#!{interpreter} -I\nimport sys\nsys.path.insert(0, {str(mirror)!r})\n"
            f"import {module}\n"
        )
        script.chmod(0o755)


@contextmanager
def server(environment: dict[str, str]) -> Iterator[None]:
    """A Forebay server; its address and token are put into `environment`."""
    program = Path(sys.executable).with_name("forebay")
    process = subprocess.Popen(
        [program, "server", "start", "--port", "0", "--no-services", "--no-auth"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    environment["FOREBAY_API_URL"] = process.stdout.readline().split()[-1]
    yield
    process.terminate()
    process.communicate()


def terraform(work: Path, environment: dict[str, str], *arguments: str) -> None:
    command = ["terraform", *arguments, "-input=false"]
    subprocess.run(command, cwd=work, env=environment, check=True, capture_output=True)


def measure(work: Path, environment: dict[str, str]) -> tuple[float, float]:
    """CPU and wall seconds of one plan."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    terraform(work, environment, "plan")
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - start
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def requests_of_plan(work: Path, environment: dict[str, str]) -> int:
    """How many requests our provider sends for one plan, from its own log."""
    log = work / "provider.log"
    terraform(work, {**environment, "TF_LOG_PROVIDER": "DEBUG", "TF_LOG_PATH": str(log)}, "plan")
    return sum("result=" in line for line in log.read_text().splitlines())


def compare(
    title: str,
    works: dict[str, Path],
    environment: dict[str, str],
    rounds: int,
    ratio: float = TARGET_RATIO,
    base: str = "bare",
) -> None:
    """Measure all in turns and print medians, and the ratio of ours to `base`."""
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for work in works.values():
        measure(work, environment)  # writes bytecode and keeps the certificate
    for _ in range(rounds):
        for name, work in works.items():
            figures[name].append(measure(work, environment))
    print(f"{title} (median of {rounds})")
    medians: dict[str, tuple[float, float]] = {}
    for name, runs in figures.items():
        cpu, wall = (statistics.median(column) for column in zip(*runs, strict=True))
        medians[name] = cpu, wall
        print(f"  {name:8} {cpu:.3f} s CPU  {wall:.3f} s wall")
    (cpu, wall), (base_cpu, base_wall) = (medians.pop(name) for name in ("forebay", base))
    target = f"target: at most {ratio} CPU and wall"
    print(f"  {'ratio':8} {cpu / base_cpu:.2f} CPU     {wall / base_wall:.2f} wall    ({target})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--many", type=int, default=500, help="resources of the last plan")
    parser.add_argument("--tf", metavar="PYTHON", help="a Python that has the package tf")
    options = parser.parse_args()
    rounds, many = options.rounds, options.many
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        others = {"bare": sys.executable} | ({"tf": options.tf} if options.tf else {})
        install(folder / "mirror", others)
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
        works = {
            name: prepare(folder, name, environment, CONFIGURATIONS[name])
            for name in (*others, "forebay")
        }
        if options.tf:
            title = "plan of a pool to create, with our whole schema"
            beside = {name: works[name] for name in ("tf", "forebay")}
            compare(title, beside, environment, rounds, TARGET_RATIO_TO_TF, "tf")
            del works["tf"]
        compare("plan of a pool to create", works, environment, rounds)
        with server(environment):
            for work in works.values():
                terraform(work, environment, "apply", "-auto-approve")
            compare("plan of a pool that has not changed", works, environment, rounds)
            counts = {"many": many, "pools": many // 5, "queues": many - many // 5}
            works = {
                name: prepare(folder, name, environment, text.format(**counts), "many")
                for name, text in MANY.items()
            }
            for work in works.values():
                terraform(work, environment, "apply", "-auto-approve")
            title = f"plan of {many} objects that have not changed"
            compare(title, works, environment, max(1, rounds // 3), TARGET_RATIO_OF_MANY)
            sent = requests_of_plan(works["forebay"], environment)
            print(f"  requests {sent}    (target: at most {TARGET_REQUESTS})")


main()
