"""Prefect's command line does on Forebay what it does on its own server."""

from tests.acceptance.prefect.conftest import Prefect


def test_the_life_of_a_work_pool(prefect: Prefect) -> None:
    assert "Created work pool 'a pool'" in prefect.run(
        "work-pool", "create", "a pool", "--type", "process"
    )
    assert "already exists" in prefect.run(
        "work-pool", "create", "a pool", "--type", "process", is_ok=False
    )
    prefect.run("work-pool", "set-concurrency-limit", "a pool", "3")
    prefect.run("work-pool", "update", "a pool", "--description", "described")
    prefect.run("work-pool", "pause", "a pool")

    pool = prefect.read_json("work-pool", "inspect", "a pool")
    listed = prefect.run("work-pool", "ls")
    slots = prefect.run("work-pool", "slots", "a pool")

    assert pool["concurrency_limit"] == 3
    assert pool["description"] == "described"
    assert pool["is_paused"] is True
    assert pool["status"] == "PAUSED"
    assert "a pool" in listed
    assert "0 / 3" in slots or "0/3" in slots or "0" in slots
    prefect.run("work-pool", "resume", "a pool")
    prefect.run("work-pool", "clear-concurrency-limit", "a pool")
    prefect.run("work-pool", "delete", "a pool")
    assert "not found" in prefect.run("work-pool", "inspect", "a pool", is_ok=False)


def test_the_life_of_a_work_queue(prefect: Prefect) -> None:
    prefect.run("work-pool", "create", "pool", "--type", "process")
    prefect.run("work-queue", "create", "first", "--pool", "pool", "-q", "1", "--limit", "2")
    prefect.run("work-queue", "pause", "first", "--pool", "pool")

    queues = prefect.read_json("work-queue", "ls", "--pool", "pool")

    order = [(queue["name"], queue["priority"]) for queue in queues]
    assert order == [("first", 1), ("default", 2)]
    assert queues[0]["concurrency_limit"] == 2
    assert queues[0]["is_paused"] is True
    prefect.run("work-queue", "resume", "first", "--pool", "pool")
    prefect.run("work-queue", "set-concurrency-limit", "first", "7", "--pool", "pool")
    prefect.run("work-queue", "clear-concurrency-limit", "first", "--pool", "pool")
    prefect.run("work-queue", "inspect", "first", "--pool", "pool")
    prefect.run("work-queue", "preview", "first", "--pool", "pool")
    prefect.run("work-queue", "delete", "first", "--pool", "pool")
    prefect.run("work-queue", "delete", "default", "--pool", "pool", is_ok=False)


def test_deployments_and_their_schedules(prefect: Prefect) -> None:
    prefect.deploy("succeeds", "fails")
    prefect.deploy("succeeds")  # again: an update

    prefect.run(
        *("deployment", "schedule", "create", "succeeds/test"),
        *("--cron", "0 3 * * *", "--timezone", "Europe/Berlin"),
    )
    schedules = prefect.read_json("deployment", "schedule", "ls", "succeeds/test")
    deployments = prefect.run("deployment", "ls")
    inspected = prefect.read_json("deployment", "inspect", "succeeds/test")

    assert "succeeds/test" in deployments and "fails/test" in deployments
    assert inspected["work_pool_name"] == "stock"
    assert "0 3 * * *" in str(schedules)
    upcoming = prefect.run("flow-run", "ls", "--state-type", "SCHEDULED")
    assert "Scheduled" in upcoming or "SCHEDU" in upcoming
    prefect.run("deployment", "schedule", "clear", "succeeds/test", "-y")
    prefect.run("deployment", "delete", "fails/test")
    assert "fails/test" not in prefect.run("deployment", "ls")
