"""Pools and queues on a real server, from a plan to a destroy."""

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote
from uuid import UUID

import httpx2 as httpx
import pytest

from forebay_provider.data_sources.work_pool import WorkPoolView
from forebay_provider.framework.declarations import declaration
from forebay_provider.framework.values import is_known
from forebay_provider.resources.work_pool import WorkPool
from forebay_provider.resources.work_queue import WorkQueue
from tests.conftest import RunningServer
from tests.scripted import ScriptedApi

TEMPLATE = {
    "job_configuration": {"command": "{{ command }}"},
    "variables": {"type": "object", "properties": {"command": {"type": "string"}}},
}


class Core:
    """One resource as Terraform's core handles it, with core's own checks of the answers."""

    def __init__(self, call: Any, model: type[Any]) -> None:
        self.call, self.model = call, model
        self.type_name = {WorkPool: "forebay_work_pool", WorkQueue: "forebay_work_queue"}[model]
        self.state: dict[str, Any] | None = None

    def plan(self, config: dict[str, Any]) -> Any:
        """The answer to a plan of `config`."""
        return self.call(
            "PlanResourceChange",
            type_name=self.type_name,
            config=self.call.encode(self.model, config),
            prior_state=self.call.encode(self.model, self.state),
            proposed_new_state=self.call.encode(self.model, self._proposed(config)),
        )

    def apply(self, **config: Any) -> dict[str, Any]:
        """Plan and apply; the new state."""
        plan = self.plan(config)
        errors = [d for d in plan.diagnostics if d.severity == d.ERROR]
        assert not errors, errors
        answer = self.change(config, plan)
        assert not answer.diagnostics, answer.diagnostics
        planned = self.call.decode(self.model, plan.planned_state)
        new = self.call.decode(self.model, answer.new_state)
        promised = {name: value for name, value in planned.items() if is_known(value)}
        assert {name: new[name] for name in promised} == promised
        self.state = new
        assert not self.changes(**config)
        return self.state

    def change(self, config: dict[str, Any], plan: Any) -> Any:
        """The answer to an apply of what was planned."""
        return self.call(
            "ApplyResourceChange",
            type_name=self.type_name,
            config=self.call.encode(self.model, config),
            prior_state=self.call.encode(self.model, self.state),
            planned_state=plan.planned_state,
            planned_private=plan.planned_private,
        )

    def refuse(self, **config: Any) -> Any:
        """The one diagnostic of a change that fails."""
        plan = self.plan(config)
        answer = self.change(config, plan)
        self.state = self.call.decode(self.model, answer.new_state)
        (found,) = answer.diagnostics
        return found

    def changes(self, **config: Any) -> list[str]:
        """Names of the attributes that a plan of `config` would change."""
        planned = self.call.decode(self.model, self.plan(config).planned_state)
        assert self.state is not None
        return [name for name, value in planned.items() if value != self.state[name]]

    def replaced(self, **config: Any) -> list[str]:
        """Names of the attributes for which a plan of `config` needs a new object."""
        return [path.steps[0].attribute_name for path in self.plan(config).requires_replace]

    def refresh(self) -> dict[str, Any] | None:
        """The state after a read; None when the object is gone."""
        answer = self.call(
            "ReadResource",
            type_name=self.type_name,
            current_state=self.call.encode(self.model, self.state),
            private=b"p",
        )
        assert not answer.diagnostics, answer.diagnostics
        assert answer.private == b"p"
        self.state = self.call.decode(self.model, answer.new_state)
        return self.state

    def bring(self, text: str) -> dict[str, Any] | None:
        """Import by `text` and read, as `terraform import` does."""
        answer = self.call("ImportResourceState", type_name=self.type_name, id=text)
        assert not answer.diagnostics, answer.diagnostics
        self.state = self.call.decode(self.model, answer.imported_resources[0].state)
        return self.refresh()

    def destroy(self) -> list[Any]:
        """The diagnostics of a delete."""
        answer = self.call(
            "ApplyResourceChange",
            type_name=self.type_name,
            prior_state=self.call.encode(self.model, self.state),
            planned_state=self.call.encode(self.model, None),
        )
        self.state = self.call.decode(self.model, answer.new_state)
        return list(answer.diagnostics)

    def _proposed(self, config: dict[str, Any]) -> dict[str, Any]:
        proposed = {}
        for a in declaration(self.model).attributes:
            value = config.get(a.name)
            is_kept = value is None and a.computed and self.state is not None
            proposed[a.name] = self.state[a.name] if is_kept and self.state else value
        return proposed


