"""Applies are spoiled, interrupted, killed and doubled: nothing is orphaned in silence or made twice.

`python -m tests.reliability.broken_applies`
"""

import asyncio
import os
import random
import re
import shutil
import signal
from asyncio.subprocess import PIPE, STDOUT, Process
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from forebay.calls import variables, work_pools, work_queues
from forebay.client import AsyncClient
from forebay.settings import ClientSettings
from forebay_provider import installation
from tests.reliability.ground import Figures, Ground, main
from tests.reliability.proxy import Mischief, spoiling

ROUNDS = {"quick": 10, "night": 300}
PROBABILITY = 0.08  # of each way in which an answer is spoiled
BLOWS = ("none", "interrupt", "kill terraform", "kill provider", "two at once")
MOMENT_SECONDS = (0.4, 2.5)  # after its start an apply is hit
TRIES = 8  # to mend one round
OPTIONS = ("-input=false", "-no-color")
IMPORT = re.compile(r"terraform import (forebay_\w+)\.\S+ ('[^']*'|\S+)")
CONFIGURATION = """
terraform {
  required_providers {
    forebay = { source = "forebay/forebay" }
  }
}
variable "round" { default = "" }
variable "url" { default = "" }
provider "forebay" {
  endpoint = var.url
  retry    = { max_attempts = 6, wait_min = "50ms", wait_max = "500ms" }
}
resource "forebay_work_pool" "p" {
  for_each = toset(["a", "b"])
  name     = "${var.round}-${each.key}"
  type     = "process"
}
resource "forebay_work_queue" "q" {
  for_each       = toset(["a/1", "a/2", "b/1", "b/2"])
  work_pool_name = forebay_work_pool.p[split("/", each.key)[0]].name
  name           = split("/", each.key)[1]
}
resource "forebay_variable" "v" {
  name  = "${var.round}-v"
  value = "one"
}
"""


@dataclass
class Tally:
    """What became of the applies."""

    blows: Counter[str] = field(default_factory=Counter)
    failed: int = 0  # applies that were told to have failed
    imported: int = 0  # objects that were taken over with the line that an error gave
    unmended: int = 0  # failures that gave no such line and that another apply did not mend
    pending: int = 0  # plans that were not empty in the end
    orphans: int = 0
    duplicates: int = 0


class Folder:
    """A working folder with a state of its own."""

    def __init__(self, path: Path, environment: dict[str, str], round: str) -> None:
        self.path = path
        self._environment = {**environment, "TF_VAR_round": round}

    async def begin(self, url: str, *command: str) -> Process:
        """Start Terraform against the API at `url`."""
        return await asyncio.create_subprocess_exec(
            "terraform",
            *command,
            cwd=self.path,
            env={**self._environment, "TF_VAR_url": url},
            stdout=PIPE,
            stderr=STDOUT,
            start_new_session=True,
        )

    async def run(self, url: str, *command: str) -> tuple[int, str]:
        """Run it to its end: exit code and what it told."""
        process = await self.begin(url, *command)
        told, _ = await process.communicate()
        return process.returncode or 0, told.decode()

    async def names(self, url: str) -> set[str]:
        """The addresses in the state."""
        _, told = await self.run(url, "state", "list")
        return {line for line in told.splitlines() if line.startswith("forebay_")}


