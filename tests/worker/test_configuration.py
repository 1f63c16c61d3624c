"""Job configurations: from template and variables to what a worker type understands."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from forebay.pool_types import default_template
from forebay.settings import ClientSettings
from forebay.wire.deployments import Deployment
from forebay.wire.flow_runs import FlowRun
from forebay.wire.work_pools import WorkPool
from forebay_worker.base import JobConfiguration, UnknownWorkerType, WorkerType, find_type
from forebay_worker.configuration import (
    MAX_PARAMETERS_VARIABLE,
    InvalidConfiguration,
    api_environment,
    build_configuration,
    job_values,
    run_environment,
)
from forebay_worker.worker_types.process import ProcessWorker
from tests.worker.builders import NOW, a_pool, a_run


def a_deployment(**values: Any) -> Deployment:
    made = {"id": uuid4(), "created": NOW, "updated": NOW, "name": "d", "flow_id": uuid4()}
    return Deployment(**{**made, **values})


def configured(
    worker_type: type[WorkerType[Any]], pool: WorkPool, deployment: Deployment | None, run: FlowRun
) -> Any:
    """What the worker type is given for a run."""
    return build_configuration(worker_type, pool, job_values(worker_type, pool, deployment, run))


def test_pool_without_a_template_has_its_types_own() -> None:
    configuration = configured(ProcessWorker, a_pool(), None, a_run())

    assert configuration.model_dump() == {
        "name": None,
        "env": {},
        "labels": {},
        "command": None,
        "stream_output": True,
        "working_dir": None,
    }


def test_runs_variables_beat_the_deployments_and_env_is_merged() -> None:
    deployment = a_deployment(
        job_variables={"command": "one", "env": {"A": "1", "B": "1", "C": "1"}}
    )
    run = a_run(job_variables={"command": "two", "env": {"B": 2, "C": None}, "env.D": True})

    configuration = configured(ProcessWorker, a_pool(), deployment, run)

    assert configuration.command == "two"
    assert configuration.env == {"A": "1", "B": "2", "D": "true"}


def test_pools_own_template_counts() -> None:
    template = {
        "job_configuration": {"command": "run {{ what }}", "env": {"FIXED": "yes"}},
        "variables": {"properties": {"what": {"type": "string", "default": "nothing"}}},
    }

    configuration = configured(ProcessWorker, a_pool(base_job_template=template), None, a_run())

    assert configuration.command == "run nothing"
    assert configuration.env == {"FIXED": "yes"}


def test_variable_of_a_wrong_type_is_named() -> None:
    run = a_run(job_variables={"stream_output": "maybe"})

    with pytest.raises(InvalidConfiguration, match=r"pool 'pool' .* stream_output: "):
        configured(ProcessWorker, a_pool(), None, run)


def test_fields_of_the_process_type_are_its_known_variables() -> None:
    known = default_template("process")

    own = ProcessWorker.base_job_template()

    assert own["variables"]["properties"].keys() == known["variables"]["properties"].keys()
    assert own["job_configuration"] == known["job_configuration"]


def test_type_of_another_package_brings_its_own_template() -> None:
    class Forklift(JobConfiguration):
        tonnes: int

    class ForkliftWorker(WorkerType[Forklift]):
        worker_type = "forklift"
        configuration = Forklift

    run = a_run(job_variables={"tonnes": 3})
    configuration = configured(ForkliftWorker, a_pool(type="forklift"), None, run)

    assert isinstance(configuration, Forklift)
    assert configuration.tonnes == 3
    assert ForkliftWorker.base_job_template()["variables"]["required"] == ["tonnes"]


def test_unknown_worker_type_says_what_there_is() -> None:
    with pytest.raises(UnknownWorkerType, match=r"'forklift' is installed here; there is: .*proc"):
        find_type("forklift")


def test_worker_type_whose_library_is_missing_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "forklifts.py").write_text("import no_such_library\n")
    about = tmp_path / "forebay_forklifts-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(
        "Name: forebay-forklifts\nVersion: 1\nProvides-Extra: forklift\n"
    )
    (about / "entry_points.txt").write_text(
        "[forebay.worker_types]\nforklift = forklifts:ForkliftWorker\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(UnknownWorkerType) as told:
        find_type("forklift")

    assert str(told.value) == (
        "The worker type 'forklift' needs 'no_such_library', which is not installed here. "
        f"Install it with: {sys.executable} -m pip install 'forebay-forklifts[forklift]==1'"
    )


def test_worker_of_processes_imports_no_library_of_another_type() -> None:
    code = (
        "import sys; from forebay_worker.base import find_type; import forebay_worker.setup; "
        "find_type('process'); "
        "heavy = {'aiobotocore', 'aiodocker', 'aiohttp', 'azure', 'botocore', 'lightkube'}; "
        "print(heavy & set(sys.modules))"
    )

    found = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)

    assert found.stdout.strip() == b"set()"


def test_installed_worker_type_is_found_by_its_name() -> None:
    assert find_type("process") is ProcessWorker


def test_run_learns_its_id_claim_and_parameters() -> None:
    run = a_run(parameters={"größe": [1, {"a": None}]})

    environment = run_environment(run, f"{run.id}:3", is_reported_by_worker=True)

    assert environment["FOREBAY_FLOW_RUN_ID"] == str(run.id)
    assert environment["FOREBAY_CLAIM"] == f"{run.id}:3"
    assert json.loads(environment["FOREBAY_PARAMETERS"]) == run.parameters
    assert "FOREBAY_WORKER_REPORTS_STATES" in environment


def test_parameters_that_no_environment_can_hold_are_left_out() -> None:
    run = a_run(parameters={"text": "x" * MAX_PARAMETERS_VARIABLE})

    environment = run_environment(run, None, is_reported_by_worker=False)

    assert environment == {"FOREBAY_FLOW_RUN_ID": str(run.id)}


@pytest.mark.parametrize(
    ("settings", "token", "expected"),
    [
        (ClientSettings("http://h/api"), None, {}),
        (ClientSettings("http://h/api", api_key="k"), None, {"FOREBAY_API_KEY": "k"}),
        (ClientSettings("http://h/api", api_key="k"), "t", {"FOREBAY_API_KEY": "t"}),
        (
            ClientSettings("http://h/api", basic_auth="u:p"),
            None,
            {"FOREBAY_API_AUTH_STRING": "u:p"},
        ),
        (ClientSettings("http://h/api", basic_auth="u:p"), "t", {"FOREBAY_API_KEY": "t"}),
    ],
)
def test_run_reaches_the_api_with_its_token_and_without_one_as_its_worker_does(
    settings: ClientSettings, token: str | None, expected: dict[str, str]
) -> None:
    environment = api_environment(settings, token)

    assert environment == {"FOREBAY_API_URL": "http://h/api", **expected}
