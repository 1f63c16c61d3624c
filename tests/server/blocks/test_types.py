"""Block types and schemas over HTTP."""

from typing import Any
from uuid import uuid4

import httpx2 as httpx
import pytest

from tests.server.blocks.builders import FIELDS, a_block, a_type

ABSENT = "00000000-0000-4000-8000-000000000001"  # the id of nothing; constant, as it names a case

OWN = [
    "aws-credentials",
    "azure-container-instance-credentials",
    "docker-registry",
    "docker-registry-credentials",
    "gcp-credentials",
    "kubernetes-cluster-config",
    "modal-credentials",
    "secret",
]


async def slugs(api: httpx.AsyncClient, **body: Any) -> list[str]:
    answer = await api.post("/block_types/filter", json=body)
    assert answer.status_code == 200, answer.text
    return [block_type["slug"] for block_type in answer.json()]


async def test_the_server_has_types_for_secrets_and_credentials(api: httpx.AsyncClient) -> None:
    found = await slugs(api)
    schemas = (await api.post("/block_schemas/filter")).json()

    assert sorted(found) == OWN
    assert sorted(schema["block_type"]["slug"] for schema in schemas) == OWN
    secret_fields = {s["block_type"]["slug"]: s["fields"]["secret_fields"] for s in schemas}
    assert secret_fields["aws-credentials"] == ["aws_secret_access_key"]
    assert secret_fields["gcp-credentials"] == ["service_account_info.*"]


async def test_a_type_of_the_server_that_was_deleted_can_be_installed_again(
    api: httpx.AsyncClient,
) -> None:
    secret = (await api.get("/block_types/slug/secret")).json()
    await api.delete(f"/block_types/{secret['id']}")
    without = await slugs(api)

    answers = [await api.post("/block_types/install_system_block_types") for _ in range(2)]

    assert [(a.status_code, a.json()) for a in answers] == [(200, None)] * 2
    assert "secret" not in without
    assert sorted(await slugs(api)) == OWN


async def test_a_type_is_read_by_id_and_slug_and_changed(api: httpx.AsyncClient) -> None:
    ids = await a_type(api)
    path = f"/block_types/{ids['block_type_id']}"

    answer = await api.patch(path, json={"description": "d", "logo_url": "https://x/y.png"})

    by_id, by_slug = await api.get(path), await api.get("/block_types/slug/account")
    assert (answer.status_code, answer.content) == (204, b"")
    assert by_id.json() == by_slug.json()
    assert by_id.json()["description"] == "d"
    assert by_id.json()["is_protected"] is False


async def test_a_taken_slug_is_a_conflict_that_names_who_has_it(api: httpx.AsyncClient) -> None:
    ids = await a_type(api)

    answer = await api.post("/block_types/", json={"name": "other", "slug": "account"})

    assert answer.status_code == 409
    assert answer.json()["existing_id"] == ids["block_type_id"]


async def test_deleting_a_type_deletes_its_schemas_and_blocks(api: httpx.AsyncClient) -> None:
    ids = await a_type(api)
    await a_block(api, ids)

    first = await api.delete(f"/block_types/{ids['block_type_id']}")
    second = await api.delete(f"/block_types/{ids['block_type_id']}")

    assert (first.status_code, second.status_code) == (204, 404)
    assert (await api.get(f"/block_schemas/{ids['block_schema_id']}")).status_code == 404
    assert (await api.post("/block_documents/count")).json() == 0


async def test_the_same_fields_are_the_same_schema(api: httpx.AsyncClient) -> None:
    ids = await a_type(api)
    body = {"block_type_id": ids["block_type_id"], "fields": FIELDS}

    again = await api.post("/block_schemas/", json=body)
    newer = await api.post("/block_schemas/", json={**body, "version": "2.0"})

    checksum = again.json()["checksum"]
    path = f"/block_schemas/checksum/{checksum}"
    assert (again.status_code, again.json()["id"]) == (200, ids["block_schema_id"])
    assert newer.status_code == 201
    assert (await api.get(path)).json()["id"] == newer.json()["id"]
    by_version = await api.get(path, params={"version": "non-versioned"})
    assert by_version.json()["id"] == ids["block_schema_id"]
    assert by_version.json() == (await api.get(f"/block_schemas/{by_version.json()['id']}")).json()


async def test_the_same_fields_in_two_types_are_two_schemas(api: httpx.AsyncClient) -> None:
    one, two = await a_type(api, "one"), await a_type(api, "two")

    assert one["block_schema_id"] != two["block_schema_id"]


async def test_types_and_schemas_are_filtered(api: httpx.AsyncClient) -> None:
    ids = await a_type(api)
    body = {
        "block_type_id": ids["block_type_id"],
        "capabilities": ["write", "read"],
        "version": "3",
    }
    schema = (await api.post("/block_schemas/", json=body)).json()

    async def schemas(**criteria: Any) -> list[str]:
        answer = await api.post("/block_schemas/filter", json={"block_schemas": criteria})
        return [found["id"] for found in answer.json()]

    assert await slugs(api, block_types={"slug": {"any_": ["account", "none"]}}) == ["account"]
    assert await slugs(api, block_types={"name": {"like_": "ACC"}}) == ["account"]
    wants = {"block_capabilities": {"all_": ["read", "write"]}}
    assert await slugs(api, block_schemas=wants) == ["account"]
    assert await schemas(**wants) == await schemas(version={"any_": ["3"]}) == [schema["id"]]
    by_type = await schemas(block_type_id={"any_": [ids["block_type_id"]]})
    assert by_type == [schema["id"], ids["block_schema_id"]]
    assert (await api.get("/block_capabilities/")).json() == ["read", "write"]


@pytest.mark.parametrize(
    "path",
    [
        f"/block_types/{ABSENT}",
        "/block_types/slug/none",
        "/block_types/slug/none/block_documents",
        "/block_types/slug/aws-credentials/block_documents/name/none",
        f"/block_schemas/{ABSENT}",
        "/block_schemas/checksum/none",
        f"/block_documents/{ABSENT}",
    ],
)
async def test_what_does_not_exist_is_not_found(api: httpx.AsyncClient, path: str) -> None:
    assert (await api.get(path)).status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/block_types/", {"name": "a", "slug": "A b"}, 422),
        ("/block_types/", {"name": "a/b", "slug": "a"}, 422),
        ("/block_types/", {"name": "a", "slug": "a", "is_protected": True}, 422),
        ("/block_schemas/", {"block_type_id": str(uuid4())}, 404),
        ("/block_schemas/", {"fields": {}}, 422),
        ("/block_schemas/filter", {"block_schemas": {"bogus": 1}}, 422),
    ],
)
async def test_a_bad_body_is_refused(
    api: httpx.AsyncClient, path: str, body: Any, status: int
) -> None:
    assert (await api.post(path, json=body)).status_code == status


async def test_fields_that_are_no_schema_are_kept_and_harm_nobody(api: httpx.AsyncClient) -> None:
    odd = {"properties": [1], "secret_fields": {"a": 1}, "definitions": "x", "$ref": 7}
    ids = await a_type(api, fields=odd)

    block = await a_block(api, ids, data={"a": 1})

    assert block["data"] == {"a": "********"}
