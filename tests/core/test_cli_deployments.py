"""`forebay deployment` against a real server."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from forebay.wire.deployments import Deployment
from tests.core.builders import SOURCE, Run, as_json, register


def test_function_is_registered_with_what_its_signature_says(
    run: Run, pool: str, tmp_path: Path
) -> None:
    (tmp_path / "hello.py").write_text(SOURCE)

    made = register(run, pool)

    schema = made["parameter_openapi_schema"]
    assert made["name"] == "default"
    assert made["entrypoint"] == "hello.py:say_hello"
    assert made["path"] == str(tmp_path.resolve())
    assert made["work_pool_name"] == pool
    assert made["description"] == "Greet somebody."
    assert schema["required"] == ["name"]
    assert schema["properties"]["times"]["type"] == "integer"


def test_flow_is_named_after_the_function(run: Run, pool: str, tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text(SOURCE)

    made = run("deployment", "create", "hello.py:say_hello", "-p", pool, "-n", pool)

    assert made.returncode == 0, made.stderr
    assert f"forebay deployment run 'say-hello/{pool}'" in made.stdout
    assert run("deployment", "inspect", f"say-hello/{pool}").returncode == 0


def test_deployment_of_the_same_name_is_replaced(
    run: Run, deployment: Deployment, pool: str
) -> None:
    again = register(run, pool, "--param-default", "times=3", "--tag", "a", "--tag", "b")

    assert again["id"] == str(deployment.id)
    assert again["parameters"] == {"times": 3}
    assert again["tags"] == ["a", "b"]


def test_unknown_queue_of_the_pool_is_made(run: Run, deployment: Deployment, pool: str) -> None:
    register(run, pool, "--work-queue", "urgent")

    assert run("work-queue", "inspect", "urgent", "-p", pool).returncode == 0


def test_unknown_pool_exits_with_3_and_names_the_list(run: Run, tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text(SOURCE)

    ended = run("deployment", "create", "hello.py:say_hello", "--pool", "no such pool")

    assert ended.returncode == 3
    assert "forebay work-pool ls" in ended.stderr


def test_job_variable_that_the_template_refuses_exits_with_4(
    run: Run, deployment: Deployment, pool: str
) -> None:
    ended = run(
        *("deployment", "create", "hello.py:say_hello", "--pool", pool),
        *("--job-variable", "image=[1]"),
    )

    assert ended.returncode == 4
    assert "image" in ended.stderr


def test_deployment_is_listed_inspected_and_deleted(
    run: Run, deployment: Deployment, pool: str
) -> None:
    name = f"flow of {pool}/default"

    listed = run("deployment", "ls", "--pool", pool)
    as_list = as_json(run("deployment", "ls", f"flow of {pool}", "-o", "json"))
    inspected = as_json(run("deployment", "inspect", name, "-o", "json"))
    refused = run("deployment", "delete", name)
    deleted = run("deployment", "delete", name, "--yes")

    assert name in listed.stdout
    assert [item["id"] for item in as_list] == [inspected["id"]] == [str(deployment.id)]
    assert refused.returncode == 2
    assert deleted.returncode == 0
    assert run("deployment", "inspect", name).returncode == 3


@pytest.mark.parametrize("name", ["no/such", "00000000-0000-0000-0000-000000000000"])
def test_unknown_deployment_exits_with_3_and_names_the_list(run: Run, name: str) -> None:
    ended = run("deployment", "run", name)

    assert ended.returncode == 3
    assert "forebay deployment ls" in ended.stderr


def test_run_has_the_parameters_as_json_or_text(run: Run, deployment: Deployment) -> None:
    made = as_json(
        run(
            *("deployment", "run", deployment.id, "-o", "json", "--tag", "x"),
            *("--params", '{"name": "all", "times": 1}', "-p", "name=you", "-p", "times=2"),
        )
    )

    assert made["parameters"] == {"name": "you", "times": 2}
    assert made["state_type"] == "SCHEDULED"
    assert made["tags"] == ["x"]


def test_parameters_are_read_from_stdin(run: Run, deployment: Deployment) -> None:
    made = run(
        *("deployment", "run", deployment.id, "--params", "-", "-o", "json"),
        input='{"name": "stdin"}',
    )

    assert as_json(made)["parameters"]["name"] == "stdin"


@pytest.mark.parametrize(
    "parameters", [[], ["name=1"], ["name=you", "times=x"], ["name=you", "unknown=1"]]
)
def test_parameters_that_do_not_fit_exit_with_4(
    run: Run, deployment: Deployment, parameters: list[str]
) -> None:
    options = [option for text in parameters for option in ("--param", text)]

    ended = run("deployment", "run", deployment.id, *options)

    assert ended.returncode == 4
    assert "forebay deployment inspect" in ended.stderr


def test_run_starts_later_under_a_name_and_is_previewed(
    run: Run, deployment: Deployment, pool: str
) -> None:
    made = as_json(
        run(
            *("deployment", "run", deployment.id, "-p", "name=you", "-o", "json"),
            *("--start-in", "7200", "--flow-run-name", "tomorrow"),
        )
    )

    one = as_json(run("work-pool", "preview", pool, "-o", "json"))
    three = as_json(run("work-pool", "preview", pool, "--hours", "3", "-o", "json"))

    delay = datetime.fromisoformat(made["next_scheduled_start_time"]) - datetime.now(UTC)
    assert timedelta(minutes=119) < delay <= timedelta(hours=2)
    assert (one, [item["name"] for item in three]) == ([], ["tomorrow"])


def test_schedule_is_added_paused_and_deleted(run: Run, deployment: Deployment) -> None:
    def schedule(command: str, *args: object) -> Any:
        return run("deployment", "schedule", command, deployment.id, *args, "-o", "json")

    made = as_json(schedule("create", "--cron", "0 6 * * *", "--timezone", "Europe/Vienna"))
    paused = as_json(schedule("pause", made["id"]))
    resumed = as_json(schedule("resume", made["id"]))
    listed = run("deployment", "schedule", "ls", deployment.id)
    refused = schedule("delete", made["id"])
    deleted = as_json(schedule("delete", made["id"], "--yes"))
    gone = schedule("pause", made["id"])

    assert (made["active"], paused["active"], resumed["active"]) == (True, False, True)
    assert "0 6 * * * (Europe/Vienna)" in listed.stdout
    assert refused.returncode == 2
    assert deleted["id"] == made["id"]
    assert gone.returncode == 3
    assert "forebay deployment schedule ls" in gone.stderr


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ([], 2),
        (["--cron", "@daily", "--interval", "60"], 2),
        (["--cron", "@daily", "--anchor-date", "2026-01-01"], 2),
        (["--interval", "0"], 2),
        (["--interval", "60", "--anchor-date", "soon"], 2),
        (["--cron", "every day"], 4),
        (["--cron", "@daily", "--timezone", "Mars/Olympus"], 4),
        (["--rrule", "FREQ=OFTEN"], 4),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_schedule_that_makes_no_sense_is_refused(
    run: Run, deployment: Deployment, options: list[str], code: int
) -> None:
    ended = run("deployment", "schedule", "create", deployment.id, *options)

    assert ended.returncode == code
    assert "Traceback" not in ended.stderr


def test_run_starts_at_a_time_of_day_or_later(run: Run, deployment: Deployment) -> None:
    command = ("deployment", "run", deployment.id, "-p", "name=you", "-o", "json")

    made = as_json(run(*command, "--start-at", "2030-01-02T03:04:05+01:00"))
    both = run(*command, "--start-at", "2030-01-02", "--start-in", "5")

    assert made["expected_start_time"] == "2030-01-02T02:04:05.000000Z"
    assert both.returncode == 2


def test_schedules_are_replaced_paused_together_and_cleared(
    run: Run, deployment: Deployment
) -> None:
    place = ("deployment", "schedule")
    for _ in range(2):
        run(*place, "create", deployment.id, "--cron", "@daily")

    one_of_two = run(*place, "pause", deployment.id)
    replaced = run(*place, "create", deployment.id, "--cron", "@hourly", "--replace", "--yes")
    paused = as_json(run(*place, "pause", deployment.id, "-o", "json"))
    refused = run(*place, "clear", deployment.id)
    cleared = run(*place, "clear", deployment.id, "--accept-yes")
    left = as_json(run(*place, "ls", deployment.id, "-o", "json"))

    assert one_of_two.returncode == 2
    assert "has 2 schedules" in one_of_two.stderr
    assert replaced.returncode == 0, replaced.stderr
    assert (paused["schedule"]["cron"], paused["active"]) == ("@hourly", False)
    assert (refused.returncode, cleared.returncode) == (2, 0)
    assert left == []


def test_deployment_may_be_named_by_an_option(run: Run, deployment: Deployment) -> None:
    by_option = as_json(run("deployment", "inspect", "--id", deployment.id, "-o", "json"))
    nobody = run("deployment", "delete", "--yes")

    assert by_option["id"] == str(deployment.id)
    assert nobody.returncode == 2


def test_newest_deployment_is_listed_first_on_demand(
    run: Run, deployment: Deployment, pool: str
) -> None:
    register(run, pool, "--name", "a later one")

    found = as_json(run("deployment", "ls", "-p", pool, "--by-created", "-o", "json"))

    assert [item["name"] for item in found] == ["a later one", "default"]
