"""What a template and job variables would give: values, their origins, problems."""

import json
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest

from forebay.wire.dry_runs import Origin
from forebay_server.db.engine import Database
from forebay_server.dry_runs.rules import dry_run
from tests.server.flow_runs.builders import a_deployment, a_flow, a_place
from tests.server.statements import recorded

DESCRIPTION = Path(__file__).parents[3] / "protos/openapi.json"
TEMPLATE: dict[str, Any] = {
    "job_configuration": {"image": "{{ image }}", "env": "{{ env }}", "cpu": "{{ cpu }}"},
    "variables": {
        "type": "object",
        "properties": {
            "image": {"type": "string", "default": "busybox"},
            "env": {"type": "object", "default": {"A": "1", "B": "1"}},
            "cpu": {"type": "integer"},
        },
        "required": ["cpu"],
    },
}


def test_every_value_is_told_with_its_origin() -> None:
    result = dry_run(
        TEMPLATE,
        [
            (Origin.DEPLOYMENT, {"cpu": 1, "env": {"B": "2", "C": "2"}}),
            (Origin.RUN, {"cpu": 4, "env.C": None}),
        ],
    )

    assert result.valid
    assert [(each.name, each.value, each.origin) for each in result.variables] == [
        ("cpu", 4, "run"),
        ("env.A", "1", "default"),
        ("env.B", "2", "deployment"),
        ("image", "busybox", "default"),
    ]
    expected = {"image": "busybox", "env": {"A": "1", "B": "2"}, "cpu": 4}
    assert result.job_configuration == expected


@pytest.mark.parametrize(
    ("variables", "loc"),
    [
        ({"cpu": "many"}, ["job_variables", "cpu"]),
        ({"cpu": None}, ["job_variables", "cpu"]),
        ({"cpu": 1, "gpu": 1}, ["job_variables", "gpu"]),
        ({"cpu": 1, "image": 7}, ["job_variables", "image"]),
        ({}, ["job_variables"]),
    ],
)
def test_a_value_that_does_not_fit_is_a_problem(variables: dict[str, Any], loc: list[str]) -> None:
    result = dry_run(TEMPLATE, [(Origin.RUN, variables)])

    assert not result.valid
    assert [problem.loc for problem in result.problems] == [loc]


def test_every_problem_is_told_at_once() -> None:
    result = dry_run(TEMPLATE, [(Origin.RUN, {"cpu": "many", "gpu": 1})])

    assert len(result.problems) == 2


async def test_a_template_may_be_tried_before_it_is_stored(
    api: httpx.AsyncClient, database: Database
) -> None:
    await a_place(database)
    path = "/work_pools/p/validate"
    described = json.loads(DESCRIPTION.read_text("utf-8"))["components"]["schemas"]["Problem"]

    good = await api.post(path, json={"base_job_template": TEMPLATE, "job_variables": {"cpu": 1}})
    bad = await api.post(path, json={"base_job_template": {"job_configuration": {"a": 1}}})

    assert good.json()["valid"]
    assert bad.status_code == 200
    assert bad.json()["problems"][0]["loc"] == ["base_job_template"]
    assert bad.json()["problems"][0].keys() == described["properties"].keys()
    assert bad.json()["job_configuration"] is None
    assert (await api.get("/work_pools/p")).json()["base_job_template"] == {}


async def test_the_pools_template_and_a_deployments_variables_are_used(
    api: httpx.AsyncClient, database: Database
) -> None:
    await a_place(database, base_job_template=TEMPLATE)
    deployment = await a_deployment(database, await a_flow(database), job_variables={"cpu": 2})

    with recorded(database) as statements:
        answer = await api.post("/work_pools/p/validate", json={"deployment_id": str(deployment)})

    assert answer.json()["job_configuration"]["cpu"] == 2
    assert not [words for words, _ in statements if not words.startswith("SELECT")]


async def test_a_pool_without_a_template_has_its_types_own(
    api: httpx.AsyncClient, database: Database
) -> None:
    await a_place(database)

    answer = await api.post("/work_pools/p/validate")

    assert answer.json()["valid"]
    assert answer.json()["job_configuration"]["stream_output"] is True


async def test_a_pool_that_is_not_there_validates_nothing(api: httpx.AsyncClient) -> None:
    assert (await api.post("/work_pools/gone/validate", json={})).status_code == 404
