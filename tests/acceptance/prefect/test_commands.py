"""Prefect's command line does on Forebay what it does on its own server."""

from uuid import UUID

from forebay.wire.states import StateType
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
    coming = prefect.run("work-pool", "preview", "a pool")

    assert pool["concurrency_limit"] == 3
    assert pool["description"] == "described"
    assert pool["is_paused"] is True
    assert pool["status"] == "PAUSED"
    assert "a pool" in listed
    assert "0/3" in slots.replace(" ", "")
    assert "No runs found" in coming
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
    assert "7" in prefect.run("work-queue", "inspect", "first", "--pool", "pool")
    prefect.run("work-queue", "clear-concurrency-limit", "first", "--pool", "pool")
    prefect.run("work-queue", "preview", "first", "--pool", "pool")
    prefect.run("work-queue", "slots", "first", "--pool", "pool")
    prefect.run("work-queue", "read-runs", "first", "--pool", "pool")
    prefect.run("work-queue", "delete", "first", "--pool", "pool")
    prefect.run("work-queue", "delete", "default", "--pool", "pool", is_ok=False)


def test_deployments_and_their_schedules(prefect: Prefect) -> None:
    prefect.deploy("deployed", "succeeds", "fails")
    prefect.deploy("deployed", "succeeds")  # again: an update
    named = "succeeds/deployed"

    prefect.run(
        *("deployment", "schedule", "create", named),
        *("--cron", "0 3 * * *", "--timezone", "Europe/Berlin"),
    )
    (schedule,) = prefect.read_json("deployment", "schedule", "ls", named)
    deployments = prefect.run("deployment", "ls")
    inspected = prefect.read_json("deployment", "inspect", named)
    upcoming = prefect.run("flow-run", "ls", "--state-type", "SCHEDULED", "--limit", "200")

    assert named in deployments and "fails/deployed" in deployments
    assert inspected["work_pool_name"] == "deployed"
    assert "0 3 * * *" in str(schedule)
    assert "SCHEDULED" in upcoming
    prefect.run("deployment", "schedule", "pause", named, schedule["id"])
    (paused,) = prefect.read_json("deployment", "schedule", "ls", named)
    assert paused["active"] is False
    prefect.run("deployment", "schedule", "resume", named, schedule["id"])
    prefect.run("deployment", "schedule", "delete", named, schedule["id"], "-y")
    assert prefect.read_json("deployment", "schedule", "ls", named) == []
    prefect.run("deployment", "delete", "fails/deployed")
    assert "fails/deployed" not in prefect.run("deployment", "ls")


def test_the_life_of_a_flow_run(prefect: Prefect) -> None:
    prefect.deploy("not served", "succeeds")
    id = prefect.run_deployment("succeeds", "not served", "--start-in", "1 hour", "-p", "x=4")

    run = prefect.read_json("flow-run", "inspect", str(id))
    prefect.run("flow-run", "cancel", str(id))

    assert run["parameters"] == {"x": 4}
    assert UUID(run["id"]) == id
    cancelled = prefect.wait(id)
    assert cancelled.state_type == StateType.CANCELLED
    assert "already in terminal state" in prefect.run("flow-run", "cancel", str(id), is_ok=False)
    prefect.run("flow-run", "retry", str(id))
    again = prefect.wait(id, lambda run: run.state_type == StateType.SCHEDULED)
    assert again.run_count == 0
    prefect.run("flow-run", "logs", str(id))
    prefect.run("flow-run", "delete", str(id))
    assert "not found" in prefect.run("flow-run", "inspect", str(id), is_ok=False)


def test_the_life_of_concurrency_limits(prefect: Prefect) -> None:
    prefect.run("gcl", "create", "global", "--limit", "5")
    prefect.run("gcl", "update", "global", "--limit", "6")
    prefect.run("gcl", "disable", "global")
    prefect.run("concurrency-limit", "create", "of-a-tag", "2")

    limit = prefect.read_json("gcl", "inspect", "global")
    listed = prefect.run("gcl", "ls")
    tagged = prefect.run("concurrency-limit", "inspect", "of-a-tag")

    assert (limit["limit"], limit["active"]) == (6, False)
    assert "global" in listed
    assert "of-a-tag" in tagged
    assert "of-a-tag" in prefect.run("concurrency-limit", "ls")
    prefect.run("gcl", "enable", "global")
    prefect.run("gcl", "delete", "global")
    prefect.run("concurrency-limit", "reset", "of-a-tag")
    prefect.run("concurrency-limit", "delete", "of-a-tag")
    assert "not found" in prefect.run("gcl", "inspect", "global", is_ok=False).lower()


def test_the_life_of_a_variable(prefect: Prefect) -> None:
    prefect.run("variable", "set", "named", '{"a": [1]}', "--tag", "t")

    value = prefect.run("variable", "get", "named")

    assert '"a": [1]' in value
    assert "named" in prefect.run("variable", "ls")
    prefect.run("variable", "set", "named", "other", "--overwrite")
    prefect.run("variable", "unset", "named")
    assert "not found" in prefect.run("variable", "get", "named", is_ok=False)


def test_there_are_no_automations_to_list_or_find(prefect: Prefect) -> None:
    prefect.run("automation", "ls")

    assert "not found" in prefect.run("automation", "inspect", "any", is_ok=False).lower()
