"""`forebay_deployment_schedule` with real Terraform: every kind, by meaning, and its life."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import pytest

from forebay.calls import deployments, flows
from forebay.client import Client
from forebay.wire.deployments import DeploymentCreate
from forebay.wire.flows import FlowCreate
from forebay.wire.schedules import DeploymentSchedule, DeploymentScheduleUpdate
from tests.acceptance.conftest import Terraform, block
from tests.acceptance.servers import ON_BOTH_SERVERS, ON_PREFECT, PREFECT
from tests.conftest import RunningServer

pytestmark = pytest.mark.terraform

TYPE = "forebay_deployment_schedule"
ADDRESS = f"{TYPE}.it"


@pytest.fixture
def server(emptied_server: RunningServer) -> RunningServer:
    """One server for all tests here."""
    return emptied_server


@pytest.fixture
def deployment(client: Client) -> UUID:
    """A deployment that Terraform does not manage."""
    flow = client.send(flows.create(FlowCreate(name="a flow")))
    return client.send(deployments.create(DeploymentCreate(name="it", flow_id=flow.id))).id


def a_schedule(deployment: UUID, **attributes: Any) -> str:
    return block(TYPE, deployment_id=str(deployment), **attributes)


def some_schedules(deployment: UUID, attributes: list[dict[str, Any]]) -> str:
    """Schedules `s0`, `s1` and so on."""
    return "".join(
        block(TYPE, f"s{number}", deployment_id=str(deployment), **given)
        for number, given in enumerate(attributes)
    )


def only(client: Client, deployment: UUID) -> DeploymentSchedule:
    (found,) = client.send(deployments.schedules(deployment))
    return found


def shape(client: Client, deployment: UUID) -> dict[str, Any]:
    return only(client, deployment).schedule.model_dump(mode="json")


@ON_BOTH_SERVERS
def test_a_cron_schedule_is_set_in_full_cleared_and_destroyed(
    terraform: Terraform, client: Client, deployment: UUID, server_kind: str
) -> None:
    named = {"max_scheduled_runs": 5, "slug": "früh"}
    # Prefect does not clear these; see below for what is told there.
    kept = named if server_kind == PREFECT else {}
    full = a_schedule(
        deployment,
        cron="0  6 1 * MON",
        day_or=False,
        timezone="Europe/Berlin",
        active=False,
        parameters='{"x": 1}',
        **named,
    )
    plain = a_schedule(deployment, cron="0 6 1 * MON", **kept)

    made = terraform.apply(full)[ADDRESS]
    first, schedule = shape(client, deployment), only(client, deployment)
    empty = terraform.plan(full)
    planned = terraform.plan(plain)
    changed = terraform.apply(plain)[ADDRESS]

    assert (first["day_or"], first["timezone"]) == (False, "Europe/Berlin")
    assert (schedule.active, schedule.max_scheduled_runs, schedule.slug) == (False, 5, "früh")
    assert schedule.parameters == {"x": 1}
    assert empty == terraform.plan(plain) == {}
    assert planned == {ADDRESS: ["update"]}
    assert changed["id"] == made["id"]
    after = only(client, deployment)
    assert (after.active, after.parameters) == (True, {})
    assert (after.max_scheduled_runs, after.slug) == (
        kept.get("max_scheduled_runs"),
        kept.get("slug"),
    )
    assert shape(client, deployment)["day_or"] is True
    terraform.apply("")
    assert client.send(deployments.schedules(deployment)) == []


def test_one_kind_becomes_another_in_place(
    terraform: Terraform, client: Client, deployment: UUID
) -> None:
    kinds: list[dict[str, Any]] = [
        {"interval": "1h30m", "anchor_date": "2030-01-01T10:00:00+01:00"},
        {"rrule": "FREQ=DAILY;INTERVAL=2"},
        {"cron": "@daily"},
        {"interval": 3600},
    ]

    made, ids = [], set()
    for kind in kinds:
        ids.add(terraform.apply(a_schedule(deployment, **kind))[ADDRESS]["id"])
        made.append(shape(client, deployment))
        assert terraform.plan(a_schedule(deployment, **kind)) == {}

    assert len(ids) == 1
    assert (made[0]["interval"], made[0]["anchor_date"]) == (5400, "2030-01-01T09:00:00.000000Z")
    assert "FREQ=DAILY" in made[1]["rrule"]
    assert made[2]["cron"] == "@daily"
    assert made[3]["interval"] == 3600


def test_what_says_the_same_is_no_change(terraform: Terraform, deployment: UUID) -> None:
    said = [
        {"interval": "90m", "anchor_date": "2030-01-01T10:00:00+01:00"},
        {"cron": "0 6 * * *"},
        {"rrule": "FREQ=DAILY;INTERVAL=2"},
    ]
    otherwise = [
        {"interval": "5400", "anchor_date": "2030-01-01T09:00:00Z"},
        {"cron": " 0  6 * *  * "},
        {"rrule": "RRULE:INTERVAL=2;FREQ=daily"},
    ]

    terraform.apply(some_schedules(deployment, said))

    assert terraform.plan(some_schedules(deployment, otherwise)) == {}


@ON_BOTH_SERVERS
def test_imports_are_followed_by_an_empty_plan(
    terraform: Terraform, client: Client, deployment: UUID
) -> None:
    configuration = some_schedules(
        deployment,
        [
            {"cron": "0 6 * * *", "timezone": "Europe/Berlin", "slug": "a slug"},
            {"interval": "1d", "slug": "b"},
            {"rrule": "FREQ=WEEKLY;BYDAY=MO", "slug": "ü/c"},
        ],
    )
    made = terraform.apply(configuration)
    terraform.folder.joinpath("terraform.tfstate").unlink()

    def imported(ids: Mapping[str, str]) -> dict[str, list[str]]:
        """What a plan would do beside the imports."""
        blocks = (f'import {{\n  to = {to}\n  id = "{id}"\n}}\n' for to, id in ids.items())
        return terraform.plan(configuration + "".join(blocks))

    assert len(made) == 3
    assert imported({to: f"{deployment}/{each['id']}" for to, each in made.items()}) == {}
    assert imported({to: f"a flow/it/{each['slug']}" for to, each in made.items()}) == {}


@ON_BOTH_SERVERS
def test_drift_and_deletion_outside_are_planned_back(
    terraform: Terraform, client: Client, deployment: UUID
) -> None:
    configuration = a_schedule(deployment, interval=60)
    made = terraform.apply(configuration)[ADDRESS]

    change = DeploymentScheduleUpdate(active=False)
    client.send(deployments.update_schedule(deployment, made["id"], change))
    drifted = terraform.plan(configuration)
    client.send(deployments.delete_schedule(deployment, made["id"]))
    gone = terraform.plan(configuration)
    client.send(deployments.delete(deployment))
    without_deployment = terraform.plan(configuration)

    assert drifted == {ADDRESS: ["update"]}
    assert gone == without_deployment == {ADDRESS: ["create"]}


def test_a_schedule_that_cannot_be_is_refused_by_validation(terraform: Terraform) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({}, "exactly one of cron, interval, rrule"),
        ({"cron": "@daily", "interval": 60}, "not cron and interval"),
        ({"interval": 60, "day_or": True}, "day_or belongs to cron"),
        ({"cron": "@daily", "anchor_date": "2030-01-01T00:00:00Z"}, "belongs to interval"),
        ({"interval": "soon"}, "interval must be seconds"),
        ({"cron": "daily"}, "cron must have five fields"),
        ({"rrule": "daily"}, "rrule must say FREQ="),
    ]

    told = terraform.complaints(some_schedules(UUID(int=1), [given for given, _ in wrong]))

    assert len(told) == len(wrong)
    for number, (_, words) in enumerate(wrong):
        assert words in told[f"{TYPE}.s{number}"]


def test_a_taken_slug_and_an_absent_deployment_are_named(
    terraform: Terraform, client: Client, deployment: UUID
) -> None:
    terraform.apply(a_schedule(deployment, cron="@daily", slug="s"))

    other = block(TYPE, "other", deployment_id=str(deployment), cron="@daily", slug="s")
    taken = terraform.refuse("apply", a_schedule(deployment, cron="@daily", slug="s") + other)
    absent = terraform.refuse("apply", a_schedule(UUID(int=1), cron="@daily"))

    assert "slug" in taken
    assert "no deployment" in absent


@ON_PREFECT
def test_what_prefect_does_not_clear_is_told_with_the_way_out(
    terraform: Terraform, deployment: UUID
) -> None:
    terraform.apply(a_schedule(deployment, cron="0 6 * * *", slug="early"))

    told = terraform.refuse("apply", a_schedule(deployment, cron="0 6 * * *"))
    terraform.write(a_schedule(deployment, cron="0 6 * * *"))
    terraform.run("apply", "-auto-approve", "-no-color", f"-replace={ADDRESS}")

    assert "the server keeps slug" in told
    assert "-replace=" in told
    assert terraform.plan(a_schedule(deployment, cron="0 6 * * *")) == {}
