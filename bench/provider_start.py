"""P15, P16: what `terraform plan` costs with our provider, against a bare grpcio provider.

    python -m bench.provider_start [--seconds 4] [--tf PYTHON]

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

from bench.commands import HOME, URL, serving
from bench.figures import ANY, Figure, table
from forebay_provider import installation

MOST_RATIO, MOST_RATIO_OF_MANY, MOST_RATIO_TO_TF, MOST_REQUESTS = 1.35, 1.6, 1.0, 20
MANY_OBJECTS = 500
ROUNDS_EACH_SECOND = 2  # of the time of other measurements
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
    terraform(work, environment, "init")
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


def terraform(work: Path, environment: dict[str, str], *arguments: str) -> None:
    """Run Terraform in a working folder. Raises `RuntimeError` with what it said."""
    command = ["terraform", *arguments, "-input=false"]
    ended = subprocess.run(
        command, cwd=work, env=environment, capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise RuntimeError(f"terraform {arguments[0]} in {work.name}: {ended.stderr[-2000:]}")


def cost(work: Path, environment: dict[str, str]) -> tuple[float, float]:
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
    target: str,
    title: str,
    works: dict[str, Path],
    environment: dict[str, str],
    rounds: int,
    most: tuple[float, float | None],
    base: str = "bare",
) -> list[Figure]:
    """Plan all in turns; the medians of ours by those of `base`, with bounds for CPU and wall."""
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in works}
    for work in works.values():
        cost(work, environment)  # writes bytecode and keeps the certificate
    for _ in range(rounds):
        for name, work in works.items():
            found[name].append(cost(work, environment))
    medians = {
        name: [statistics.median(column) for column in zip(*runs, strict=True)]
        for name, runs in found.items()
    }
    figures = []
    columns = zip(("CPU", "wall"), medians["forebay"], medians[base], most, strict=True)
    for kind, ours, floor, bound in columns:
        figures += [
            Figure(target, f"{title}: {kind}", ANY, ours, "s", floor=floor),
            Figure(
                target, f"{title}: {kind} by the {base} provider's", ANY, ours / floor, "", bound
            ),
        ]
    return figures


@contextmanager
def installed(tf: str | None) -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder, and the environment in which Terraform finds the providers that are there."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        install(folder / "mirror", {"bare": sys.executable} | ({"tf": tf} if tf else {}))
        configuration = folder / "terraformrc"
        path = json.dumps(str(folder / "mirror"))
        configuration.write_text(
            f"provider_installation {{\n  filesystem_mirror {{ path = {path} }}\n}}\n"
        )
        yield (
            folder,
            {
                **os.environ,
                "TF_CLI_CONFIG_FILE": str(configuration),
                "CHECKPOINT_DISABLE": "1",
                "FOREBAY_HOME": str(folder / "home"),
            },
        )


def measure(seconds: float) -> list[Figure]:
    """Plans of one object to create, of one that exists, and of many."""
    rounds = max(3, int(ROUNDS_EACH_SECOND * seconds))
    both = (MOST_RATIO, MOST_RATIO)
    with installed(None) as (folder, environment):
        works = _prepared(folder, environment, "bare", "forebay")
        figures = compare("P15", "plan of a pool to create", works, environment, rounds, both)
        with serving("--no-services", "--no-auth") as served:
            environment |= {name: served[name] for name in (HOME, URL)}
            for work in works.values():
                terraform(work, environment, "apply", "-auto-approve")
            title = "plan of a pool that has not changed"
            figures += compare("P15", title, works, environment, rounds, both)
            figures += _many(folder, environment, max(3, rounds // 2))
        return figures


def _many(folder: Path, environment: dict[str, str], rounds: int) -> list[Figure]:
    pools = MANY_OBJECTS // 5
    counts = {"pools": pools, "queues": MANY_OBJECTS - pools}
    works = {
        name: prepare(folder, name, environment, text.format(**counts), "many")
        for name, text in MANY.items()
    }
    for work in works.values():
        terraform(work, environment, "apply", "-auto-approve")
    title = f"plan of {MANY_OBJECTS} objects that have not changed"
    sent = requests_of_plan(works["forebay"], environment)
    bounds = (MOST_RATIO_OF_MANY, None)
    return [
        *compare("P16", title, works, environment, rounds, bounds),
        Figure("P16", f"{title}: requests", ANY, sent, bound=MOST_REQUESTS),
    ]


def against_tf(tf: str, seconds: float) -> list[Figure]:
    """Our plan, with the whole schema loaded, by that of a provider on the package `tf`."""
    rounds = max(3, int(ROUNDS_EACH_SECOND * seconds))
    with installed(tf) as (folder, environment):
        works = _prepared(folder, environment, "tf", "forebay")
        return compare(
            "P15",
            "plan of a pool to create, with our whole schema",
            works,
            environment,
            rounds,
            (MOST_RATIO_TO_TF, MOST_RATIO_TO_TF),
            "tf",
        )


def _prepared(folder: Path, environment: dict[str, str], *names: str) -> dict[str, Path]:
    return {name: prepare(folder, name, environment, CONFIGURATIONS[name]) for name in names}


def main() -> None:
    """What `make bench` measures of the provider, or the comparison with `tf`."""
    parser = argparse.ArgumentParser(prog="python -m bench.provider_start")
    parser.add_argument("--seconds", type=float, default=4.0, help="the more, the more repeats")
    parser.add_argument("--tf", metavar="PYTHON", help="a Python that has the package tf")
    options = parser.parse_args()
    figures = against_tf(options.tf, options.seconds) if options.tf else measure(options.seconds)
    print(table(figures))


if __name__ == "__main__":
    main()
