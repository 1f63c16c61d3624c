"""Every RPC answers, whatever it is asked; errors are diagnostics and lose no state."""

from collections.abc import Callable
from typing import Any, ClassVar
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from forebay.errors import FieldProblem, ForebayError, Invalid
from forebay_provider.connection import Connection
from forebay_provider.data_sources.server import ServerView
from forebay_provider.data_sources.work_pool import WorkPoolView
from forebay_provider.framework.declarations import attribute, from_values, model
from forebay_provider.framework.resource import Incomplete, Resource
from forebay_provider.framework.values import UNKNOWN
from forebay_provider.pb import tfplugin6_pb2 as pb
from forebay_provider.provider_block import ProviderConfig
from forebay_provider.resources.work_pool import WorkPool
from forebay_provider.resources.work_queue import WorkQueue

RPC_NAMES = [method.name for method in pb.DESCRIPTOR.services_by_name["Provider"].methods]
# All that is not there: answered with a diagnostic and never advertised.
REFUSED = {
    "GenerateResourceConfig",
    "ValidateStateStoreConfig", "ConfigureStateStore", "ReadStateBytes", "WriteStateBytes",
    "LockState", "UnlockState", "GetStates", "DeleteState", "PlanAction", "InvokeAction",
    "ValidateActionConfig",
}  # fmt: skip


@model
class Crate:
    id: str = attribute("Identity.", computed=True)
    label: str = attribute("Label.", wire="name", replace=True)
    pin: str | None = attribute("Pin.", default=None, write_only=True)


class CrateResource(Resource[Crate, Connection]):
    """Keeps crates in memory and fails as its label says."""

    name, model = "crate", Crate
    import_doc = "the label"
    keys: ClassVar[list[str]] = []
    pins: ClassVar[list[Any]] = []

    def create(self, plan: Crate, key: str) -> Crate:
        self.keys.append(key)
        self.pins.append(plan.pin)
        made = from_values(Crate, {"id": "1", "label": plan.label, "pin": plan.pin})
        match plan.label:
            case "half":
                raise Incomplete(made, ForebayError("the lid was not found"))
            case "refused":
                raise Invalid("no", problems=(FieldProblem(("name", 0), "is a bad label"),))
            case "broken":
                raise ZeroDivisionError("a fault")
        return made

    def delete(self, state: Crate) -> None:
        raise ForebayError("the crate is in use")


@pytest.fixture
def crates(make_caller: Callable[..., Any]) -> Any:
    """A configured provider of crates."""
    caller = make_caller(resources=(CrateResource,))
    caller.configure()
    return caller


def create(call: Any, label: str, **request: Any) -> Any:
    return call(
        "ApplyResourceChange",
        type_name="forebay_crate",
        prior_state=call.encode(Crate, None),
        planned_state=call.encode(Crate, {"id": UNKNOWN, "label": label}),
        config=call.encode(Crate, {"label": label, "pin": "1234"}),
        **request,
    )


def test_schema_has_resources_data_sources_and_capabilities(call: Any) -> None:
    answer = call("GetProviderSchema")

    assert {"forebay_work_pool", "forebay_work_queue"} <= set(answer.resource_schemas)
    assert "forebay_work_pool" in answer.data_source_schemas
    assert answer.server_capabilities.get_provider_schema_optional
    assert answer.server_capabilities.plan_destroy
    assert answer.server_capabilities.move_resource_state


def test_metadata_names_what_the_schema_describes(call: Any) -> None:
    schema, metadata = call("GetProviderSchema"), call("GetMetadata")

    assert {r.type_name for r in metadata.resources} == set(schema.resource_schemas)
    assert {d.type_name for d in metadata.data_sources} == set(schema.data_source_schemas)
    assert {f.name for f in metadata.functions} == set(schema.functions)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_rpc_without_a_use_here_says_so(call: Any, name: str) -> None:
    answer = call.rpcs[name](b"")

    assert b"Not supported by the forebay provider" in answer


@pytest.mark.parametrize("name", RPC_NAMES)
def test_malformed_message_is_answered_with_a_diagnostic(call: Any, name: str) -> None:
    answer = call.rpcs[name](b"\x0a\xff\xff\xff\xff\x0f")

    assert b"Terraform sent a message that cannot be read" in answer


