"""The registry of pool types, and what else stock clients ask in passing."""

import subprocess
import sys

import httpx2 as httpx

from forebay.pool_types import default_template, pool_types
from forebay.templates import job_configuration, undeclared


def test_there_are_fourteen_types_whose_templates_declare_what_they_use() -> None:
    known = pool_types()

    assert len(known) == 14
    assert [undeclared(t.default_template) for t in known.values()] == [[]] * 14


def test_every_variable_is_used_and_described() -> None:
    for known in pool_types().values():
        configuration = str(known.default_template["job_configuration"])
        for name, schema in known.default_template["variables"]["properties"].items():
            assert f"{{{{ {name} }}}}" in configuration, (known.type, name)
            assert schema["title"], (known.type, name)
            assert schema["description"].endswith("."), (known.type, name)


def test_union_has_what_workers_add_and_keeps_the_bundled_defaults() -> None:
    ecs = default_template("ecs")["variables"]["properties"]

    assert ecs["prefect_api_key_secret_arn"]["default"] is None
    assert (ecs["launch_type"]["default"], ecs["task_start_timeout_seconds"]["default"]) == (
        "FARGATE",
        300,
    )


def test_default_template_is_the_callers_own() -> None:
    template = default_template("process")
    template["variables"]["properties"].clear()

    assert default_template("process")["variables"]["properties"]
    assert default_template("unheard-of") == {}


def test_process_template_fills_from_job_variables() -> None:
    filled = job_configuration(default_template("process"), {"command": "echo", "env": {"A": "1"}})

    assert filled == {"command": "echo", "env": {"A": "1"}, "stream_output": True}


def test_registry_is_read_when_it_is_asked_for() -> None:
    code = "import sys, forebay.pool_types as p; sys.exit(p.pool_types.cache_info().currsize)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_view_lists_types_by_the_package_of_their_worker(api: httpx.AsyncClient) -> None:
    view = (await api.get("/collections/views/aggregate-worker-metadata")).json()

    assert set(view["prefect-docker"]) == {"docker"}
    docker = view["prefect-docker"]["docker"]
    assert docker["default_base_job_configuration"] == default_template("docker")
    assert docker["type"] == "docker"


async def test_unknown_view_answers_404(api: httpx.AsyncClient) -> None:
    assert (await api.get("/collections/views/nope")).status_code == 404


async def test_clients_are_told_that_there_is_no_csrf_protection(api: httpx.AsyncClient) -> None:
    answer = await api.get("/csrf-token", params={"client": "c"})

    assert answer.status_code == 422
    assert "CSRF protection is disabled." in answer.json()["detail"]


async def test_there_are_no_automations_and_no_default_storage(api: httpx.AsyncClient) -> None:
    related = await api.get("/automations/related-to/prefect.deployment.x")
    owned = await api.delete("/automations/owned-by/prefect.deployment.x")
    storage = await api.get("/admin/storage")

    assert (related.status_code, related.json()) == (200, [])
    assert (owned.status_code, owned.content) == (202, b"")
    assert storage.json() == {"default_result_storage_block_id": None}
