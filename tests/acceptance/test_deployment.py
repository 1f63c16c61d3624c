"""`forebay_deployment` with real Terraform: all of it, its pool, its limit, and its whole life."""

import json
from typing import Any

import pytest

from forebay.calls import concurrency_limits, deployments, flows, work_pools
from forebay.client import Client
from forebay.wire.concurrency_limits import GlobalConcurrencyLimitCreate
from forebay.wire.deployments import (
    ConcurrencyOptions,
    Deployment,
    DeploymentCreate,
    DeploymentUpdate,
)
from forebay.wire.flows import FlowCreate
from forebay.wire.work_pools import WorkPoolCreate
from tests.acceptance.conftest import Expression, Terraform, block
from tests.acceptance.servers import ON_BOTH_SERVERS
from tests.conftest import RunningServer

pytestmark = pytest.mark.terraform

TYPE = "forebay_deployment"
ADDRESS = f"{TYPE}.it"
FLOW, NAME = "mein Flow", "jede Nacht ü"
TEMPLATE = {
    "job_configuration": {"command": "{{ command }}", "env": "{{ env }}"},
    "variables": {
        "type": "object",
        "properties": {
            "command": {"type": "string", "default": "run"},
            "env": {"type": "object", "default": {"A": "1"}},
        },
    },
}
STEPS = [
    {"step": "prefect.deployments.steps.git_clone", "id": "clone", "requires": "prefect>=3"},
    {"step": "my.own.step"},
]
INPUTS = {"repository": "https://example.com/r.git", "branch": "a b"}


@pytest.fixture
def server(emptied_server: RunningServer) -> RunningServer:
    """One server for all tests here."""
    return emptied_server


@pytest.fixture(autouse=True)
def ground(client: Client) -> None:
    """A flow and a pool that Terraform does not manage."""
    client.send(flows.create(FlowCreate(name=FLOW)))
    client.send(
        work_pools.create(WorkPoolCreate(name="pool", type="process", base_job_template=TEMPLATE))
    )


def a_deployment(**attributes: Any) -> str:
    return block(TYPE, **{"flow_name": FLOW, "name": NAME, **attributes})


def stored(client: Client) -> Deployment:
    return client.send(deployments.read_by_name(FLOW, NAME))


FULL: dict[str, Any] = {
    "description": "Alles",
    "version": "1.0",
    "entrypoint": "f.py:f",
    "path": "/srv/a b",
    "tags": ["b", "a"],
    "paused": True,
    "work_pool_name": "pool",
    "work_queue_name": "made on the fly",
    "parameters": json.dumps({"x": 1}),
    "parameter_openapi_schema": json.dumps(
        {"type": "object", "properties": {"x": {"type": "integer"}}}
    ),
    "enforce_parameter_schema": False,
    "job_variables": json.dumps({"env": {"B": "2"}, "command": "go"}),
    "concurrency": {
        "limit": 2,
        "collision_strategy": "CANCEL_NEW",
        "grace_period_seconds": 90,
    },
    "pull_steps": [{**STEPS[0], "inputs": json.dumps(INPUTS)}, STEPS[1]],
}


@ON_BOTH_SERVERS
def test_everything_is_set_changed_to_nothing_and_destroyed(
    terraform: Terraform, client: Client
) -> None:
    made = terraform.apply(a_deployment(**FULL))[ADDRESS]
    full = stored(client)
    empty = terraform.plan(a_deployment(**FULL))
    planned = terraform.plan(a_deployment())
    cleared = terraform.apply(a_deployment())[ADDRESS]
    bare = stored(client)

    assert (full.description, full.version, full.entrypoint) == ("Alles", "1.0", "f.py:f")
    assert (full.path, sorted(full.tags), full.paused) == ("/srv/a b", ["a", "b"], True)
    assert (full.work_pool_name, full.work_queue_name) == ("pool", "made on the fly")
    assert (full.parameters, full.enforce_parameter_schema) == ({"x": 1}, False)
    assert full.global_concurrency_limit is not None
    assert full.global_concurrency_limit.limit == 2
    assert full.concurrency_options == ConcurrencyOptions(
        collision_strategy="CANCEL_NEW", grace_period_seconds=90
    )
    named = {"id": "clone", "requires": "prefect>=3", **INPUTS}
    assert full.pull_steps == [{STEPS[0]["step"]: named}, {STEPS[1]["step"]: {}}]
    assert json.loads(made["effective_job_configuration"]) == {
        "command": "go",
        "env": {"B": "2", "A": "1"},
    }
    assert empty == terraform.plan(a_deployment()) == {}
    assert planned == {ADDRESS: ["update"]}
    assert cleared["id"] == made["id"]
    assert (bare.description, bare.version, bare.entrypoint, bare.path) == (None,) * 4
    assert (bare.tags, bare.paused, bare.parameters, bare.pull_steps) == ([], False, {}, [])
    assert (bare.work_pool_name, bare.work_queue_name) == (None, None)
    assert (bare.global_concurrency_limit, bare.enforce_parameter_schema) == (None, True)
    assert (cleared["job_variables"], cleared["effective_job_configuration"]) == ("{}", None)
    terraform.apply("")
    assert client.send(deployments.filter()) == []


