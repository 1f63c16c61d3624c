"""Blocks over HTTP: data, secrets, references."""

import base64
import os
import stat
from typing import Any
from uuid import uuid4

import httpx2 as httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import select, update

from forebay_server.app import create_app
from forebay_server.blocks.tables import block_documents
from forebay_server.db.engine import Database
from forebay_server.settings import ServerSettings
from tests.server.blocks.builders import a_block, a_reference, a_type, data_of

MASK = "********"
DATA = {"user": "u", "password": "hunter2", "extra": {"token": "t0ken", "port": 5432}}


async def stored(database: Database) -> str:
    """Everything that is stored about blocks, as text."""
    async with database.read() as db:
        return repr(await db.rows(select(block_documents)))


# -------------------------------------------------------------------------------------- secrets


async def test_secrets_are_masked_unless_they_are_asked_for(api: httpx.AsyncClient) -> None:
    block = await a_block(api, await a_type(api), data=DATA)
    path = "/block_types/slug/account/block_documents"

    masked = {"user": "u", "password": MASK, "extra": {"token": MASK, "port": MASK}}
    listed = await api.post("/block_documents/filter", json={})
    told = await api.post("/block_documents/filter", json={"include_secrets": True})

    assert block["data"] == masked
    assert await data_of(api, block, include_secrets=False) == masked
    assert (await api.get(f"{path}/name/b")).json()["data"] == masked
    assert [found["data"] for found in (await api.get(path)).json()] == [masked]
    assert [found["data"] for found in listed.json()] == [masked]
    assert await data_of(api, block) == DATA
    in_full = await api.get(f"{path}/name/b", params={"include_secrets": True})
    assert in_full.json()["data"] == DATA
    assert [found["data"] for found in told.json()] == [DATA]


async def test_the_database_holds_no_secret_in_clear(
    api: httpx.AsyncClient, database: Database
) -> None:
    block = await a_block(api, await a_type(api), data=DATA)
    first = await stored(database)
    await api.patch(f"/block_documents/{block['id']}", json={"data": {"password": "n3w"}})

    second = await stored(database)

    for text in (first, second):
        assert not [secret for secret in ("hunter2", "t0ken", "5432", "n3w") if secret in text]
        assert "'user': 'u'" in text


async def test_the_key_is_made_when_it_is_first_needed_and_read_by_nobody_else(
    api: httpx.AsyncClient, settings: ServerSettings
) -> None:
    path = settings.home / "secret.key"
    ids = await a_type(api)
    await a_block(api, ids, "open", {"user": "u"})
    before = path.exists()

    await a_block(api, ids, "closed", DATA)

    assert not before
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert len(base64.b64decode(path.read_bytes())) == 32


async def _answer_of(app: FastAPI, path: str) -> httpx.Response:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost/api") as client,
    ):
        return await client.get(path)


async def test_with_another_key_secrets_are_refused_and_the_rest_is_read(
    api: httpx.AsyncClient, settings: ServerSettings
) -> None:
    block = await a_block(api, await a_type(api), data=DATA)
    key = base64.b64encode(bytes(32)).decode()
    other = settings.model_copy(update={"secret_key": SecretStr(key)})
    path = f"/block_documents/{block['id']}"

    masked = await _answer_of(create_app(other), path)
    in_full = await _answer_of(create_app(other), f"{path}?include_secrets=true")

    assert masked.status_code == 200, masked.text
    assert masked.json()["data"]["user"] == "u"
    assert in_full.status_code == 409
    assert "FOREBAY_SECRET_KEY" in in_full.json()["detail"]


async def test_a_secret_moved_to_another_block_is_noticed(
    api: httpx.AsyncClient, database: Database
) -> None:
    ids = await a_type(api)
    one = await a_block(api, ids, "one", {"password": "p1"})
    two = await a_block(api, ids, "two", {"password": "p2"})
    async with database.write() as db:
        row = await db.row(select(block_documents).where(block_documents.c.name == "one"))
        assert row is not None
        moved = {"secrets": row.secrets, "data_key": row.data_key}
        is_two = block_documents.c.name == "two"
        await db.execute(update(block_documents).where(is_two).values(moved))

    answer = await api.get(f"/block_documents/{two['id']}", params={"include_secrets": True})

    assert answer.status_code == 409
    assert await data_of(api, one) == {"password": "p1"}