@pytest.mark.parametrize("name", RPC_NAMES)
@hypothesis_settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.binary(max_size=60))
def test_arbitrary_bytes_are_answered(call: Any, name: str, data: bytes) -> None:
    answer = call.rpcs[name](data)

    assert isinstance(answer, bytes)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("ValidateResourceConfig", ["config"]),
        ("ReadResource", ["current_state"]),
        ("PlanResourceChange", ["proposed_new_state", "config"]),
        ("ApplyResourceChange", ["planned_state"]),
    ],
)
@pytest.mark.parametrize("packed", [b"\xc1", b"\x91" * 20_000, b"\xd4\x00\x00", b"\xa1x"])
def test_object_that_is_none_is_answered_with_a_diagnostic(
    call: Any, name: str, fields: list[str], packed: bytes
) -> None:
    call.configure(endpoint="http://127.0.0.1:9")
    sent = dict.fromkeys(fields, pb.DynamicValue(msgpack=packed))

    answer = call(name, type_name="forebay_work_pool", **sent)

    assert answer.diagnostics
    assert "Traceback" not in str(answer)


@pytest.mark.parametrize(
    "name", ["ValidateResourceConfig", "ReadResource", "PlanResourceChange", "ImportResourceState"]
)
def test_unknown_type_is_named(call: Any, name: str) -> None:
    answer = call(name, type_name="forebay_nothing")

    assert "forebay_nothing" in answer.diagnostics[0].detail


def test_create_returns_what_was_made(crates: Any) -> None:
    answer = create(crates, "plain")

    assert not answer.diagnostics
    assert crates.decode(Crate, answer.new_state) == {"id": "1", "label": "plain", "pin": None}


def test_write_only_value_reaches_the_resource_and_not_the_state(crates: Any) -> None:
    answer = create(crates, "plain")

    assert CrateResource.pins[-1] == "1234"
    assert b"1234" not in answer.SerializeToString()


def test_object_of_a_failed_create_is_kept_beside_the_error(crates: Any) -> None:
    answer = create(crates, "half")

    assert crates.decode(Crate, answer.new_state)["id"] == "1"
    assert answer.diagnostics[0].detail == "the lid was not found."


def test_refused_create_leaves_no_state_and_points_at_the_attribute(crates: Any) -> None:
    answer = create(crates, "refused")

    assert crates.decode(Crate, answer.new_state) is None
    (found,) = answer.diagnostics
    assert [s.attribute_name for s in found.attribute.steps] == ["label"]
    assert found.summary == "Could not create forebay_crate"
    assert found.detail == "0: is a bad label."


def test_fault_of_ours_is_told_without_a_traceback(crates: Any) -> None:
    answer = create(crates, "broken")

    assert answer.diagnostics[0].summary == "Internal error of the forebay provider"
    assert "Traceback" not in answer.diagnostics[0].detail


def test_failed_delete_keeps_the_state(crates: Any) -> None:
    prior = {"id": "1", "label": "a"}

    answer = crates(
        "ApplyResourceChange",
        type_name="forebay_crate",
        prior_state=crates.encode(Crate, prior),
        planned_state=crates.encode(Crate, None),
        planned_private=b"kept",
    )

    assert crates.decode(Crate, answer.new_state) == {**prior, "pin": None}
    assert answer.diagnostics[0].detail == "the crate is in use."
    assert answer.private == b"kept"


def plan_create(call: Any, **request: Any) -> Any:
    return call(
        "PlanResourceChange",
        type_name="forebay_crate",
        config=call.encode(Crate, {"label": "a"}),
        proposed_new_state=call.encode(Crate, {"label": "a"}),
        **request,
    )


def test_creation_has_its_planned_key_at_every_try(crates: Any) -> None:
    private = plan_create(crates).planned_private

    first = create(crates, "plain", planned_private=private)
    create(crates, "plain", planned_private=private)

    assert CrateResource.keys[-2] == CrateResource.keys[-1]
    assert first.private == b""


def test_key_of_the_first_plan_is_kept_where_terraform_shows_it(crates: Any) -> None:
    first = plan_create(crates).planned_private

    again = plan_create(crates, planned_private=first).planned_private

    assert again == first


def test_each_planned_creation_has_its_own_key(crates: Any) -> None:
    assert plan_create(crates).planned_private != plan_create(crates).planned_private


