"""Pools of Cloud Run and Vertex AI from deployment to end: a fake cloud, a real server and worker."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from forebay.calls import blocks
from forebay.wire.blocks import BlockDocumentCreate, BlockSchemaCreate, BlockTypeCreate
from forebay.wire.states import StateType
from tests.conftest import RunningServer
from tests.worker.google.conftest import GoogleSite
from tests.worker.google.fake import Cloud
from tests.worker.stored import Stored

TYPES = ("cloud-run", "cloud-run-v2", "vertex-ai")


def each_type(scenario: str) -> pytest.MarkDecorator:
    """The test is the scenario's, for each of the types."""
    return pytest.mark.parametrize(
        "site",
        [pytest.param(type, marks=pytest.mark.scenario(type, scenario)) for type in TYPES],
        indirect=True,
    )


@pytest.fixture
def site(
    request: pytest.FixtureRequest, shared_server: RunningServer, cloud: Cloud, tmp_path: Path
) -> Iterator[GoogleSite]:
    """A pool of the type that the test is for, without runs."""
    made = GoogleSite(request.param, shared_server, cloud, tmp_path)
    yield made
    made.close()


def wait_for(site: GoogleSite, run_id: UUID, state: StateType) -> str:
    """Wait until the run has the state; its message."""
    give_up_at = time.monotonic() + 30
    while (run := site.read(run_id)).state_type is not state:
        assert time.monotonic() < give_up_at, run.state
        time.sleep(0.05)
    assert run.state is not None
    return run.state.message or ""


def crash(site: GoogleSite, run_id: UUID) -> str:
    """The message of the run's state, which must be CRASHED."""
    run = site.read(run_id)
    assert run.state is not None
    assert run.state_type is StateType.CRASHED, run.state
    return run.state.message or ""


def a_credentials_block(site: GoogleSite, **data: Any) -> dict[str, Any]:
    """A reference to a new block of credentials."""
    send = site.client.send
    slug = f"gcp-credentials-{uuid4().hex[:8]}"
    type = send(blocks.create_type(BlockTypeCreate(name=slug, slug=slug)))
    fields = {
        "type": "object",
        "properties": {"service_account_info": {"type": "object"}, "project": {"type": "string"}},
        "secret_fields": ["service_account_info.*"],
    }
    schema = send(blocks.create_schema(BlockSchemaCreate(block_type_id=type.id, fields=fields)))
    document = send(
        blocks.create(
            BlockDocumentCreate(
                name="mine", data=data, block_type_id=type.id, block_schema_id=schema.id
            )
        )
    )
    return {"$ref": {"block_document_id": str(document.id)}}


@each_type("deploy-run-logs")
def test_run_of_a_deployment_completes_with_its_log_lines(site: GoogleSite) -> None:
    run_id = site.run(site.deploy("greet", parameters={"times": 2}))

    site.serve_once()

    run = site.read(run_id)
    assert run.state_type is StateType.COMPLETED, run.state and run.state.message
    assert "/locations/europe-west1/" in (run.infrastructure_pid or "")
    assert site.messages(run_id, "stdout") == ["hello you 0", "hello you 1"]
    assert site.messages(run_id, "flow") == ["said 0", "said 1"]
    assert site.cloud.executed == 1


@each_type("failed-exit")
def test_output_and_exit_code_of_a_command_reach_run_and_log(site: GoogleSite) -> None:
    command = "sh -c 'for i in $(seq 40); do echo said $i; done; exit 3'"
    run_id = site.run(site.deploy("greet", job_variables={"command": command}))

    site.serve_once()

    assert "ended with exit code 3" in crash(site, run_id)
    assert site.messages(run_id, "stdout") == [f"said {number}" for number in range(1, 41)]


@each_type("cancel")
def test_cancelling_ends_the_execution(site: GoogleSite) -> None:
    parameters = {"gate": str(site.folder / "gate")}
    run_id = site.run(site.deploy("wait_for", parameters=parameters))
    site.worker()
    wait_for(site, run_id, StateType.RUNNING)
    began = time.monotonic()

    site.propose(run_id, StateType.CANCELLING)

    assert "was cancelled" in wait_for(site, run_id, StateType.CANCELLED)
    # A worker looks every five seconds; the rest is what the cloud takes.
    assert time.monotonic() - began < 10


