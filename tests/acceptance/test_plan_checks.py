"""What a plan tells before anything is changed, with the server's help and without."""

import json

import pytest

from tests.acceptance.conftest import Expression, Terraform, block
from tests.acceptance.servers import ON_BOTH_SERVERS
from tests.conftest import RunningServer

pytestmark = pytest.mark.terraform

POOL = block("forebay_work_pool", "p", name="checked", type="process")
FLOW = block("forebay_flow", "f", name="checked")
QUEUE = block(
    "forebay_work_queue", "q", work_pool_name=Expression("forebay_work_pool.p.name"), name="q"
)


@pytest.fixture
def server(emptied_server: RunningServer) -> RunningServer:
    return emptied_server


def deployment(variables: dict[str, object], **more: object) -> str:
    return block(
        "forebay_deployment",
        "d",
        flow_name=Expression("forebay_flow.f.name"),
        name="d",
        work_pool_name=Expression("forebay_work_pool.p.name"),
        job_variables=json.dumps(variables),
        **more,
    )


def checks(word: str) -> str:
    return f'provider "forebay" {{\n  plan_checks = "{word}"\n}}\n'


# Prefect's server has no dry run; what the template alone tells is told there too.
@ON_BOTH_SERVERS
def test_job_variables_that_do_not_fit_fail_the_plan(terraform: Terraform) -> None:
    wrong = deployment({"comand": "x", "stream_output": "certainly not"})

    new = terraform.refuse("plan", POOL + FLOW + wrong)
    terraform.apply(POOL + FLOW + deployment({}))
    changed = terraform.refuse("plan", POOL + FLOW + wrong)

    for error in (new, changed):
        assert 'do not fit the work pool "checked"' in error
        assert '"comand": the template declares no such' in error
        assert '"stream_output": ' in error


def test_checks_that_warn_let_the_plan_pass(terraform: Terraform) -> None:
    terraform.write(checks("warn") + POOL + FLOW + deployment({"comand": "x"}))

    done = terraform.run("plan", "-input=false", "-no-color")

    assert "Warning: The job variables do not fit" in done.stdout


def test_checks_that_are_off_tell_nothing(terraform: Terraform) -> None:
    terraform.write(checks("off") + POOL + FLOW + deployment({"comand": "x"}))

    done = terraform.run("plan", "-input=false", "-no-color")

    assert "do not fit" not in done.stdout


def test_variable_that_the_same_plan_adds_to_the_template_is_known(terraform: Terraform) -> None:
    template = {
        "job_configuration": {"command": "{{ command }}", "size": "{{ size }}"},
        "variables": {
            "type": "object",
            "properties": {"command": {"type": "string"}, "size": {"type": "integer"}},
        },
    }
    terraform.apply(POOL + FLOW)
    pool = block(
        "forebay_work_pool",
        "p",
        name="checked",
        type="process",
        base_job_template=json.dumps(template),
    )

    planned = terraform.plan(pool + FLOW + deployment({"size": 2}))
    error = terraform.refuse("plan", pool + FLOW + deployment({"size": "large"}))

    assert planned["forebay_deployment.d"] == ["create"]
    assert '"size": ' in error


def test_default_that_does_not_fit_its_variable_is_refused_offline(terraform: Terraform) -> None:
    pool = block(
        "forebay_work_pool",
        "p",
        name="checked",
        type="process",
        job_template_defaults={"stream_output": "certainly not"},
    )

    error = terraform.refuse("validate", pool)

    assert 'job_template_defaults has "stream_output" wrong' in error
    assert "is not of type 'boolean'" in error


def test_deletion_of_a_queue_tells_which_deployments_it_orphans(terraform: Terraform) -> None:
    of_queue = deployment({}, work_queue_name=Expression("forebay_work_queue.q.name"))
    terraform.apply(POOL + QUEUE + FLOW + of_queue)
    fixed = of_queue.replace("forebay_work_queue.q.name", '"q"')
    terraform.write(POOL + FLOW + fixed)

    done = terraform.run("plan", "-input=false", "-no-color")

    assert 'Deployments send their runs to the queue "q"' in done.stdout
