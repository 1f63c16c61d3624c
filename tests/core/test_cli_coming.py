"""What comes next in pools and queues, why it waits, and who holds the slots."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from forebay.calls import flow_runs, work_pools, work_queues
from forebay.client import Client
from forebay.wire.deployments import Deployment
from forebay.wire.states import StateCreate, StateDetails, StateType
from forebay.wire.work_pools import WorkPoolUpdate
from forebay.wire.work_queues import WorkQueueUpdate
from tests.core.builders import Run, as_json, propose, start


def serve(client: Client, pool: str) -> None:
    """Be a worker that is online and asks for runs."""
    client.send(work_pools.heartbeat(pool, "worker", 30))
    client.send(work_pools.due_runs(pool, worker="worker"))


def later(minutes: float) -> StateCreate:
    """A state whose time is in so many minutes."""
    moment = datetime.now(UTC) + timedelta(minutes=minutes)
    return StateCreate(type=StateType.SCHEDULED, state_details=StateDetails(scheduled_time=moment))


def previewed(run: Run, *place: str) -> list[tuple[UUID, str | None]]:
    """Ids and reasons as `preview` gives them."""
    found = as_json(run(*place, "-o", "json"))
    return [(UUID(item["id"]), item["reason"]) for item in found]


@pytest.mark.parametrize("of", ["work-pool", "work-queue"])
def test_preview_lists_runs_of_the_next_hours_by_time(
    run: Run, client: Client, deployment: Deployment, pool: str, of: str
) -> None:
    soon = start(client, deployment, state=later(50))
    now = start(client, deployment)
    tomorrow = start(client, deployment, state=later(60 * 24))
    place = (of, "preview", *([pool] if of == "work-pool" else ["default", "-p", pool]))
    serve(client, pool)

    within_an_hour = previewed(run, *place)
    within_two_days = previewed(run, *place, "--hours", "48")

    assert within_an_hour == [(now.id, None), (soon.id, None)]
    assert [id for id, _ in within_two_days] == [now.id, soon.id, tomorrow.id]


def test_preview_says_what_a_run_waits_for(
    run: Run, client: Client, deployment: Deployment, pool: str
) -> None:
    made = start(client, deployment)

    def reason() -> str:
        [(id, told)] = previewed(run, "work-pool", "preview", pool)
        assert id == made.id
        return told or ""

    assert "No worker has ever served the pool: forebay worker start" in reason()
    serve(client, pool)
    assert reason() == ""
    client.send(work_queues.update(pool, "default", WorkQueueUpdate(is_paused=True)))
    assert "queue 'default' is paused: forebay work-queue resume default" in reason()
    client.send(work_pools.update(pool, WorkPoolUpdate(concurrency_limit=0)))
    assert "holds 0 of 0 slots: forebay work-pool slots" in reason()
    client.send(work_pools.update(pool, WorkPoolUpdate(is_paused=True)))
    assert "is paused: forebay work-pool resume" in reason()
    assert "is paused" in run("work-pool", "preview", pool).stdout


def test_looking_at_what_comes_does_not_make_a_pool_look_served(
    run: Run, client: Client, deployment: Deployment, pool: str
) -> None:
    made = start(client, deployment)

    seen = as_json(run("work-queue", "read-runs", "default", "-p", pool, "-o", "json"))
    run("work-queue", "preview", "default", "-p", pool)
    run("work-pool", "preview", pool)

    queue = client.send(work_queues.read(pool, "default"))
    assert [item["id"] for item in seen] == [str(made.id)]
    assert queue.last_polled is None
    assert client.send(flow_runs.read(made.id)).state_type is StateType.SCHEDULED


def test_slots_name_their_holders(
    run: Run, client: Client, deployment: Deployment, pool: str
) -> None:
    client.send(work_pools.update(pool, WorkPoolUpdate(concurrency_limit=2)))
    holder = start(client, deployment)
    propose(client, holder.id, StateType.PENDING)
    start(client, deployment)

    of_pool = run("work-pool", "slots", pool)
    of_queue = run("work-queue", "slots", "default", "-p", pool)
    counted = as_json(run("work-pool", "slots", pool, "-o", "json"))

    assert "1 in use, limit 2" in of_pool.stdout
    for shown in (of_pool, of_queue):
        assert str(holder.id) in shown.stdout
    assert (counted["active_slots"], counted["concurrency_limit"]) == (1, 2)


def test_queues_of_all_pools_are_listed_without_a_pool(run: Run, pool: str) -> None:
    queues = as_json(run("work-queue", "ls", "-o", "json"))

    assert pool in [queue["work_pool_name"] for queue in queues]


def test_pool_that_is_chosen_once_is_meant_by_commands_for_queues(run: Run, pool: str) -> None:
    chosen = run("config", "set", f"FOREBAY_DEFAULT_WORK_POOL_NAME={pool}")

    queue = as_json(run("work-queue", "inspect", "default", "-o", "json"))

    assert chosen.returncode == 0, chosen.stderr
    assert queue["work_pool_name"] == pool


def test_queue_shows_its_health(run: Run, client: Client, pool: str) -> None:
    shown = run("work-queue", "inspect", "default", "-p", pool).stdout

    assert "Late runs" in shown
    assert "Healthy" in shown


def test_names_may_be_given_as_options(run: Run, pool: str) -> None:
    queue: Any = as_json(
        run("work-queue", "inspect", "--name", "default", "--pool", pool, "-o", "json")
    )
    by_id = as_json(run("work-queue", "inspect", f"--id={queue['id']}", "-p", pool, "-o", "json"))
    limited = run("work-pool", "set-concurrency-limit", "--name", pool, "--limit", "3")
    twice = run("work-pool", "inspect", pool, "--name", pool)
    empty = run("work-pool", "inspect", "--name")

    assert queue == by_id
    assert limited.returncode == 0, limited.stderr
    assert (twice.returncode, empty.returncode) == (2, 2)