@pytest.fixture
def server(shared_server: RunningServer) -> RunningServer:
    """Starting a server of its own would cost more than most tests here."""
    return shared_server


@pytest.fixture(autouse=True)
def api(server: RunningServer) -> Iterator[httpx.Client]:
    """The server behind the provider's back; every test leaves it as it was."""
    headers = {"authorization": f"Bearer {server.api_key}"}
    with httpx.Client(base_url=server.api_url, headers=headers) as client:
        others = _pool_names(client)
        yield client
        for name in _pool_names(client) - others:
            client.delete(f"/work_pools/{quote(name)}").raise_for_status()


def _pool_names(client: httpx.Client) -> set[str]:
    return {pool["name"] for pool in client.post("/work_pools/filter", json={}).json()}


@pytest.fixture
def core(make_caller: Callable[..., Any], server: RunningServer) -> Callable[[type[Any]], Core]:
    """Makes handled resources of a provider that is configured for the server."""
    call = make_caller()
    assert not call.configure(endpoint=server.api_url, api_key=server.api_key).diagnostics
    return lambda model: Core(call, model)


def test_pool_lives_from_create_to_destroy(core: Callable[..., Core], api: httpx.Client) -> None:
    pool = core(WorkPool)

    made = pool.apply(name="data team", type="process", description="d", concurrency_limit=3)
    kept = pool.apply(name="data team", type="process", paused=True)

    stored = api.get("/work_pools/data%20team").json()
    assert kept["id"] == made["id"] == stored["id"]
    assert kept["default_queue_id"] == stored["default_queue_id"]
    assert stored["is_paused"] is True
    assert stored["description"] is None and stored["concurrency_limit"] is None
    assert pool.destroy() == []
    assert api.get("/work_pools/data%20team").status_code == 404


def test_what_a_pool_does_with_lost_runs_goes_back_to_the_default(
    core: Callable[..., Core], api: httpx.Client
) -> None:
    pool = core(WorkPool)
    stored = []

    for said in ({}, {"on_lost": "reschedule", "max_rescues": 0}, {"max_rescues": 5}, {}):
        pool.apply(name="p", type="process", **said)
        found = api.get("/work_pools/p").json()
        stored.append((found["on_lost"], found["max_rescues"]))

    assert stored == [("crash", 3), ("reschedule", 0), ("crash", 5), ("crash", 3)]


def test_a_server_that_knows_no_rescue_is_told_and_asked_nothing_of_it(
    call: Any, scripted: ScriptedApi
) -> None:
    old = {"name": "p", "type": "process", "id": str(UUID(int=1)), "base_job_template": {}}
    old |= {"created": "2026-01-02T03:04:05Z", "updated": "2026-01-02T03:04:05Z"}
    scripted.says(201, json.dumps(old))
    assert not call.configure(endpoint=scripted.api_url).diagnostics
    pool = Core(call, WorkPool)

    made = pool.apply(name="p", type="process", base_job_template="{}")
    refreshed = pool.refresh()

    assert refreshed == made
    assert (made["on_lost"], made["max_rescues"]) == ("crash", 3)
    sent = next(body for asked, body in scripted.bodies if asked == "POST /api/work_pools/")
    assert not {"on_lost", "max_rescues"} & json.loads(sent).keys()


def test_a_server_that_knows_no_rescue_refuses_one_by_its_name(
    call: Any, scripted: ScriptedApi
) -> None:
    problem = {
        "type": "extra_forbidden",
        "loc": ["body", "on_lost"],
        "msg": "Extra inputs are not permitted",
    }
    scripted.says(422, json.dumps({"exception_detail": [problem]}))
    assert not call.configure(endpoint=scripted.api_url).diagnostics

    refusal = Core(call, WorkPool).refuse(name="p", type="process", on_lost="reschedule")

    assert "does not know on_lost" in refusal.detail
    assert [step.attribute_name for step in refusal.attribute.steps] == ["on_lost"]


def test_pool_keeps_the_bytes_of_its_template(
    core: Callable[..., Core], api: httpx.Client
) -> None:
    pool = core(WorkPool)
    text = json.dumps(TEMPLATE, indent=2)

    state = pool.apply(name="etl", type="process", base_job_template=text)

    assert state["base_job_template"] == text
    assert pool.refresh() == state
    assert api.get("/work_pools/etl").json()["base_job_template"] == TEMPLATE


