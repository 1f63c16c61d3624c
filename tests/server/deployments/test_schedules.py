"""Schedules over HTTP, the runs that they make, and the scheduler."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2 as httpx
import pytest
from sqlalchemy import delete, update

from forebay_server.db.engine import Database
from forebay_server.deployments import scheduled_runs
from forebay_server.flow_runs.tables import flow_runs
from forebay_server.services.scheduler import DEPLOYMENTS_AT_ONCE, SCHEDULER
from tests.server.deployments.builders import Json, a_deployment, a_pool, deployment, runs, sent

HOURLY = {"interval": 3600, "anchor_date": "2020-01-01T00:00:00Z"}
DAILY = {"cron": "0 4 * * *"}


def times(found: list[Json]) -> list[datetime]:
    return [datetime.fromisoformat(run["next_scheduled_start_time"]) for run in found]


async def patch_schedule(api: httpx.AsyncClient, made: Json, **body: Any) -> None:
    path = f"/deployments/{made['id']}/schedules/{made['schedules'][0]['id']}"
    await sent(api, "PATCH", path, 204, body)


async def test_a_schedule_makes_its_first_runs_at_once(api: httpx.AsyncClient) -> None:
    await a_pool(api)
    schedule = {"schedule": HOURLY, "parameters": {"x": 2}, "slug": "hourly"}

    made = await a_deployment(
        api, schedules=[schedule], tags=["t"], parameters={"x": 1, "y": 1}, work_pool_name="pool"
    )

    found = await runs(api, made["id"])
    first = found[0]
    begin = times(found)[0]
    assert times(found) == [begin + timedelta(hours=n) for n in range(3)]
    assert timedelta() <= begin - datetime.now(UTC) <= timedelta(hours=1)
    assert all(run["auto_scheduled"] for run in found)
    assert first["tags"] == ["auto-scheduled", "t"]
    assert first["parameters"] == {"x": 2, "y": 1}
    assert first["work_queue_id"] == made["work_queue_id"]
    assert first["created_by"] == {
        "id": made["schedules"][0]["id"],
        "type": "SCHEDULE",
        "display_value": "hourly",
    }


async def test_schedules_are_read_added_changed_and_deleted(api: httpx.AsyncClient) -> None:
    made = await a_deployment(api)
    path = f"/deployments/{made['id']}/schedules"

    added = await sent(api, "POST", path, 201, [{"schedule": DAILY, "slug": "daily"}])
    await sent(api, "PATCH", f"{path}/{added[0]['id']}", 204, {"schedule": HOURLY, "slug": "h"})
    changed = await sent(api, "GET", path, 200)
    await sent(api, "DELETE", f"{path}/{added[0]['id']}", 204)

    assert added[0]["schedule"] == {"cron": "0 4 * * *", "timezone": None, "day_or": True}
    assert changed[0]["slug"] == "h"
    assert changed[0]["schedule"]["interval"] == 3600.0
    assert await sent(api, "GET", path, 200) == []
    await sent(api, "DELETE", f"{path}/{added[0]['id']}", 404)
    await sent(api, "PATCH", f"{path}/{added[0]['id']}", 404, {"active": False})


async def test_a_schedule_is_found_below_its_own_deployment_only(api: httpx.AsyncClient) -> None:
    one = await a_deployment(api, "one", schedules=[{"schedule": DAILY}])
    two = await a_deployment(api, "two")
    path = f"/deployments/{two['id']}/schedules/{one['schedules'][0]['id']}"

    await sent(api, "PATCH", path, 404, {"active": False})
    await sent(api, "DELETE", path, 404)

    assert len(await runs(api, one["id"])) == 3


async def test_a_paused_schedule_has_no_runs_until_it_is_resumed(api: httpx.AsyncClient) -> None:
    made = await a_deployment(api, schedules=[{"schedule": HOURLY}, {"schedule": DAILY}])
    before = await runs(api, made["id"])

    await patch_schedule(api, made, active=False)
    paused = await runs(api, made["id"])
    await patch_schedule(api, made, active=True)
    resumed = await runs(api, made["id"])

    assert len(before) == len(resumed) == 6
    left = {run["created_by"]["id"] for run in paused}
    assert left == {made["schedules"][1]["id"]}  # the other one's runs stay
    assert times(resumed) == times(before)


async def test_a_paused_deployment_has_no_runs_until_it_is_resumed(api: httpx.AsyncClient) -> None:
    made = await a_deployment(api, schedules=[{"schedule": HOURLY}])
    path = f"/deployments/{made['id']}"

    assert await sent(api, "POST", f"{path}/pause_deployment", 200) is None
    paused = await runs(api, made["id"])
    await sent(api, "PATCH", path, 204, {"tags": ["x"]})
    still = await runs(api, made["id"])
    assert await sent(api, "POST", f"{path}/resume_deployment", 200) is None
    resumed = await runs(api, made["id"])

    assert (len(paused), len(still), len(resumed)) == (0, 0, 3)
    assert (await deployment(api, made["id"]))["paused"] is False


async def test_a_deleted_deployment_takes_its_scheduled_runs_along(api: httpx.AsyncClient) -> None:
    made = await a_deployment(api, schedules=[{"schedule": HOURLY}])
    asked = await sent(api, "POST", f"/deployments/{made['id']}/create_flow_run", 201, {})

    await sent(api, "DELETE", f"/deployments/{made['id']}", 204)

    left = await sent(api, "POST", "/flow_runs/filter", 200, {})
    assert [run["id"] for run in left] == [asked["id"]]


async def test_a_changed_deployment_changes_its_coming_runs_and_no_others(
    api: httpx.AsyncClient,
) -> None:
    made = await a_deployment(api, schedules=[{"schedule": HOURLY}], tags=["old"])
    first, *_ = await runs(api, made["id"])
    begun = {"state": {"type": "RUNNING"}, "force": True}
    await sent(api, "POST", f"/flow_runs/{first['id']}/set_state", 201, begun)

    await sent(api, "PATCH", f"/deployments/{made['id']}", 204, {"tags": ["new"]})

    after = {run["id"]: run["tags"][-1] for run in await runs(api, made["id"])}
    assert after.pop(first["id"]) == "old"
    assert set(after.values()) == {"new"} and len(after) >= 2


async def test_no_more_runs_are_ahead_than_the_schedule_allows(api: httpx.AsyncClient) -> None:
    made = await a_deployment(api, schedules=[{"schedule": HOURLY, "max_scheduled_runs": 1}])

    ahead = await runs(api, made["id"])
    await patch_schedule(api, made, max_scheduled_runs=2)
    more = await runs(api, made["id"])
    await patch_schedule(api, made, max_scheduled_runs=None)
    all_of_them = await runs(api, made["id"])

    assert [len(ahead), len(more), len(all_of_them)] == [1, 2, 3]


async def test_an_hour_is_always_covered_up_to_a_bound(api: httpx.AsyncClient) -> None:
    quarter = await a_deployment(api, "q", schedules=[{"schedule": {"interval": 900}}])
    second = await a_deployment(api, "s", schedules=[{"schedule": {"interval": 1}}])

    assert len(await runs(api, quarter["id"])) == 5
    assert len(await runs(api, second["id"])) == 100


async def test_asking_for_more_makes_more_and_asking_again_nothing(
    api: httpx.AsyncClient,
) -> None:
    made = await a_deployment(api, schedules=[{"schedule": HOURLY}])
    path = f"/deployments/{made['id']}/schedule"

    assert await sent(api, "POST", path, 200, {"min_runs": 10, "min_time": None}) is None
    found = await runs(api, made["id"])
    await sent(api, "POST", path, 200, {"min_runs": 10})
    again = await runs(api, made["id"])
    end = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    await sent(api, "POST", path, 200, {"min_runs": 50, "end_time": end})

    assert len(found) == 10
    assert again == await runs(api, made["id"])
    assert [run["id"] for run in again] == [run["id"] for run in found]


SLUGGED = [
    {"schedule": HOURLY, "slug": "a", "parameters": {"x": 1}},
    {"schedule": DAILY, "slug": "b"},
]


async def test_schedules_with_slugs_are_changed_one_by_one(api: httpx.AsyncClient) -> None:
    made = await a_deployment(api, schedules=SLUGGED)
    ids = {each["slug"]: each["id"] for each in made["schedules"]}
    wanted = [
        {"slug": "a", "active": False},
        {"slug": "c", "schedule": DAILY},
        {"slug": "d", "replaces": "b", "schedule": HOURLY},
    ]

    await sent(api, "PATCH", f"/deployments/{made['id']}", 204, {"schedules": wanted})

    after = {each["slug"]: each for each in (await deployment(api, made["id"]))["schedules"]}
    assert set(after) == {"a", "c", "d"}
    assert (after["a"]["id"], after["d"]["id"]) == (ids["a"], ids["b"])
    assert (after["a"]["active"], after["a"]["parameters"]) == (False, {"x": 1})
    assert after["d"]["schedule"]["interval"] == 3600.0


async def test_an_interval_keeps_its_anchor_when_it_is_deployed_again(
    api: httpx.AsyncClient,
) -> None:
    made = await a_deployment(api, schedules=[{"schedule": {"interval": 3600}, "slug": "a"}])
    path, before = f"/deployments/{made['id']}", made["schedules"][0]["schedule"]

    same = {"schedules": [{"schedule": {"interval": 3600.0, "timezone": "UTC"}, "slug": "a"}]}
    await sent(api, "PATCH", path, 204, same)
    kept = (await deployment(api, made["id"]))["schedules"][0]["schedule"]
    other = {"schedules": [{"schedule": {"interval": 7200}, "slug": "a"}]}
    await sent(api, "PATCH", path, 204, other)
    moved = (await deployment(api, made["id"]))["schedules"][0]["schedule"]

    assert kept == before
    assert moved["anchor_date"] > before["anchor_date"]


async def test_schedules_that_are_not_mentioned_by_slug_stay(api: httpx.AsyncClient) -> None:
    made = await a_deployment(api, schedules=SLUGGED)

    await sent(api, "PATCH", f"/deployments/{made['id']}", 204, {"schedules": []})

    assert len((await deployment(api, made["id"]))["schedules"]) == 2


async def test_slugs_are_not_lost_by_leaving_them_out(api: httpx.AsyncClient) -> None:
    made = await a_deployment(api, schedules=SLUGGED)

    body = {"schedules": [{"schedule": DAILY}]}
    await sent(api, "PATCH", f"/deployments/{made['id']}", 422, body)

    assert await deployment(api, made["id"]) == made


async def test_schedules_without_slugs_are_replaced(api: httpx.AsyncClient) -> None:
    made = await a_deployment(api, schedules=[{"schedule": HOURLY}, {"schedule": DAILY}])

    body = {"schedules": [{"schedule": DAILY, "slug": "daily"}]}
    await sent(api, "PATCH", f"/deployments/{made['id']}", 204, body)

    after = await deployment(api, made["id"])
    assert [each["slug"] for each in after["schedules"]] == ["daily"]
    assert {run["created_by"]["display_value"] for run in await runs(api, made["id"])} == {"daily"}


async def test_a_slug_is_that_of_one_schedule(api: httpx.AsyncClient) -> None:
    made = await a_deployment(api, schedules=SLUGGED)
    path = f"/deployments/{made['id']}/schedules"

    await sent(api, "POST", path, 409, [{"schedule": DAILY, "slug": "a"}])
    for each in made["schedules"]:
        if each["slug"] == "b":
            await sent(api, "PATCH", f"{path}/{each['id']}", 409, {"slug": "a"})

    assert await sent(api, "GET", path, 200) == made["schedules"]


@pytest.mark.parametrize(
    "body",
    [
        [{"schedule": {"cron": "bad"}}],
        [{"schedule": DAILY, "bogus": 1}],
        [{"active": True}],
        [{"schedule": DAILY}] * 101,
        {},
    ],
)
async def test_schedules_that_cannot_be_are_refused(api: httpx.AsyncClient, body: Any) -> None:
    made = await a_deployment(api)

    await sent(api, "POST", f"/deployments/{made['id']}/schedules", 422, body)

    assert (await deployment(api, made["id"]))["schedules"] == []


async def test_the_scheduler_makes_the_runs_that_are_lacking(
    api: httpx.AsyncClient, database: Database
) -> None:
    more_than_at_once = DEPLOYMENTS_AT_ONCE + 1
    for number in range(more_than_at_once):
        await a_deployment(api, f"d{number}", schedules=[{"schedule": HOURLY}])
    async with database.write() as db:
        await db.execute(delete(flow_runs))

    await SCHEDULER.tick(database)
    made = await sent(api, "POST", "/flow_runs/count", 200, {})
    await SCHEDULER.tick(database)

    assert made == 3 * more_than_at_once
    assert await sent(api, "POST", "/flow_runs/count", 200, {}) == made


async def test_a_run_is_not_made_again_whatever_became_of_it(
    api: httpx.AsyncClient, database: Database
) -> None:
    made = await a_deployment(api, schedules=[{"schedule": HOURLY}])
    before = await runs(api, made["id"])
    async with database.write() as db:
        await db.execute(update(flow_runs).values(state_type="CANCELLED", state_name="Cancelled"))

    await SCHEDULER.tick(database)

    assert [run["id"] for run in await runs(api, made["id"])] == [run["id"] for run in before]


async def test_the_scheduler_leaves_alone_what_has_enough_or_is_paused(
    api: httpx.AsyncClient, database: Database
) -> None:
    await a_deployment(api, "enough", schedules=[{"schedule": HOURLY}])
    await a_deployment(api, "paused", schedules=[{"schedule": HOURLY}], paused=True)
    await a_deployment(api, "inactive", schedules=[{"schedule": HOURLY, "active": False}])
    await a_deployment(api, "none")
    lacking = await a_deployment(
        api, "lacking", schedules=[{"schedule": HOURLY, "max_scheduled_runs": 1}]
    )

    async with database.read() as db:
        found = await scheduled_runs.find_lacking(db, None, 100)

    assert [str(id) for id in found] == [lacking["id"]]
