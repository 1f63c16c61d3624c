"""Identities and lists, which Terraform asks for from 1.12 and 1.14 on."""

from collections.abc import Iterator
from typing import Any

import pytest

from forebay.calls import work_pools, work_queues
from forebay.client import Client
from forebay.settings import ClientSettings
from forebay.wire.work_pools import WorkPoolCreate
from forebay.wire.work_queues import WorkQueueCreate
from forebay_provider.data_sources.work_pool import WorkPoolView
from forebay_provider.framework import codec, identity
from forebay_provider.framework.declarations import declaration
from forebay_provider.framework.kinds import Object
from forebay_provider.framework.values import UNKNOWN
from forebay_provider.lists import PoolsBlock, QueuesBlock
from forebay_provider.pb import tfplugin6_pb2 as pb
from forebay_provider.resources import RESOURCES
from forebay_provider.resources.work_pool import WorkPool
from forebay_provider.resources.work_queue import WorkQueue
from tests.conftest import RunningServer

QUEUE = ("work_pool_name", "name")


@pytest.fixture
def configured(call: Any, server: RunningServer) -> Any:
    """The provider with a server that has two pools, one with two more queues."""
    call.configure(endpoint=server.api_url, api_key=server.api_key)
    with Client(ClientSettings(api_url=server.api_url, api_key=server.api_key)) as client:
        for pool, type in (("etl é", "process"), ("web", "docker")):
            client.send(work_pools.create(WorkPoolCreate(name=pool, type=type)))
        for queue in ("high", "low"):
            client.send(work_queues.create("etl é", WorkQueueCreate(name=queue)))
    return call


def identified(model: type[Any], names: tuple[str, ...], *values: Any) -> pb.ResourceIdentityData:
    kinds = declaration(model).kind.attributes
    kind = Object({name: kinds[name] for name in names})
    data = codec.encode(kind, dict(zip(names, values, strict=True)))
    return pb.ResourceIdentityData(identity_data=data)


def test_every_resource_has_an_identity(call: Any) -> None:
    answer = call("GetResourceIdentitySchemas")

    assert set(answer.identity_schemas) == set(call("GetProviderSchema").resource_schemas)
    queue = answer.identity_schemas["forebay_work_queue"]
    assert [a.name for a in queue.identity_attributes] == list(QUEUE)
    assert all(a.required_for_import and a.type == b'"string"' for a in queue.identity_attributes)


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda r: r.name)
def test_identity_consists_of_texts_that_the_resource_has(resource: Any) -> None:
    schema = identity.schema(resource.model, resource.identity)

    assert [a.name for a in schema.identity_attributes] == list(resource.identity)
    assert {a.type for a in schema.identity_attributes} == {b'"string"'}


def test_import_by_identity_is_completed_by_the_read(configured: Any) -> None:
    wanted = identified(WorkQueue, QUEUE, "etl é", "high")

    imported = configured(
        "ImportResourceState", type_name="forebay_work_queue", identity=wanted
    ).imported_resources[0]
    read = configured(
        "ReadResource",
        type_name="forebay_work_queue",
        current_state=imported.state,
        current_identity=imported.identity,
    )

    assert imported.identity == wanted
    assert read.new_identity == wanted
    assert configured.decode(WorkQueue, read.new_state)["priority"] == 2


def test_import_by_half_an_identity_says_what_is_missing(configured: Any) -> None:
    answer = configured(
        "ImportResourceState",
        type_name="forebay_work_queue",
        identity=identified(WorkQueue, QUEUE, "etl é", None),
    )

    assert "work_pool_name, name" in answer.diagnostics[0].detail


def test_object_that_is_gone_has_no_identity(configured: Any) -> None:
    state = configured.encode(WorkPool, {"id": "1", "name": "gone", "type": "process"})

    answer = configured("ReadResource", type_name="forebay_work_pool", current_state=state)

    assert not answer.HasField("new_identity")


def plan_create(call: Any, **values: Any) -> Any:
    config = call.encode(WorkPool, values)
    return call("PlanResourceChange", type_name="forebay_work_pool", config=config,
                proposed_new_state=config)  # fmt: skip


def test_planned_identity_is_given_once_it_is_decided(call: Any) -> None:
    decided = plan_create(call, name="etl", type="process")
    open_ = plan_create(call, name=UNKNOWN, type="process")

    assert decided.planned_identity == identified(WorkPool, ("name",), "etl")
    assert not open_.HasField("planned_identity")