def test_template_changed_outside_is_planned_back(
    core: Callable[..., Core], api: httpx.Client
) -> None:
    pool = core(WorkPool)
    config = {"name": "etl", "type": "process", "base_job_template": json.dumps(TEMPLATE)}
    pool.apply(**config)
    api.patch("/work_pools/etl", json={"base_job_template": {}}).raise_for_status()

    pool.refresh()

    assert pool.changes(**config) == ["base_job_template", "effective_base_job_template"]
    assert pool.apply(**config)["base_job_template"] == config["base_job_template"]


@pytest.mark.parametrize("change", [{"name": "other"}, {"type": "docker"}])
def test_name_and_type_of_a_pool_replace_it(
    core: Callable[..., Core], change: dict[str, str]
) -> None:
    pool = core(WorkPool)
    pool.apply(name="etl", type="process")

    assert pool.replaced(**{"name": "etl", "type": "process", **change}) == list(change)


@pytest.mark.parametrize("by", ["name", "id"])
def test_imported_pool_has_nothing_to_change(
    core: Callable[..., Core], api: httpx.Client, by: str
) -> None:
    body = {"name": "etl", "type": "process", "base_job_template": TEMPLATE, "description": "d"}
    made = api.post("/work_pools/", json=body).json()
    pool = core(WorkPool)

    pool.bring(made[by])

    config = {**body, "base_job_template": json.dumps(TEMPLATE, indent=1)}
    assert pool.changes(**config) == []
    assert "effective_base_job_template" in pool.changes(
        name="etl", type="process", description="d"
    )


def test_import_of_no_pool_finds_nothing(core: Callable[..., Core]) -> None:
    assert core(WorkPool).bring("nowhere") is None
    assert core(WorkPool).bring("7f0c7c66-0000-4000-8000-000000000000") is None


def test_taken_name_names_the_pool_and_the_import_command(
    core: Callable[..., Core], api: httpx.Client
) -> None:
    made = api.post("/work_pools/", json={"name": "data team", "type": "process"}).json()
    pool = core(WorkPool)

    found = pool.refuse(name="data team", type="process")

    assert pool.state is None
    assert found.attribute.steps[0].attribute_name == "name"
    assert made["id"] in found.detail
    assert "  terraform import forebay_work_pool.data_team 'data team'\n" in found.detail


def test_pool_deleted_outside_is_gone_and_deleting_it_again_is_no_error(
    core: Callable[..., Core], api: httpx.Client
) -> None:
    pool, other = core(WorkPool), core(WorkPool)
    pool.apply(name="etl", type="process")
    other.state = pool.state
    api.delete("/work_pools/etl").raise_for_status()

    assert pool.refresh() is None
    assert other.destroy() == []


def test_queue_lives_from_create_to_destroy(core: Callable[..., Core], api: httpx.Client) -> None:
    pool, queue = core(WorkPool), core(WorkQueue)
    pool.apply(name="etl", type="process")

    made = queue.apply(work_pool_name="etl", name="high", priority=1, concurrency_limit=0)
    renamed = queue.apply(work_pool_name="etl", name="higher", paused=True, description="d")
    plain = queue.apply(work_pool_name="etl", name="higher")

    stored = api.get("/work_pools/etl/queues/higher").json()
    assert made["id"] == renamed["id"] == plain["id"] == stored["id"]
    assert plain["priority"] == stored["priority"] == 1
    assert (stored["is_paused"], stored["description"], stored["concurrency_limit"]) == (
        False,
        "",
        None,
    )
    assert queue.replaced(work_pool_name="other", name="higher") == ["work_pool_name"]
    assert queue.destroy() == []
    assert api.get("/work_pools/etl/queues/higher").status_code == 404


def test_queue_without_a_priority_follows_the_server(
    core: Callable[..., Core], api: httpx.Client
) -> None:
    pool, queue, urgent = core(WorkPool), core(WorkQueue), core(WorkQueue)
    pool.apply(name="etl", type="process")
    made = queue.apply(work_pool_name="etl", name="a")
    urgent.apply(work_pool_name="etl", name="b", priority=made["priority"])

    moved = queue.refresh()

    assert moved is not None
    assert moved["priority"] > made["priority"]
    assert queue.changes(work_pool_name="etl", name="a") == []