def provider_of(terraform: int) -> int | None:
    """The provider's process that this Terraform started last, if one runs."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            command = path.with_name("cmdline").read_bytes()
        except OSError:
            continue  # it has ended meanwhile
        if parent == terraform and b"terraform-provider-forebay" in command:
            found.append(int(path.parent.name))
    return max(found, default=None)


def _strike(blow: str, process: Process) -> None:
    """Hit an apply that still runs."""
    if process.returncode is not None:
        return
    if blow == "interrupt":
        process.send_signal(signal.SIGINT)
    elif blow == "kill terraform":
        process.kill()
    elif blow == "kill provider" and (provider := provider_of(process.pid)) is not None:
        os.kill(provider, signal.SIGKILL)


def _address(type: str, identifier: str) -> str:
    """Where the configuration has the object of an import id."""
    if type == "forebay_variable":
        return f"{type}.v"
    pool, _, queue = identifier.partition("/")
    key = pool.rpartition("-")[2]
    return f'{type}.q["{key}/{queue}"]' if queue else f'{type}.p["{key}"]'


async def _mend(folder: Folder, url: str, tally: Tally) -> None:
    """Apply until it succeeds, with the imports that errors name and nothing else."""
    for _ in range(TRIES):
        code, told = await folder.run(url, "apply", "-auto-approve", *OPTIONS)
        if code == 0:
            break
        tally.failed += 1
        named = set(IMPORT.findall(" ".join(told.split())))
        if not named:
            continue
        for type, quoted in named:
            identifier = quoted.strip("'")
            command = ("import", *OPTIONS, _address(type, identifier), identifier)
            tally.imported += (await folder.run(url, *command))[0] == 0
    else:
        tally.unmended += 1
    code, _ = await folder.run(url, "plan", "-detailed-exitcode", *OPTIONS)
    tally.pending += code != 0


async def _objects(api: AsyncClient, round: str) -> list[str]:
    """What the server has of a round, by address; what is there twice is named twice."""
    found = [
        _address("forebay_work_pool", pool.name)
        for pool in await api.send(work_pools.filter())
        if pool.name.startswith(f"{round}-")
    ]
    found += [
        _address("forebay_work_queue", f"{queue.work_pool_name}/{queue.name}")
        for queue in await api.send(work_queues.filter_all())
        if (queue.work_pool_name or "").startswith(f"{round}-") and queue.name != "default"
    ]
    named = await api.send(variables.filter())
    found += ["forebay_variable.v" for each in named if each.name == f"{round}-v"]
    return found


async def _prepare(ground: Ground) -> tuple[Path, dict[str, str]]:
    """An initialised folder to copy from, and the environment of Terraform."""
    mirror, ready = ground.folder / "mirror", ground.folder / "ready"
    installation.install(mirror)
    configuration = ground.folder / "terraform.rc"
    configuration.write_text(installation.cli_configuration(mirror))
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FOREBAY_", "PREFECT_"))}
    environment = {
        **kept,
        "TF_CLI_CONFIG_FILE": str(configuration),
        "CHECKPOINT_DISABLE": "1",
        "FOREBAY_HOME": str(ground.folder / "home"),
    }
    ready.mkdir()
    ready.joinpath("main.tf").write_text(CONFIGURATION)
    code, told = await Folder(ready, environment, "").run("", "init", *OPTIONS)
    if code:
        raise RuntimeError(told)
    return ready, environment


async def break_applies(ground: Ground, rounds: int) -> Figures:
    """Hit `rounds` applies while their answers are spoiled, mend them, and compare."""
    server = ground.server("--no-services")
    rng = random.Random(ground.options.seed)
    mischief, tally = Mischief(PROBABILITY, rng), Tally()
    ready, environment = await _prepare(ground)
    settings = ClientSettings(api_url=server.api_url)
    async with AsyncClient(settings) as api, spoiling(server.api_url, mischief) as spoiled:
        for number in range(rounds):
            round = f"r{number}"
            blow = BLOWS[number % len(BLOWS)] if rounds >= len(BLOWS) else rng.choice(BLOWS[1:])
            tally.blows[blow] += 1
            folders = []
            for each in range(2 if blow == "two at once" else 1):
                path = ground.folder / f"{round}-{each}"
                shutil.copytree(ready, path, symlinks=True)
                folders.append(Folder(path, environment, round))
            command = ("apply", "-auto-approve", *OPTIONS)
            applies = [await folder.begin(spoiled, *command) for folder in folders]
            ends = asyncio.gather(*(apply.communicate() for apply in applies))
            await asyncio.wait([ends], timeout=rng.uniform(*MOMENT_SECONDS))
            _strike(blow, applies[0])
            await ends
            tally.failed += sum(apply.returncode != 0 for apply in applies)
            for folder in folders:
                await _mend(folder, server.api_url, tally)
            there = await _objects(api, round)
            tally.duplicates += len(there) - len(set(there))
            for folder in folders:
                tally.orphans += len(set(there) - await folder.names(server.api_url))
    wrong = (tally.unmended, tally.pending, tally.orphans, tally.duplicates)
    figures = {**vars(tally), "blows": dict(tally.blows), "spoiled": dict(mischief.done)}
    return {"applies": rounds, **figures, "ok": not any(wrong)}


def play(ground: Ground, rounds: int | None = None) -> Figures:
    """Every figure of the broken applies."""
    return asyncio.run(break_applies(ground, rounds or ROUNDS[ground.options.tier]))


if __name__ == "__main__":
    main("broken_applies", play)
