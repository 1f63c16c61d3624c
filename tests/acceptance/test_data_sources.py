"""Every data source with real Terraform: what it finds, what it filters, what it misses."""

import json
from typing import Any
from uuid import UUID

import pytest

from forebay.calls import (
    blocks,
    concurrency_limits,
    deployments,
    flows,
    variables,
    work_pools,
    work_queues,
)
from forebay.calls import server as server_calls
from forebay.client import Client
from forebay.wire.blocks import BlockDocumentCreate
from forebay.wire.concurrency_limits import GlobalConcurrencyLimitCreate
from forebay.wire.deployments import DeploymentCreate
from forebay.wire.flows import FlowCreate
from forebay.wire.variables import VariableCreate
from forebay.wire.work_pools import WorkPoolCreate
from forebay.wire.work_queues import WorkQueueCreate
from tests.acceptance.conftest import Terraform, block
from tests.acceptance.servers import ON_BOTH_SERVERS
from tests.conftest import RunningServer

pytestmark = pytest.mark.terraform


@pytest.fixture
def server(emptied_server: RunningServer) -> RunningServer:
    """One server for all tests here."""
    return emptied_server


def source(kind: str, label: str, **arguments: object) -> str:
    return block(f"data.forebay_{kind}", label, **arguments)


def look_up(terraform: Terraform, *sources: str) -> dict[str, dict[str, Any]]:
    """The attributes that each source found, by its label."""
    found = terraform.apply("".join(sources))
    return {address.rpartition(".")[2]: values for address, values in found.items()}


def names(found: list[dict[str, Any]]) -> list[str]:
    return [each["name"] for each in found]


def test_pools_queues_and_workers_are_found_and_filtered(
    terraform: Terraform, client: Client
) -> None:
    for name, type, paused in (("b ü", "docker", False), ("a", "process", True)):
        body = WorkPoolCreate(name=name, type=type, is_paused=paused)
        client.send(work_pools.create(body))
    queue = client.send(work_queues.create("a", WorkQueueCreate(name="urgent", priority=1)))
    client.send(work_pools.heartbeat("a", "worker", 30))

    found = look_up(
        terraform,
        source("work_pool", "pool", name="b ü"),
        source("work_pools", "all"),
        source("work_pools", "typed", type="docker"),
        source("work_pools", "paused", paused=True),
        source("work_pools", "prefixed", name_prefix="b"),
        source("work_pools", "named", names=["a", "absent"]),
        source("work_queue", "queue", work_pool_name="a", name="urgent"),
        source("work_queue", "by_id", id=str(queue.id)),
        source("work_queues", "of_pool", work_pool_name="a"),
        source("work_queues", "of_all"),
        source("workers", "online", work_pool_name="a", status="ONLINE"),
        source("workers", "offline", work_pool_name="a", status="OFFLINE"),
    )

    assert found["pool"]["default_queue"]["name"] == "default"
    assert names(found["all"]["work_pools"]) == ["a", "b ü"]
    assert names(found["typed"]["work_pools"]) == ["b ü"]
    assert names(found["paused"]["work_pools"]) == ["a"]
    assert names(found["prefixed"]["work_pools"]) == ["b ü"]
    assert names(found["named"]["work_pools"]) == ["a"]
    assert found["queue"]["id"] == found["by_id"]["id"] == str(queue.id)
    assert found["queue"]["priority"] == 1
    assert names(found["of_pool"]["work_queues"]) == ["default", "urgent"]
    assert names(found["of_all"]["work_queues"]) == ["default", "default", "urgent"]
    assert names(found["online"]["workers"]) == ["worker"]
    assert found["offline"]["workers"] == []


def test_more_objects_than_a_page_holds_are_all_found(
    terraform: Terraform, client: Client
) -> None:
    for number in range(201):
        body = GlobalConcurrencyLimitCreate(name=f"limit {number:03}", limit=1)
        client.send(concurrency_limits.create(body))

    found = look_up(terraform, source("global_concurrency_limits", "all"))

    limits = names(found["all"]["global_concurrency_limits"])
    assert limits == [f"limit {number:03}" for number in range(201)]


@ON_BOTH_SERVERS
def test_worker_types_are_those_of_the_server(terraform: Terraform, client: Client) -> None:
    told = client.send(server_calls.worker_metadata())
    templates = {
        type: given["default_base_job_configuration"]
        for types in told.values()
        for type, given in types.items()
    }

    found = look_up(
        terraform,
        source("worker_metadata", "all"),
        source("worker_metadata", "one", type="docker"),
        source("server", "server"),
    )

    types = found["all"]["worker_types"]
    assert {t: json.loads(v["default_base_job_template"]) for t, v in types.items()} == templates
    assert list(found["one"]["worker_types"]) == ["docker"]
    assert found["server"]["version"].startswith("3.")


