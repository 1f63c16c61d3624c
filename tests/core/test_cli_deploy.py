"""`forebay deploy` and `forebay.deploy` against a real server."""

import importlib
import sys
import textwrap
import uuid
from pathlib import Path
from typing import Any

import pytest

import forebay
from forebay.calls import deployments
from forebay.client import Client
from forebay.deploying import prepare
from forebay.errors import ConfigurationError, NotFound
from tests.core.builders import SOURCE, Run, as_json


@pytest.fixture
def flow() -> str:
    return f"flow-{uuid.uuid4()}"


@pytest.fixture(autouse=True)
def source(tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text(SOURCE)


def write(folder: Path, text: str, **values: str) -> None:
    """Write forebay.yaml, with `<name>` in it replaced."""
    text = textwrap.dedent(text)
    for name, value in values.items():
        text = text.replace(f"<{name}>", value)
    (folder / "forebay.yaml").write_text(text)


def test_deployment_of_a_file_has_everything_that_the_file_says(
    run: Run, tmp_path: Path, pool: str, flow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable = f"greeting-{flow}"
    assert run("variable", "set", variable, '{"a": 1}').returncode == 0
    monkeypatch.setenv("TEST_IMAGE", "python:3")
    write(
        tmp_path,
        """
        name: a project
        prefect-version: 3.8.4
        definitions:
          place: &place
            name: <pool>
            work_queue_name: urgent
            job_variables:
              image: "{{ $TEST_IMAGE }}"
              env: "{{ prefect.variables.<variable> }}"
        deployments:
          - name: nightly
            flow_name: <flow>
            entrypoint: hello.py:say_hello
            description: At night.
            version: "{{ $TEST_IMAGE }}-1"
            tags: [a, b]
            parameters: {name: you, times: 2}
            concurrency_limit: {limit: 3, collision_strategy: CANCEL_NEW}
            schedules:
              - {cron: "0 6 * * *", timezone: Europe/Berlin, slug: morning}
              - {interval: 3600, active: false}
            schedule: {rrule: FREQ=DAILY}
            work_pool: *place
        """,
        pool=pool,
        flow=flow,
        variable=variable,
    )

    [made] = as_json(run("deploy", "-o", "json"))
    again = run("deploy", "--name", "night*")

    assert made["version"] == "python:3-1"
    assert made["tags"] == ["a", "b"]
    assert made["parameters"] == {"name": "you", "times": 2}
    assert made["parameter_openapi_schema"]["required"] == ["name"]
    assert (made["work_pool_name"], made["work_queue_name"]) == (pool, "urgent")
    assert made["job_variables"] == {"image": "python:3", "env": {"a": 1}}
    assert made["global_concurrency_limit"]["limit"] == 3
    assert made["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    assert made["path"] == str(tmp_path.resolve())
    schedules = {
        next(kind for kind in ("cron", "interval", "rrule") if kind in item["schedule"]): item
        for item in made["schedules"]
    }
    assert schedules["cron"]["slug"] == "morning"
    assert schedules["cron"]["schedule"]["timezone"] == "Europe/Berlin"
    assert schedules["interval"]["active"] is False
    assert schedules["rrule"]["active"] is True
    assert again.returncode == 0, again.stderr
    assert f"forebay deployment run {flow}/nightly" in again.stdout


def test_steps_run_first_and_their_outputs_fill_templates(
    run: Run, tmp_path: Path, pool: str, flow: str
) -> None:
    write(
        tmp_path,
        """
        build:
          - prefect.deployments.steps.run_shell_script:
              id: version
              script: |
                # every line is a command of its own
                <python> -c "print('v1')"
          - prefect.deployments.steps.run_shell_script:
              id: image
              script: echo image:{{ version.stdout }}
        pull:
          - prefect.deployments.steps.git_clone:
              id: clone
              repository: https://example.org/{{ version.stdout }}.git
              access_token: "{{ prefect.blocks.secret.token }}"
          - prefect.deployments.steps.set_working_directory:
              directory: "{{ clone.directory }}"
        deployments:
          - name: built
            flow_name: <flow>
            entrypoint: hello.py:say_hello
            work_pool:
              name: <pool>
              job_variables: {image: "{{ image.stdout }}"}
        """,
        pool=pool,
        flow=flow,
        python=sys.executable,
    )

    [made] = as_json(run("deploy", "-o", "json"))

    assert made["job_variables"] == {"image": "image:v1"}
    assert made["path"] is None
    clone, enter = made["pull_steps"]
    assert clone["prefect.deployments.steps.git_clone"] == {
        "id": "clone",
        "repository": "https://example.org/v1.git",
        "access_token": "{{ prefect.blocks.secret.token }}",
    }
    assert enter["prefect.deployments.steps.set_working_directory"] == {
        "directory": "{{ clone.directory }}"
    }


def test_dry_run_shows_the_bodies_and_changes_nothing(
    run: Run, tmp_path: Path, pool: str, flow: str
) -> None:
    write(
        tmp_path,
        """
        build:
          - prefect.deployments.steps.run_shell_script: {id: x, script: touch made}
        deployments:
          - {name: one, flow_name: <flow>, entrypoint: hello.py:say_hello, work_pool: {name: <pool>}}
          - {name: two, flow_name: <flow>, entrypoint: hello.py:say_hello, work_pool: {name: <pool>},
             version: "{{ x.stdout }}"}
        """,
        pool=pool,
        flow=flow,
    )

    shown = as_json(run("deploy", "--all", "--dry-run", "-o", "json"))

    assert [(item["flow"], item["name"]) for item in shown] == [(flow, "one"), (flow, "two")]
    assert shown[1]["version"] == "{{ x.stdout }}"
    assert not (tmp_path / "made").exists()
    assert run("flow", "inspect", flow).returncode == 3


ENTRY = "{name: one, flow_name: <flow>, entrypoint: hello.py:say_hello, work_pool: {name: <pool>}"


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("deployments: [", (), "is not YAML"),
        ("deployments: 1", (), "no list `deployments`"),
        ("deployments: []", (), "The file has: none"),
        ("deployments: [{entrypoint: a.py:b}]", (), "has no name"),
        (f"deployments: [{ENTRY}}}]", ("-n", "other"), "it has: one"),
        (f"deployments: [{ENTRY}}}, {ENTRY}}}]", ("--all",), "twice"),
        (f"deployments: [{ENTRY}, colour: red}}]", (), "colour"),
        (f"deployments: [{ENTRY}, triggers: [1]}}]", (), "`triggers`"),
        (f"deployments: [{ENTRY}, version: '{{{{ $NOWHERE_SET }}}}'}}]", (), "'NOWHERE_SET'"),
        (f"deployments: [{ENTRY}, version: '{{{{ other.stdout }}}}'}}]", (), "'other.stdout'"),
        (
            f"deployments: [{ENTRY}, schedule: {{}}, schedules: [{{timezone: UTC}}]}}]",
            (),
            "one of cron",
        ),
        (f"build: [prefect_docker.build]\ndeployments: [{ENTRY}}}]", (), "not a list of steps"),
        (
            f"push: [{{prefect_aws.deployments.steps.push_to_s3: {{}}}}]\ndeployments: [{ENTRY}}}]",
            (),
            "'prefect_aws.deployments.steps.push_to_s3' is not known here",
        ),
        (
            "deployments: [{name: a, entrypoint: hello.py:missing, work_pool: {name: x}}]",
            (),
            "no function",
        ),
        ("deployments: [{name: a, entrypoint: hello.py:say_hello}]", (), "no pool is the default"),
    ],
)
def test_file_that_cannot_be_used_is_refused_and_nothing_is_made(
    run: Run,
    tmp_path: Path,
    pool: str,
    flow: str,
    text: str,
    options: tuple[str, ...],
    message: str,
) -> None:
    write(tmp_path, text, pool=pool, flow=flow)

    ended = run("deploy", *options)

    assert ended.returncode == 2, ended.stderr
    assert message in " ".join(ended.stderr.split())
    assert run("flow", "inspect", flow).returncode == 3


def test_failed_step_ends_with_its_output_and_deploys_nothing(
    run: Run, tmp_path: Path, pool: str, flow: str
) -> None:
    step = "prefect.deployments.steps.run_shell_script: {script: ls no-such-file}"
    write(tmp_path, f"build: [{{{step}}}]\ndeployments: [{ENTRY}}}]", pool=pool, flow=flow)

    ended = run("deploy")

    assert ended.returncode == 1
    assert "no-such-file" in ended.stderr
    assert run("flow", "inspect", flow).returncode == 3


def test_missing_pool_variable_and_file_exit_as_such(run: Run, tmp_path: Path, flow: str) -> None:
    without_file = run("deploy")
    write(tmp_path, f"deployments: [{ENTRY}}}]", pool="no such pool", flow=flow)
    without_pool = run("deploy")
    write(
        tmp_path, f"deployments: [{ENTRY}, version: '{{{{ prefect.variables.nope-{flow} }}}}'}}]"
    )
    without_variable = run("deploy")

    assert without_file.returncode == 2
    assert "forebay deployment create" in without_file.stderr
    assert without_pool.returncode == 3
    assert without_variable.returncode == 3
    assert "forebay variable set" in without_variable.stderr


def test_function_is_deployed_from_python(
    client: Client, pool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flow: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "hello", raising=False)
    say_hello = importlib.import_module("hello").say_hello

    made = forebay.deploy(
        say_hello,
        "py",
        flow_name=flow,
        work_pool_name=pool,
        parameters={"times": 2},
        schedules=[{"cron": "@daily"}],
        client=client,
    )
    by_text = forebay.deploy(
        "hello.py:say_hello", "py", flow_name=flow, work_pool_name=pool, client=client
    )

    assert made.entrypoint == by_text.entrypoint == "hello.py:say_hello"
    assert made.id == by_text.id
    assert made.parameter_openapi_schema == by_text.parameter_openapi_schema
    assert made.parameters == {"times": 2}
    assert len(made.schedules) == 1
    assert client.send(deployments.read(made.id)).schedules == []


def test_deploying_finds_the_server_as_the_command_line_does(
    shared_server: Any, pool: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flow: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOREBAY_API_URL", shared_server.api_url)
    monkeypatch.setenv("FOREBAY_API_KEY", shared_server.api_key)

    made = forebay.deploy("hello.py:say_hello", flow_name=flow, work_pool_name=pool)

    assert made.work_pool_name == pool
    with pytest.raises(NotFound):
        forebay.deploy("hello.py:say_hello", flow_name=flow, work_pool_name="no such pool")


@pytest.mark.parametrize(
    "arguments",
    [
        {"entrypoint": lambda: None},
        {"entrypoint": len},
        {"entrypoint": "hello.py:missing"},
        {"name": "a/b"},
        {"work_queue_name": "q"},
        {"schedules": [{"cron": "@daily", "interval": 1}]},
        {"schedules": [{"interval": -1}]},
        {"concurrency_limit": 0},
        {"tags": [1]},
    ],
    ids=lambda arguments: ",".join(arguments),
)
def test_what_cannot_be_deployed_is_refused_before_anything_is_sent(
    tmp_path: Path, arguments: dict[str, Any]
) -> None:
    given = {"entrypoint": "hello.py:say_hello", "name": "a", "folder": tmp_path, **arguments}

    with pytest.raises(ConfigurationError):
        prepare(**given)


def test_package_has_no_other_names_of_its_own_making() -> None:
    with pytest.raises(AttributeError, match="no attribute 'undeploy'"):
        forebay.undeploy  # noqa: B018
