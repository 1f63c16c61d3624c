"""Block types, schemas and documents, to test with."""

from typing import Any

import httpx2 as httpx

FIELDS: dict[str, Any] = {
    "title": "Account",
    "type": "object",
    "properties": {"user": {"type": "string"}, "password": {"type": "string"}},
    "secret_fields": ["password", "extra.*"],
}


async def a_type(
    api: httpx.AsyncClient, slug: str = "account", fields: dict[str, Any] | None = None
) -> dict[str, str]:
    """A type and a schema of it: the ids that a block names."""
    made = await api.post("/block_types/", json={"name": slug.title(), "slug": slug})
    assert made.status_code == 201, made.text
    type_id = made.json()["id"]
    body = {"block_type_id": type_id, "fields": fields or FIELDS}
    schema = await api.post("/block_schemas/", json=body)
    assert schema.status_code == 201, schema.text
    return {"block_type_id": type_id, "block_schema_id": schema.json()["id"]}


async def a_block(
    api: httpx.AsyncClient,
    ids: dict[str, str],
    name: str | None = "b",
    data: dict[str, Any] | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """A block of that type and schema."""
    body = {**ids, "name": name, "data": data or {}, **fields}
    answer = await api.post("/block_documents/", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def data_of(
    api: httpx.AsyncClient, block: dict[str, Any], *, include_secrets: bool = True
) -> dict[str, Any]:
    """The data of a block, read anew."""
    parameters = {"include_secrets": include_secrets}
    answer = await api.get(f"/block_documents/{block['id']}", params=parameters)
    assert answer.status_code == 200, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


def a_reference(block: dict[str, Any]) -> dict[str, Any]:
    """A value that means another block."""
    return {"$ref": {"block_document_id": block["id"]}}
