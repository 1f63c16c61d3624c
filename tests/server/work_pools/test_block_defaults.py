"""Defaults of pools that refer to blocks: credentials, as push pools have them."""

from uuid import uuid4

import httpx2 as httpx
import pytest

from tests.server.blocks.builders import a_block, a_reference, a_type
from tests.server.work_pools.builders import a_template


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_a_default_may_refer_to_a_block_that_there_is(
    api: httpx.AsyncClient, method: str
) -> None:
    block = await a_block(api, await a_type(api))
    await api.post("/work_pools/", json={"name": "there", "type": "process"})
    path = "/work_pools/" if method == "POST" else "/work_pools/there"
    name = {"name": "new"} if method == "POST" else {}

    async def send(reference: object) -> int:
        template = a_template({"credentials": {"type": "object", "default": reference}})
        body = {**name, "base_job_template": template}
        return (await api.request(method, path, json=body)).status_code

    assert await send({"$ref": {"block_document_id": str(uuid4())}}) == 404
    assert await send({"$ref": {"block_document_id": "no id"}}) == 404
    assert await send(a_reference(block)) == (201 if method == "POST" else 204)