def test_it_is_made_in_one_apply_with_all_that_it_needs_and_then_stays(
    terraform: Terraform, client: Client
) -> None:
    def all_of_it(command: str) -> str:
        pool = block("forebay_work_pool", name="own", type="process")
        template = Expression("forebay_work_pool.it.effective_base_job_template")
        return (
            pool
            + block("forebay_flow", name="own flow")
            + block("forebay_global_concurrency_limit", name="shared", limit=2)
            + block(
                TYPE,
                flow_id=Expression("forebay_flow.it.id"),
                name="own",
                work_pool_name=Expression("forebay_work_pool.it.name"),
                base_job_template=template,
                job_variables=json.dumps({"command": command}),
                global_concurrency_limit_id=Expression("forebay_global_concurrency_limit.it.id"),
            )
        )

    planned = terraform.changes(all_of_it("first"))[ADDRESS]["after"]
    terraform.apply(all_of_it("first"))
    empty = terraform.plan(all_of_it("first"))
    changed = terraform.changes(all_of_it("second"))[ADDRESS]["after"]
    terraform.apply(all_of_it("second"))

    assert json.loads(planned["effective_job_configuration"])["command"] == "first"
    assert empty == terraform.plan(all_of_it("second")) == {}
    assert json.loads(changed["effective_job_configuration"])["command"] == "second"
    made = client.send(deployments.read_by_name("own flow", "own"))
    assert made.global_concurrency_limit is not None
    assert made.global_concurrency_limit.name == "shared"
    terraform.run("destroy", "-auto-approve", "-no-color")
    assert [pool.name for pool in client.send(work_pools.filter())] == ["pool"]


@ON_BOTH_SERVERS
def test_a_limit_of_its_own_and_a_shared_one_take_turns(
    terraform: Terraform, client: Client
) -> None:
    body = GlobalConcurrencyLimitCreate(name="shared", limit=5)
    shared = client.send(concurrency_limits.create(body))
    own = a_deployment(concurrency={"limit": 3})
    other = a_deployment(global_concurrency_limit_id=str(shared.id))

    terraform.apply(other)
    first, first_plan = stored(client).global_concurrency_limit, terraform.plan(other)
    terraform.apply(own)
    second, second_plan = stored(client).global_concurrency_limit, terraform.plan(own)
    terraform.apply(other)
    third = stored(client).global_concurrency_limit
    terraform.apply("")

    assert first is not None and first.id == shared.id
    assert second is not None and second.limit == 3
    assert first_plan == second_plan == {}
    assert third is not None and third.id == shared.id
    assert [limit.id for limit in client.send(concurrency_limits.filter())] == [shared.id]


def test_a_new_name_or_flow_replaces_it(terraform: Terraform, client: Client) -> None:
    client.send(flows.create(FlowCreate(name="other")))
    terraform.apply(a_deployment())

    renamed = terraform.changes(a_deployment(name="other"))[ADDRESS]
    moved = terraform.changes(a_deployment(flow_name="other"))[ADDRESS]

    assert renamed["actions"] == moved["actions"] == ["delete", "create"]
    assert renamed["replace_paths"] == [["name"]]
    assert moved["replace_paths"] == [["flow_name"]]


def test_imports_are_followed_by_an_empty_plan(terraform: Terraform, client: Client) -> None:
    terraform.apply(a_deployment(**FULL))
    made = stored(client)

    assert terraform.bring(ADDRESS, f"{FLOW}/{NAME}", a_deployment(**FULL)) == {}
    assert terraform.bring(ADDRESS, str(made.id), a_deployment(**FULL)) == {}


def test_a_pool_without_a_queue_means_its_default_queue_in_state_and_import(
    terraform: Terraform, client: Client
) -> None:
    configuration = a_deployment(work_pool_name="pool")
    terraform.apply(a_deployment(work_pool_name="pool", work_queue_name="other"))

    terraform.apply(configuration)
    queue, empty = stored(client).work_queue_name, terraform.plan(configuration)
    imported = terraform.bring(ADDRESS, f"{FLOW}/{NAME}", configuration)

    assert queue == "default"
    assert empty == imported == {}


@ON_BOTH_SERVERS
def test_drift_and_deletion_outside_are_planned_back(terraform: Terraform, client: Client) -> None:
    configuration = a_deployment(tags=["mine"], concurrency={"limit": 2})
    made = terraform.apply(configuration)[ADDRESS]

    drift = DeploymentUpdate(tags=["theirs"], paused=True, concurrency_limit=9)
    client.send(deployments.update(made["id"], drift))
    drifted = terraform.plan(configuration)
    terraform.apply(configuration)
    mended = stored(client)
    client.send(deployments.delete(made["id"]))
    gone = terraform.plan(configuration)

    assert drifted == {ADDRESS: ["update"]}
    assert (mended.tags, mended.paused) == (["mine"], False)
    assert mended.global_concurrency_limit is not None
    assert mended.global_concurrency_limit.limit == 2
    assert gone == {ADDRESS: ["create"]}


def test_what_is_wrong_with_a_deployment_is_named(terraform: Terraform, client: Client) -> None:
    flow = client.send(flows.read_by_name(FLOW))
    client.send(deployments.create(DeploymentCreate(name="taken", flow_id=flow.id)))
    uuid = str(flow.id)

    both = terraform.refuse("validate", a_deployment(flow_id=uuid))
    queue = terraform.refuse("validate", a_deployment(work_queue_name="q"))
    limits = a_deployment(concurrency={"limit": 1}, global_concurrency_limit_id=uuid)
    two = terraform.refuse("validate", limits)
    text = terraform.refuse("validate", a_deployment(parameters="[1]"))
    no_flow = terraform.refuse("apply", a_deployment(flow_name="absent"))
    no_pool = terraform.refuse("apply", a_deployment(work_pool_name="absent"))
    taken = terraform.refuse("apply", a_deployment(name="taken"))

    assert "exactly one of flow_id and flow_name" in both
    assert "work_queue_name needs work_pool_name" in queue
    assert "concurrency or global_concurrency_limit_id" in two
    assert "parameters must be a JSON object" in text
    assert 'no flow "absent"' in no_flow
    assert 'no work pool "absent"' in no_pool
    assert f"terraform import {TYPE}.taken" in taken