@pytest.mark.parametrize("key", ["short", base64.b64encode(bytes(31)).decode(), "ä" * 44])
def test_a_given_key_that_is_none_is_refused_without_telling_it(key: str) -> None:
    with pytest.raises(ValueError, match="openssl rand") as caught:
        ServerSettings(secret_key=key)  # type: ignore[arg-type]

    assert key not in str(caught.value)


# --------------------------------------------------------------------------------------- changes


async def test_a_change_is_merged_and_keeps_the_secrets_that_it_does_not_name(
    api: httpx.AsyncClient,
) -> None:
    block = await a_block(api, await a_type(api), data=DATA)

    answer = await api.patch(f"/block_documents/{block['id']}", json={"data": {"user": "v"}})

    assert (answer.status_code, answer.content) == (204, b"")
    assert await data_of(api, block) == {**DATA, "user": "v"}


async def test_what_was_read_can_be_sent_back(api: httpx.AsyncClient) -> None:
    block = await a_block(api, await a_type(api), data=DATA)
    path = f"/block_documents/{block['id']}"
    read = await data_of(api, block, include_secrets=False)
    read["extra"]["port"] = 1

    for is_merged in (True, False):
        body = {"data": read, "merge_existing_data": is_merged}
        assert (await api.patch(path, json=body)).status_code == 204

    assert await data_of(api, block) == {**DATA, "extra": {"token": "t0ken", "port": 1}}


async def test_a_change_that_is_not_merged_replaces(api: httpx.AsyncClient) -> None:
    block = await a_block(api, await a_type(api), data=DATA)
    body = {"data": {"password": "new"}, "merge_existing_data": False}

    await api.patch(f"/block_documents/{block['id']}", json=body)

    assert await data_of(api, block) == {"password": "new"}
    assert await data_of(api, block, include_secrets=False) == {"password": MASK}


async def test_a_newer_schema_decides_what_is_secret(
    api: httpx.AsyncClient, database: Database
) -> None:
    ids = await a_type(api)
    block = await a_block(api, ids, data={"user": "u", "password": "p"})
    fields = {"title": "newer", "secret_fields": ["user"]}
    body = {"block_type_id": ids["block_type_id"], "fields": fields}
    newer = (await api.post("/block_schemas/", json=body)).json()["id"]
    path = f"/block_documents/{block['id']}"

    other = await a_type(api, "other")
    wrong = await api.patch(path, json={"block_schema_id": other["block_schema_id"]})
    right = await api.patch(path, json={"block_schema_id": newer})

    assert (wrong.status_code, right.status_code) == (422, 204)
    assert await data_of(api, block, include_secrets=False) == {"user": MASK, "password": "p"}
    assert await data_of(api, block) == {"user": "u", "password": "p"}


# ------------------------------------------------------------------------------------ references


async def test_a_reference_is_answered_with_the_data_of_the_block(
    api: httpx.AsyncClient,
) -> None:
    ids = await a_type(api)
    inner = await a_block(api, ids, "inner", DATA)
    middle = await a_block(api, ids, "middle", {"extra": a_reference(inner)})
    outer = await a_block(api, ids, "outer", {"user": "o", "password": a_reference(middle)})

    masked = outer["data"]
    described = outer["block_document_references"]["password"]["block_document"]

    assert masked == {
        "user": "o",
        "password": {
            "extra": {"user": "u", "password": MASK, "extra": {"token": MASK, "port": MASK}}
        },
    }
    assert await data_of(api, outer) == {"user": "o", "password": {"extra": DATA}}
    assert (described["id"], described["name"]) == (middle["id"], "middle")
    nested = described["block_document_references"]["extra"]["block_document"]
    assert nested["id"] == inner["id"]
    assert nested["block_type"]["slug"] == "account"


async def test_a_reference_to_nothing_is_refused(api: httpx.AsyncClient) -> None:
    ids = await a_type(api)
    missing = str(uuid4())
    body = {**ids, "name": "b", "data": {"user": {"$ref": {"block_document_id": missing}}}}

    answer = await api.post("/block_documents/", json=body)

    assert answer.status_code == 404
    assert missing in answer.json()["detail"]


