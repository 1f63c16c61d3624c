"""`forebay worker ls|inspect|delete` against a real server; the tests play the worker."""

import pytest

from forebay.calls import work_pools
from forebay.client import Client
from tests.core.builders import Run, as_json


@pytest.fixture
def worker(client: Client, pool: str) -> str:
    """A worker that is online."""
    name = f"worker of {pool}"
    client.send(work_pools.heartbeat(pool, name, 30))
    return name


def test_workers_of_all_pools_are_listed_and_found_by_name(
    run: Run, worker: str, pool: str
) -> None:
    everywhere = as_json(run("worker", "ls", "-o", "json"))
    here = as_json(run("worker", "ls", "-p", pool, "--online", "-o", "json"))
    seen = as_json(run("worker", "inspect", worker, "-o", "json"))

    assert seen in everywhere
    assert here == [seen]
    assert (seen["work_pool_name"], seen["status"]) == (pool, "ONLINE")
    assert worker in run("worker", "inspect", worker).stdout


def test_worker_that_is_online_is_not_forgotten(run: Run, worker: str) -> None:
    ended = run("worker", "delete", worker, "--yes")

    assert ended.returncode == 4
    assert "SIGTERM" in ended.stderr


def test_worker_that_is_gone_is_forgotten_when_one_agrees(
    run: Run, client: Client, pool: str
) -> None:
    client.send(work_pools.heartbeat(pool, "gone", 30))

    asked = run("worker", "delete", "gone", "-p", pool, "--force")
    deleted = run("worker", "delete", "gone", "-p", pool, "--force", "--yes")

    assert (asked.returncode, deleted.returncode) == (2, 0)
    assert run("worker", "inspect", "gone", "-p", pool).returncode == 3


def test_name_that_workers_of_two_pools_have_needs_the_pool(
    run: Run, client: Client, pool: str, worker: str
) -> None:
    other = f"{pool} too"
    assert run("work-pool", "create", other).returncode == 0
    client.send(work_pools.heartbeat(other, worker, 30))

    ended = run("worker", "inspect", worker)
    chosen = as_json(run("worker", "inspect", worker, "-p", other, "-o", "json"))

    assert ended.returncode == 2
    assert "give --pool" in ended.stderr
    assert chosen["work_pool_name"] == other


def test_pool_that_is_not_there_is_named(run: Run) -> None:
    ended = run("worker", "ls", "-p", "no such pool")

    assert ended.returncode == 3
    assert "forebay work-pool ls" in ended.stderr


def test_worker_that_is_asked_to_drain_is_shown_so(run: Run, worker: str, pool: str) -> None:
    asked = as_json(run("worker", "drain", worker, "-o", "json"))

    assert asked["is_draining"]
    assert "DRAINING" in run("worker", "ls", "-p", pool).stdout
    assert (
        "ends when those that it has have ended" in run("worker", "drain", "--name", worker).stdout
    )
    assert run("worker", "drain", "nobody").returncode == 3