def test_unknown_endpoint_is_never_replaced_by_another_server(
    call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOREBAY_API_URL", "http://127.0.0.1:9/api")
    call.configure(endpoint=UNKNOWN)
    state = call.encode(WorkPool, {"id": "1", "name": "etl", "type": "process"})

    answer = call(
        "ReadResource", type_name="forebay_work_pool", current_state=state, private=b"kept"
    )

    assert answer.new_state == state
    assert answer.private == b"kept"
    assert answer.diagnostics[0].severity == pb.Diagnostic.WARNING
    assert "endpoint is not known yet" in answer.diagnostics[0].detail


def test_server_that_does_not_tell_which_one_it_is_is_named(call: Any) -> None:
    call.configure(
        endpoint="http://127.0.0.1:1", expected_server_id=str(uuid4()), retry={"max_attempts": 1}
    )

    config = call.encode(ServerView, {})
    answer = call("ReadDataSource", type_name="forebay_server", config=config)

    (problem,) = answer.diagnostics
    assert problem.summary == "The server did not tell whether it is the expected one"
    assert "http://127.0.0.1:1" in problem.detail


def test_data_source_with_an_unknown_endpoint_says_what_to_do(call: Any) -> None:
    call.configure(endpoint=UNKNOWN)

    answer = call(
        "ReadDataSource",
        type_name="forebay_work_pool",
        config=call.encode(WorkPoolView, {"name": "etl"}),
    )

    assert "endpoint is not known yet" in answer.diagnostics[0].detail
    assert "-target" in answer.diagnostics[0].detail


def test_server_that_does_not_answer_is_an_error_with_the_next_step(call: Any) -> None:
    call.configure(endpoint="http://127.0.0.1:9", request_timeout="1s")

    answer = call(
        "ReadDataSource",
        type_name="forebay_work_pool",
        config=call.encode(WorkPoolView, {"name": "etl"}),
    )

    assert "127.0.0.1:9" in answer.diagnostics[0].detail
    assert "forebay server start" in answer.diagnostics[0].detail
    assert "provider block's endpoint" in answer.diagnostics[0].detail


def test_stopped_provider_sends_nothing_more(call: Any) -> None:
    call.configure(endpoint="http://127.0.0.1:9")

    call("StopProvider")
    answer = call(
        "ReadDataSource",
        type_name="forebay_work_pool",
        config=call.encode(WorkPoolView, {"name": "etl"}),
    )

    assert "interrupted" in answer.diagnostics[0].detail


@pytest.mark.parametrize(
    ("config", "attribute_name", "words"),
    [
        ({"endpoint": "ftp://x"}, "endpoint", "http:// or https://"),
        ({"request_timeout": "soon"}, "request_timeout", "must be a duration"),
        ({"request_timeout": "0s"}, "request_timeout", "must be a duration"),
        ({"api_key": "a", "basic_auth": "b:c"}, "basic_auth", "not both"),
        ({"csrf": "perhaps"}, "csrf", '"auto", "on", "off"'),
        ({"client_key": "k"}, "client_key", "Set client_cert"),
        ({"max_concurrent_requests": 0}, "max_concurrent_requests", "at least 1"),
        ({"retry": {"status_codes": [404]}}, "retry", "another try does not change"),
        ({"retry": {"wait_max": "soon"}}, "retry", "must be a duration"),
        ({"plan_checks": "loud"}, "plan_checks", '"error", "warn", "off"'),
    ],
)
def test_bad_provider_block_is_refused_at_the_argument(
    call: Any, config: dict[str, Any], attribute_name: str, words: str
) -> None:
    answer = call("ValidateProviderConfig", config=call.encode(ProviderConfig, config))

    (found,) = answer.diagnostics
    assert found.attribute.steps[0].attribute_name == attribute_name
    assert words in found.detail


def test_missing_profile_is_an_error_at_its_argument(call: Any) -> None:
    answer = call.configure(profile="nowhere")

    (found,) = answer.diagnostics
    assert found.attribute.steps[0].attribute_name == "profile"
    assert "nowhere" in found.detail


UNDECLARED = (
    '{"job_configuration": {"image": "{{ imgae }}"}, "variables": {"properties": {"image": {}}}}'
)


@pytest.mark.parametrize(
    ("model_class", "config", "attribute_name", "words"),
    [
        (WorkPool, {"name": "a", "type": ""}, "type", "1 to 255"),
        (WorkPool, {"name": "a/b", "type": "process"}, "name", "without /"),
        (WorkPool, {"name": "..", "type": "process"}, "name", "not . or .."),
        (WorkPool, {"name": " a", "type": "process"}, "name", "no space"),
        (WorkPool, {"name": "Prefect-x", "type": "process"}, "name", "reserves"),
        (WorkPool, {"name": "a", "type": "p", "concurrency_limit": -1}, "concurrency_limit", "-1"),
        (WorkPool, {"name": "a", "type": "p", "base_job_template": UNDECLARED},
         "base_job_template", "uses {{ imgae }}"),
        (WorkPool, {"name": "a", "type": "p", "base_job_template": "[]"},
         "base_job_template", "must be a JSON object"),
        (WorkPool, {"name": "a", "type": "p", "base_job_template": '{"variables": {}}'},
         "base_job_template", "job_configuration"),
        (WorkQueue, {"name": "q", "work_pool_name": "p", "priority": 0}, "priority", "at least 1"),
        (WorkQueue, {"name": "q", "work_pool_name": ""}, "work_pool_name", "1 to 255"),
        (WorkPoolView, {"name": ""}, "name", "1 to 255"),
        (WorkPoolView, {"id": "x"}, "id", "must be a UUID"),
    ],
)  # fmt: skip
def test_bad_configuration_is_refused_offline_at_the_attribute(
    call: Any, model_class: type[Any], config: dict[str, Any], attribute_name: str, words: str
) -> None:
    rpc, type_name = {
        WorkPool: ("ValidateResourceConfig", "forebay_work_pool"),
        WorkQueue: ("ValidateResourceConfig", "forebay_work_queue"),
        WorkPoolView: ("ValidateDataResourceConfig", "forebay_work_pool"),
    }[model_class]

    answer = call(rpc, type_name=type_name, config=call.encode(model_class, config))

    (found,) = answer.diagnostics
    assert found.attribute.steps[0].attribute_name == attribute_name
    assert words in found.detail


@pytest.mark.parametrize("config", [{}, {"name": "a", "id": "0" * 32}])
def test_data_source_wants_exactly_one_of_name_and_id(call: Any, config: dict[str, str]) -> None:
    answer = call(
        "ValidateDataResourceConfig",
        type_name="forebay_work_pool",
        config=call.encode(WorkPoolView, config),
    )

    assert "exactly one of id and name" in answer.diagnostics[0].detail


def test_state_of_a_newer_provider_is_refused(call: Any) -> None:
    answer = call("UpgradeResourceState", type_name="forebay_work_pool", version=99)

    assert "newer" in answer.diagnostics[0].summary


def test_state_gains_what_the_schema_gained(call: Any) -> None:
    answer = call(
        "UpgradeResourceState",
        type_name="forebay_work_pool",
        raw_state=pb.RawState(json=b'{"name": "etl", "dropped": true}'),
    )

    state = call.decode(WorkPool, answer.upgraded_state)
    assert state["name"] == "etl"
    assert state["paused"] is None


@pytest.mark.parametrize("text", ["", "etl", "/high", "etl/", ",", "a/b/c", "../q"])
def test_import_of_a_queue_says_which_ids_there_are(call: Any, text: str) -> None:
    call.configure(endpoint="http://127.0.0.1:9")

    answer = call("ImportResourceState", type_name="forebay_work_queue", id=text)

    assert "POOL/QUEUE" in answer.diagnostics[0].detail


def test_import_of_a_pool_by_what_is_no_name_says_so(call: Any) -> None:
    call.configure(endpoint="http://127.0.0.1:9")

    answer = call("ImportResourceState", type_name="forebay_work_pool", id="a/b")

    assert "the pool's name or its ID" in answer.diagnostics[0].detail


@pytest.mark.parametrize("text", ["etl/high, low", "etl,high, low"])
def test_import_of_a_queue_by_names_takes_commas_in_the_queue(call: Any, text: str) -> None:
    call.configure(endpoint="http://127.0.0.1:9")

    answer = call("ImportResourceState", type_name="forebay_work_queue", id=text)

    state = call.decode(WorkQueue, answer.imported_resources[0].state)
    assert (state["work_pool_name"], state["name"]) == ("etl", "high, low")