@each_type("adopted-after-restart")
def test_killed_worker_s_successor_goes_on_without_a_second_execution(site: GoogleSite) -> None:
    gate = site.folder / "gate"
    command = f"sh -c 'echo before; while [ ! -e {gate} ]; do sleep 0.02; done; echo after'"
    run_id = site.run(site.deploy("greet", job_variables={"command": command}))
    first = site.worker("--name", "one")
    wait_for(site, run_id, StateType.RUNNING)
    give_up_at = time.monotonic() + 20
    while not site.messages(run_id, "stdout"):
        assert time.monotonic() < give_up_at
        time.sleep(0.05)
    first.kill()

    second = site.worker("--name", "one")
    second.until("taken over")
    gate.touch()

    wait_for(site, run_id, StateType.COMPLETED)
    second.stop()
    assert second.end() == 0
    assert site.messages(run_id, "stdout") == ["before", "after"]
    assert site.cloud.executed == 1


@pytest.mark.scenario("vertex-ai", "cancel")
@pytest.mark.parametrize("site", ["vertex-ai"], indirect=True)  # the others differ in no way here
def test_successor_cancels_what_another_worker_started(site: GoogleSite) -> None:
    parameters = {"gate": str(site.folder / "gate")}
    run_id = site.run(site.deploy("wait_for", parameters=parameters))
    first = site.worker("--name", "one")
    wait_for(site, run_id, StateType.RUNNING)
    first.kill()
    site.propose(run_id, StateType.CANCELLING)

    site.worker("--name", "one")

    assert "was cancelled" in wait_for(site, run_id, StateType.CANCELLED)
    assert site.cloud.executed == 1


@each_type("bad-credentials")
def test_credentials_that_the_cloud_does_not_know_are_told_of(site: GoogleSite) -> None:
    run_id = site.run(site.deploy("greet"))
    site.key.write_text(json.dumps(site.cloud.service_account(is_known=False)))

    site.serve_once()

    told = crash(site, run_id)
    assert told.startswith("Google Cloud does not accept the credentials: invalid_grant")
    assert "Invalid JWT Signature" in told
    assert site.cloud.executed == 0


@each_type("quota-or-throttling")
def test_quota_that_is_used_up_is_named(site: GoogleSite) -> None:
    run_id = site.run(site.deploy("greet"))
    site.cloud.exhausted = "aiplatform.googleapis.com/custom_model_training_cpus"

    site.serve_once()

    assert crash(site, run_id).startswith(
        "A quota of Google Cloud is used up (aiplatform.googleapis.com/custom_model_training_cpus)"
    )
    assert site.cloud.executed == 0


@each_type("template-values")
def test_values_of_every_kind_reach_the_container(site: GoogleSite) -> None:
    stored = Stored(site)
    block = f"prefect.blocks.{stored.slug}.mine"
    key = site.cloud.service_account()
    variables = {
        "command": "sh -c 'env; exit 0'",
        "credentials": a_credentials_block(site, service_account_info=key),
        "env.PLAIN": "7",
        "env.FROM_BLOCK": f"{{{{ {block}.hosts.main }}}}",
        "env.FROM_VARIABLE": f"zone {{{{ prefect.variables.{stored.name} }}}}",
        "env.FROM_WORKER": "{{ $CLUSTER }}",
        "env.BRACES": "{{ image }} $(PLAIN)",
    }
    run_id = site.run(site.deploy("greet", job_variables=variables))

    worker = site.worker(
        "--run-once", environment={"CLUSTER": "blue", "GOOGLE_APPLICATION_CREDENTIALS": "/nowhere"}
    )

    assert worker.end() == 0
    assert site.read(run_id).state_type is StateType.COMPLETED
    assert {
        "PLAIN=7",
        "FROM_BLOCK=a.test",
        'FROM_VARIABLE=zone {"zone": 3}',
        "FROM_WORKER=blue",
        "BRACES={{ image }} $(PLAIN)",
    } <= set(site.messages(run_id, "stdout"))
