"""Applies whose requests and answers get lost, late and doubled, and applies that are interrupted.

Nothing is made twice, nothing exists that Terraform does not know of without having said so, and
in the end a plan is empty.
"""

import os
import random
import signal
import subprocess
import time

import pytest

from forebay.calls import variables, work_pools, work_queues
from forebay.client import Client
from tests.acceptance.conftest import Terraform
from tests.acceptance.servers import only_on_forebay
from tests.conftest import RunningServer
from tests.proxy import Proxy, Treatment, proxied
from tests.reliability.broken_applies import provider_of

pytestmark = [pytest.mark.terraform, only_on_forebay("keys")]

CONFIGURATION = """
provider "forebay" {
  endpoint = "%s"
  retry    = { max_attempts = 12, wait_min = "50ms", wait_max = "500ms" }
}
resource "forebay_work_pool" "p" {
  for_each    = toset(["a", "b"])
  name        = "pool ${each.key}"
  type        = "process"
  description = "%s"
}
resource "forebay_work_queue" "q" {
  for_each       = toset(["a/1", "a/2", "b/1", "b/2"])
  work_pool_name = forebay_work_pool.p[split("/", each.key)[0]].name
  name           = split("/", each.key)[1]
  description    = "%s"
}
resource "forebay_variable" "v" {
  name  = "v"
  value = "%s"
}
"""
BAD: tuple[Treatment, ...] = ("refuse", "lose", "drop", "double", "delay")


@pytest.fixture
def server(emptied_server: RunningServer) -> RunningServer:
    return emptied_server


def configuration(url: str, text: str) -> str:
    return CONFIGURATION % (url, text, text, text)


def objects(client: Client) -> list[str]:
    """Everything on the server, by name; what is there twice is named twice."""
    pools = client.send(work_pools.filter())
    queues = client.send(work_queues.filter_all())
    named = [f"{q.work_pool_name}/{q.name}" for q in queues if q.name != "default"]
    return sorted([*(p.name for p in pools), *named, *(v.name for v in _variables(client))])


def _variables(client: Client) -> list[variables.Variable]:
    return client.send(variables.filter())


WANTED = sorted(["pool a", "pool b", "pool a/1", "pool a/2", "pool b/1", "pool b/2", "v"])


@pytest.mark.parametrize("seed", [1, 2])
def test_lost_late_and_doubled_answers_change_nothing(
    terraform: Terraform, client: Client, seed: int
) -> None:
    chance = random.Random(seed)

    def treat(number: int, line: str) -> Treatment:
        return chance.choice(BAD) if number % 3 == 0 else "pass"

    with proxied(client.settings.api_url, treat) as proxy:
        terraform.apply(configuration(proxy.url, "one"))
        made = objects(client)
        terraform.apply(configuration(proxy.url, "two"))
        changed = objects(client)
        pending = terraform.plan(configuration(proxy.url, "two"))
        terraform.run("destroy", "-auto-approve", "-input=false", "-no-color")

    assert (made, changed) == (WANTED, WANTED)
    assert pending == {}
    assert objects(client) == []


def begin_apply(terraform: Terraform, proxy: Proxy, text: str) -> subprocess.Popen[bytes]:
    """An apply under way: its first change has reached the server."""
    terraform.write(configuration(proxy.url, text))
    process = subprocess.Popen(
        [terraform.binary, "apply", "-auto-approve", "-input=false", "-no-color"],
        cwd=terraform.folder,
        env=terraform.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    while not any(line.startswith("POST /api/work_pools/ ") for line in lines(proxy)):
        assert process.poll() is None, process.communicate()[0].decode()
        time.sleep(0.01)
    return process


def await_creations(client: Client, proxy: Proxy) -> None:
    """Return when whatever the provider asked for before its end has been made."""
    creations = ("POST /api/work_pools/ ", "POST /api/variables/ ")
    deadline = time.monotonic() + 20
    while len(objects(client)) < sum(line.startswith(creations) for line in lines(proxy)):
        assert time.monotonic() < deadline, (objects(client), lines(proxy))
        time.sleep(0.01)


def lines(proxy: Proxy) -> list[str]:
    return [f"{line} " for line in proxy.requests]


def test_interrupted_apply_knows_what_it_made(terraform: Terraform, client: Client) -> None:
    with proxied(client.settings.api_url, lambda number, line: "delay") as proxy:
        process = begin_apply(terraform, proxy, "one")
        os.kill(process.pid, signal.SIGINT)
        told = process.communicate(timeout=60)[0].decode()
        known = sorted(str(values["name"]) for values in terraform.resources().values())
        there = objects(client)

    assert "Interrupt received" in told
    assert there, told
    assert [name.rpartition("/")[2] for name in there] == known

    terraform.apply(configuration(client.settings.api_url, "one"))
    assert objects(client) == WANTED
    assert terraform.plan(configuration(client.settings.api_url, "one")) == {}


def test_killed_provider_leaves_nothing_that_is_not_told(
    terraform: Terraform, client: Client
) -> None:
    with proxied(client.settings.api_url, lambda number, line: "delay") as proxy:
        process = begin_apply(terraform, proxy, "one")
        provider = provider_of(process.pid)
        assert provider is not None, "no provider is running"
        os.kill(provider, signal.SIGKILL)
        told = process.communicate(timeout=60)[0].decode()
        await_creations(client, proxy)
    known = {str(values["name"]) for values in terraform.resources().values()}
    unknown = [name for name in objects(client) if name not in known]

    terraform.write(configuration(client.settings.api_url, "one"))
    again = terraform.run(
        *("apply", "-auto-approve", "-input=false", "-no-color"), is_ok=False
    ).stderr

    # Terraform has two texts for it.
    assert "Plugin did not respond" in told or "Request cancelled" in told
    assert process.returncode == 1
    assert unknown
    assert len(objects(client)) == len(set(objects(client)))
    for name in unknown:
        assert f'"{name}" exists already' in " ".join(again.split())
    assert again.count("terraform import forebay_") == len(unknown)