def test_created_object_has_the_identity_that_was_planned(configured: Any) -> None:
    values = {"name": "new", "type": "process"}
    planned = plan_create(configured, **values)

    answer = configured(
        "ApplyResourceChange",
        type_name="forebay_work_pool",
        prior_state=configured.encode(WorkPool, None),
        planned_state=planned.planned_state,
        planned_private=planned.planned_private,
        config=configured.encode(WorkPool, values),
    )

    assert not answer.diagnostics
    assert answer.new_identity == planned.planned_identity


def test_stored_identity_is_read(call: Any) -> None:
    answer = call(
        "UpgradeResourceIdentity",
        type_name="forebay_work_queue",
        raw_identity={"json": b'{"work_pool_name": "etl", "name": "high"}'},
    )

    assert answer.upgraded_identity == identified(WorkQueue, QUEUE, "etl", "high")


def events(call: Any, type_name: str, config: Any, **options: Any) -> Iterator[Any]:
    """Everything that a list answers, as a stream."""
    request = pb.ListResource.Request(type_name=type_name, config=config, **options)
    for answer in call.rpcs["ListResource"].each(request.SerializeToString()):
        yield pb.ListResource.Event.FromString(answer)


def test_lists_are_of_resources_with_an_identity(call: Any) -> None:
    schema, metadata = call("GetProviderSchema"), call("GetMetadata")

    assert set(schema.list_resource_schemas) == {"forebay_work_pool", "forebay_work_queue"}
    assert {r.type_name for r in metadata.list_resources} == set(schema.list_resource_schemas)
    assert set(schema.list_resource_schemas) <= set(
        call("GetResourceIdentitySchemas").identity_schemas
    )


@pytest.mark.parametrize(
    ("block", "names"),
    [
        ({}, ["etl é", "web"]),
        ({"type": "docker"}, ["web"]),
        ({"name_prefix": "etl"}, ["etl é"]),
    ],
)
def test_pools_are_listed(configured: Any, block: dict[str, str], names: list[str]) -> None:
    config = configured.encode(PoolsBlock, block)

    found = list(events(configured, "forebay_work_pool", config))

    assert [event.display_name for event in found] == names
    assert found[0].identity == identified(WorkPool, ("name",), names[0])
    assert not found[0].HasField("resource_object")


def test_queues_of_a_pool_are_listed_with_their_objects(configured: Any) -> None:
    config = configured.encode(QueuesBlock, {"work_pool_name": "etl é"})

    found = list(events(configured, "forebay_work_queue", config, include_resource_object=True))

    states = [configured.decode(WorkQueue, event.resource_object) for event in found]
    assert [state["name"] for state in states] == ["default", "high", "low"]
    assert [event.display_name for event in found][1] == "etl é/high"
    assert found[1].identity == identified(WorkQueue, QUEUE, "etl é", "high")


def test_list_ends_at_its_limit(configured: Any) -> None:
    config = configured.encode(QueuesBlock, {})

    assert len(list(events(configured, "forebay_work_queue", config, limit=2))) == 2


def test_failure_ends_a_list_with_a_diagnostic(call: Any) -> None:
    call.configure(endpoint="http://127.0.0.1:9", retry={"max_attempts": 0})

    (event,) = events(call, "forebay_work_pool", call.encode(PoolsBlock, {}))

    assert "127.0.0.1:9" in event.diagnostic[0].detail


DEFERS = pb.ClientCapabilities(deferral_allowed=True)


def test_unknown_endpoint_defers_where_terraform_allows_it(call: Any) -> None:
    call.configure(endpoint=UNKNOWN)
    config = call.encode(WorkPool, {"name": "etl", "type": "process"})
    request = {"type_name": "forebay_work_pool", "client_capabilities": DEFERS}

    read = call("ReadResource", current_state=config, **request)
    planned = call("PlanResourceChange", config=config, proposed_new_state=config, **request)
    looked_up = call(
        "ReadDataSource", config=call.encode(WorkPoolView, {"name": "etl"}), **request
    )

    reason = pb.Deferred.PROVIDER_CONFIG_UNKNOWN
    assert [a.deferred.reason for a in (read, planned, looked_up)] == [reason] * 3
    assert not [*read.diagnostics, *planned.diagnostics, *looked_up.diagnostics]
    assert call.decode(WorkPoolView, looked_up.state)["type"] == UNKNOWN


def test_nothing_is_deferred_uninvited(call: Any) -> None:
    call.configure(endpoint=UNKNOWN)
    config = call.encode(WorkPool, {"name": "etl", "type": "process"})
    request = {"type_name": "forebay_work_pool"}

    read = call("ReadResource", current_state=config, **request)
    planned = call("PlanResourceChange", config=config, proposed_new_state=config, **request)

    assert not read.HasField("deferred") and not planned.HasField("deferred")
