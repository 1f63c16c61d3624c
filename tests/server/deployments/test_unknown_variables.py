"""Job variables that a pool's template does not declare, from Forebay's clients and from others."""

from typing import Any

import httpx2 as httpx
import pytest
from fastapi import FastAPI

from forebay.client import USER_AGENT
from forebay_server.settings import Strictness
from forebay_server.work_pools.job_variables import unknown_variables
from tests.server.deployments.builders import TEMPLATE, a_deployment, a_flow, a_pool, sent

PREFECT = "prefect/3.8.4 (API 0.8.4)"
TERRAFORM = "Terraform/1.13.0 terraform-provider-forebay/1.0 ours"
KNOWN = {"memory": 1, "command": "run"}
UNKNOWN = {"memory": 1, "comand": "run"}


async def statuses(api: httpx.AsyncClient, variables: dict[str, Any]) -> dict[str, int]:
    """What each request that sets job variables is answered with."""
    flow = await a_flow(api)
    deployment = (await a_deployment(api, work_pool_name="pool"))["id"]
    path = f"/deployments/{deployment}"
    run = (await sent(api, "POST", f"{path}/create_flow_run", 201, {"job_variables": KNOWN}))["id"]
    given = {"job_variables": variables}
    placed = {"flow_id": flow, "work_pool_name": "pool", **given}
    requests = {
        "create": ("POST", "/deployments/", {"name": "other", **placed}),
        "update": ("PATCH", path, given),
        "run": ("POST", f"{path}/create_flow_run", given),
        "placed run": ("POST", "/flow_runs/", placed),
        "change of a run": ("PATCH", f"/flow_runs/{run}", given),
    }
    return {
        name: (await api.request(method, path, json=body)).status_code
        for name, (method, path, body) in requests.items()
    }


ACCEPTED = {
    "create": 201,
    "update": 204,
    "run": 201,
    "placed run": 201,
    "change of a run": 204,
}


@pytest.mark.parametrize("agent", [USER_AGENT, TERRAFORM], ids=["client", "provider"])
async def test_a_client_of_ours_is_refused_everywhere(api: httpx.AsyncClient, agent: str) -> None:
    await a_pool(api, base_job_template=TEMPLATE)
    api.headers["user-agent"] = agent

    found = await statuses(api, UNKNOWN)

    assert found == dict.fromkeys(ACCEPTED, 422)


@pytest.mark.parametrize(
    ("agent", "variables"),
    [(PREFECT, UNKNOWN), (USER_AGENT, KNOWN)],
    ids=["stock client", "known variables"],
)
async def test_a_stock_client_is_let_pass_and_so_is_what_the_template_declares(
    api: httpx.AsyncClient, agent: str, variables: dict[str, Any]
) -> None:
    await a_pool(api, base_job_template=TEMPLATE)
    api.headers["user-agent"] = agent

    found = await statuses(api, variables)

    assert found == ACCEPTED


async def test_the_refusal_names_the_variable_the_nearest_and_the_known_ones(
    api: httpx.AsyncClient,
) -> None:
    await a_pool(api, base_job_template=TEMPLATE)
    body = {"name": "n", "flow_id": await a_flow(api), "work_pool_name": "pool"}
    variables = {**UNKNOWN, "zzz.a": 1}

    answer = await api.post(
        "/deployments/",
        json={**body, "job_variables": variables},
        headers={"user-agent": USER_AGENT},
    )

    first, second = answer.json()["exception_detail"]
    assert first["loc"] == ["body", "job_variables", "comand"]
    assert '"comand"' in first["msg"] and 'Did you mean "command"?' in first["msg"]
    assert "It declares: command, memory." in first["msg"]
    assert second["loc"][-1] == "zzz" and "Did you mean" not in second["msg"]
    assert first["msg"] in answer.json()["detail"]


async def test_one_bad_run_of_several_leaves_the_others_alone(api: httpx.AsyncClient) -> None:
    await a_pool(api, base_job_template=TEMPLATE)
    deployment = await a_deployment(api, work_pool_name="pool")

    answer = await api.post(
        f"/deployments/{deployment['id']}/create_flow_run/bulk",
        json=[{"job_variables": KNOWN}, {"job_variables": UNKNOWN}],
        headers={"user-agent": USER_AGENT},
    )

    assert [each["status"] for each in answer.json()["results"]] == ["CREATED", "FAILED"]


@pytest.mark.parametrize(
    ("strictness", "agent", "expected"),
    [("all", PREFECT, 422), ("none", USER_AGENT, 201)],
)
async def test_a_setting_decides_who_is_refused(
    api: httpx.AsyncClient, app: FastAPI, strictness: str, agent: str, expected: int
) -> None:
    app.state.settings.unknown_job_variables = Strictness(strictness)
    await a_pool(api, base_job_template=TEMPLATE)
    body = {"name": "n", "flow_id": await a_flow(api), "work_pool_name": "pool"}

    answer = await api.post(
        "/deployments/",
        json={**body, "job_variables": UNKNOWN},
        headers={"user-agent": agent},
    )

    assert answer.status_code == expected


@pytest.mark.parametrize(
    "variables",
    [
        {"properties": {"a": {}}, "additionalProperties": True},
        {"properties": {"a": {}}, "additionalProperties": {"type": "integer"}},
        {"properties": {"a": {}}, "patternProperties": {"^b": {}}},
        None,
    ],
    ids=["any", "of a kind", "by pattern", "no template yet"],
)
def test_a_template_may_leave_its_variables_open(variables: dict[str, Any] | None) -> None:
    template = {"variables": variables} if variables else {}

    assert unknown_variables(template, {"b": 1, "env.B": "2"}) == []


def test_a_literal_environment_of_the_template_takes_further_variables() -> None:
    variables = {"properties": {"image": {"type": "string"}}}
    configuration = {"image": "{{ image }}", "env": {"A": "1"}}

    open_to_env = {"job_configuration": configuration, "variables": variables}
    without = {"job_configuration": {"image": "{{ image }}"}, "variables": variables}

    assert unknown_variables(open_to_env, {"env.B": "2"}) == []
    assert unknown_variables(without, {"env.B": "2"}) == ["env"]