@ON_BOTH_SERVERS
def test_flows_deployments_limits_variables_and_blocks_are_found(
    terraform: Terraform, client: Client
) -> None:
    client.send(work_pools.create(WorkPoolCreate(name="pool", type="process")))
    limit = client.send(
        concurrency_limits.create(GlobalConcurrencyLimitCreate(name="limit", limit=3))
    )
    client.send(concurrency_limits.take(["limit"], 2))
    ids: list[UUID] = []
    for name, tags in (("first flow", ["x", "y"]), ("other", ["x"])):
        flow = client.send(flows.create(FlowCreate(name=name, tags=tags)))
        body = DeploymentCreate(
            name="nightly",
            flow_id=flow.id,
            tags=tags,
            parameters={"a": [1]},
            global_concurrency_limit_id=limit.id,
            **({"work_pool_name": "pool"} if name == "other" else {}),
        )
        ids.append(client.send(deployments.create(body)).id)
    value = {"deep": [1, "two", None]}
    variable = client.send(variables.create(VariableCreate(name="v", value=value)))
    type = client.send(blocks.read_type("secret"))
    schema = client.send(blocks.filter_schemas(type.id))[0]
    document = BlockDocumentCreate(
        name="s", data={"value": "hidden"}, block_type_id=type.id, block_schema_id=schema.id
    )
    secret = client.send(blocks.create(document))

    found = look_up(
        terraform,
        source("flow", "flow", name="first flow"),
        source("flows", "tagged", tags=["y"]),
        source("deployment", "deployment", flow_name="first flow", name="nightly"),
        source("deployment", "deployment_by_id", id=str(ids[1])),
        source("deployments", "of_flow", flow_name="other"),
        source("deployments", "in_pool", work_pool_name="pool"),
        source("deployments", "tagged_deployments", tags=["x"], name_prefix="night"),
        source("global_concurrency_limit", "limit", name="limit"),
        source("variable", "variable", id=str(variable.id)),
        source("block", "block", type_slug="secret", name="s"),
        source("block", "block_by_id", id=str(secret.id)),
    )

    assert sorted(found["flow"]["tags"]) == ["x", "y"]
    assert names(found["tagged"]["flows"]) == ["first flow"]
    deployment = found["deployment"]
    assert (deployment["id"], json.loads(deployment["parameters"])) == (str(ids[0]), {"a": [1]})
    assert deployment["global_concurrency_limit"]["active_slots"] == 2
    assert found["deployment_by_id"]["flow_name"] == "other"
    assert [d["id"] for d in found["of_flow"]["deployments"]] == [str(ids[1])]
    assert [d["id"] for d in found["in_pool"]["deployments"]] == [str(ids[1])]
    assert len(found["tagged_deployments"]["deployments"]) == 2
    assert (found["limit"]["limit"], found["limit"]["active_slots"]) == (3, 2)
    assert found["variable"]["value"] == value
    assert json.loads(found["block"]["data"]) == {"value": "hidden"}
    assert found["block_by_id"]["type_slug"] == "secret"


def test_what_is_not_there_is_an_error_that_names_the_data_source(terraform: Terraform) -> None:
    absent = {
        "work_pool": {"name": "absent"},
        "work_queue": {"work_pool_name": "absent", "name": "absent"},
        "work_queues": {"work_pool_name": "absent"},
        "workers": {"work_pool_name": "absent"},
        "flow": {"name": "absent"},
        "deployment": {"flow_name": "absent", "name": "absent"},
        "variable": {"name": "absent"},
        "global_concurrency_limit": {"name": "absent"},
        "block": {"type_slug": "secret", "name": "absent"},
    }

    text = terraform.refuse("plan", "".join(source(k, "it", **v) for k, v in absent.items()))

    assert all(f"Could not read forebay_{kind}" in text for kind in absent)


def test_a_lookup_that_names_nothing_or_two_things_is_refused_by_validation(
    terraform: Terraform,
) -> None:
    one_of_two = ["work_pool", "work_queue", "flow", "deployment", "variable", "block"]

    nothing = terraform.refuse("validate", "".join(source(k, "it") for k in one_of_two))
    both = terraform.refuse("validate", source("flow", "it", name="a", id=str(UUID(int=1))))

    assert nothing.count("exactly one of id and name") == len(one_of_two)
    assert "exactly one of id and name" in both