async def test_blocks_cannot_refer_to_each_other_in_a_ring(api: httpx.AsyncClient) -> None:
    ids = await a_type(api)
    one = await a_block(api, ids, "one")
    two = await a_block(api, ids, "two", {"user": a_reference(one)})

    itself = await api.patch(
        f"/block_documents/{one['id']}", json={"data": {"user": a_reference(one)}}
    )
    ring = await api.patch(
        f"/block_documents/{one['id']}", json={"data": {"user": a_reference(two)}}
    )

    assert (itself.status_code, ring.status_code) == (422, 422)
    assert await data_of(api, two) == {"user": {}}


async def test_what_referred_to_a_deleted_block_has_null_instead(api: httpx.AsyncClient) -> None:
    ids = await a_type(api)
    inner = await a_block(api, ids, "inner")
    outer = await a_block(api, ids, "outer", {"user": a_reference(inner)})

    answers = [await api.delete(f"/block_documents/{inner['id']}") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [204, 404]
    assert await data_of(api, outer) == {"user": None}
    change = {"data": {"password": "p"}}
    assert (await api.patch(f"/block_documents/{outer['id']}", json=change)).status_code == 204


# --------------------------------------------------------------------------------------- finding


async def test_a_name_is_unique_in_its_type(api: httpx.AsyncClient) -> None:
    ids = await a_type(api)
    block = await a_block(api, ids)
    await a_block(api, await a_type(api, "other"))

    answer = await api.post("/block_documents/", json={**ids, "name": "b"})

    assert answer.status_code == 409
    assert answer.json()["existing_id"] == block["id"]


async def test_anonymous_blocks_need_no_name_and_are_listed_only_when_asked_for(
    api: httpx.AsyncClient,
) -> None:
    ids = await a_type(api)
    await a_block(api, ids, "named")
    for _ in range(2):
        await a_block(api, ids, None, is_anonymous=True)

    async def count(criteria: Any) -> int:
        body = {"block_documents": criteria}
        found: int = (await api.post("/block_documents/count", json=body)).json()
        assert len((await api.post("/block_documents/filter", json=body)).json()) == found
        return found

    nameless = await api.post("/block_documents/", json=ids)
    assert nameless.status_code == 422
    assert await count(None) == await count({}) == 1
    assert await count({"is_anonymous": {"eq_": True}}) == 2
    assert await count({"is_anonymous": None}) == 3


async def test_blocks_are_filtered_ordered_and_cut_into_pages(api: httpx.AsyncClient) -> None:
    one, two = await a_type(api, "one"), await a_type(api, "two")
    for ids, name in ((two, "a"), (one, "c"), (one, "b")):
        await a_block(api, ids, name)

    async def names(**body: Any) -> list[str]:
        found = (await api.post("/block_documents/filter", json=body)).json()
        return [block["name"] for block in found]

    assert await names() == ["a", "b", "c"]
    assert await names(sort="NAME_DESC", limit=2, offset=1) == ["b", "a"]
    assert await names(sort="BLOCK_TYPE_AND_NAME_ASC") == ["b", "c", "a"]
    assert await names(block_types={"slug": {"any_": ["one"]}}) == ["b", "c"]
    by_type = {"block_type_id": {"any_": [two["block_type_id"]]}}
    assert await names(block_documents=by_type) == ["a"]
    assert await names(block_documents={"name": {"like_": "B"}}) == ["b"]
    by_schema = {"id": {"any_": [one["block_schema_id"]]}}
    assert await names(block_schemas=by_schema) == ["b", "c"]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"name": "a/b"}, 422),
        ({"data": {"a": "\x00"}}, 422),
        ({"data": []}, 422),
        ({"bogus": 1}, 422),
        ({"block_schema_id": str(uuid4())}, 404),
        ({"block_type_id": str(uuid4())}, 422),
    ],
)
async def test_a_bad_body_is_refused(
    api: httpx.AsyncClient, change: dict[str, Any], status: int
) -> None:
    body = {**await a_type(api), "name": "b", **change}

    answer = await api.post("/block_documents/", json=body)

    assert answer.status_code == status, answer.text