def test_queue_that_is_moved_between_plan_and_apply_keeps_what_was_planned(
    core: Callable[..., Core],
) -> None:
    pool, queue, urgent = core(WorkPool), core(WorkQueue), core(WorkQueue)
    pool.apply(name="etl", type="process")
    made = queue.apply(work_pool_name="etl", name="a")
    config = {"work_pool_name": "etl", "name": "a", "description": "d"}
    plan = queue.plan(config)
    urgent.apply(work_pool_name="etl", name="b", priority=made["priority"])

    answer = queue.change(config, plan)

    assert answer.new_state == plan.planned_state
    queue.state = queue.call.decode(WorkQueue, answer.new_state)
    moved = queue.refresh()
    assert moved is not None
    assert moved["priority"] > made["priority"]
    assert queue.changes(**config) == []


def test_value_that_state_lacks_is_read_after_an_update(core: Callable[..., Core]) -> None:
    pool = core(WorkPool)
    made = pool.apply(name="etl", type="process")
    pool.state = {**made, "created": None}

    state = pool.apply(name="etl", type="process", description="d")

    assert state["created"] == made["created"]


def test_queue_renamed_outside_is_still_the_same_one(
    core: Callable[..., Core], api: httpx.Client
) -> None:
    pool, queue = core(WorkPool), core(WorkQueue)
    pool.apply(name="etl", type="process")
    made = queue.apply(work_pool_name="etl", name="a")
    api.patch("/work_pools/etl/queues/a", json={"name": "z"}).raise_for_status()

    queue.refresh()

    assert queue.changes(work_pool_name="etl", name="a") == ["name"]
    assert queue.apply(work_pool_name="etl", name="a")["id"] == made["id"]


@pytest.mark.parametrize("form", ["etl/a", "etl,a", "id"])
def test_imported_queue_has_nothing_to_change(
    core: Callable[..., Core], api: httpx.Client, form: str
) -> None:
    core(WorkPool).apply(name="etl", type="process")
    made = api.post("/work_pools/etl/queues", json={"name": "a"}).json()
    queue = core(WorkQueue)

    queue.bring(made["id"] if form == "id" else form)

    assert queue.changes(work_pool_name="etl", name="a") == []


def test_refused_queues_say_why(core: Callable[..., Core], api: httpx.Client) -> None:
    core(WorkPool).apply(name="etl", type="process")

    no_pool = core(WorkQueue).refuse(work_pool_name="nowhere", name="a")
    taken = core(WorkQueue).refuse(work_pool_name="etl", name="default")

    assert no_pool.attribute.steps[0].attribute_name == "work_pool_name"
    assert 'no work pool "nowhere"' in no_pool.detail
    assert "  terraform import forebay_work_queue.default etl/default\n" in taken.detail


def test_default_queue_cannot_be_destroyed_and_stays_in_state(
    core: Callable[..., Core], api: httpx.Client
) -> None:
    core(WorkPool).apply(name="etl", type="process")
    queue = core(WorkQueue)
    queue.bring("etl/default")

    (found,) = queue.destroy()

    assert "lives as long as its pool" in found.detail
    assert queue.state is not None


def test_wrong_token_says_what_to_set(call: Any, server: RunningServer) -> None:
    call.configure(endpoint=server.api_url, api_key="wrong")
    pool = Core(call, WorkPool)

    found = pool.refuse(name="etl", type="process")

    assert pool.state is None
    assert "refused the credentials" in found.detail
    assert "provider block's api_key" in found.detail
    assert "wrong" not in found.detail


@pytest.mark.parametrize("by", ["name", "id"])
def test_data_source_reads_a_pool(
    call: Any, server: RunningServer, api: httpx.Client, by: str
) -> None:
    body = {"name": "etl", "type": "process", "concurrency_limit": 4}
    made = api.post("/work_pools/", json=body).json()
    call.configure(endpoint=server.api_url, api_key=server.api_key)

    answer = call(
        "ReadDataSource",
        type_name="forebay_work_pool",
        config=call.encode(WorkPoolView, {by: made[by]}),
    )

    state = call.decode(WorkPoolView, answer.state)
    assert (state["id"], state["name"]) == (made["id"], "etl")
    assert (state["status"], state["active_slots"]) == ("NOT_READY", 0)
    assert state["default_queue_id"] == made["default_queue_id"]


@pytest.mark.parametrize(
    "config", [{"name": "nowhere"}, {"id": "7f0c7c66-0000-4000-8000-000000000000"}]
)
def test_data_source_of_no_pool_is_an_error(
    call: Any, server: RunningServer, config: dict[str, str]
) -> None:
    call.configure(endpoint=server.api_url, api_key=server.api_key)

    answer = call(
        "ReadDataSource",
        type_name="forebay_work_pool",
        config=call.encode(WorkPoolView, config),
    )

    (found,) = answer.diagnostics
    assert found.summary == "Could not read forebay_work_pool"
