"""Answers to what stock clients ask in passing about features that Forebay does not have.

Without them a command would stop or warn; each answer means "there is none".
"""

from fastapi import Response

from forebay.wire.base import Lenient
from forebay_server.errors import Invalid
from forebay_server.protocol import api_router, page_limit, page_offset

router = api_router("Compatibility")


@router.get("/csrf-token", status_code=422)
async def read_csrf_token(client: str) -> None:
    """Tell clients to stop asking: no credential here is one that a browser sends by itself."""
    # Clients look for these very words (Prefect 3.8.4: client/base.py).
    raise Invalid("CSRF protection is disabled.")


@router.get("/admin/storage")
async def read_default_storage() -> dict[str, None]:
    """Tell that no storage block for results is set."""
    return {"default_result_storage_block_id": None}


class AutomationQuery(Lenient):
    """Which automations; as there are none, criteria are not looked at."""

    limit: int | None = None
    offset: int | None = None


@router.post("/automations/filter")
async def filter_automations(body: AutomationQuery | None = None) -> list[None]:
    """List automations: none."""
    query = body or AutomationQuery()
    page_limit(query.limit)
    page_offset(query.offset)
    return []


@router.post("/automations/count")
async def count_automations() -> int:
    """Count automations: none."""
    return 0


@router.get("/automations/related-to/{resource}")
async def read_related_automations(resource: str) -> list[None]:
    """List the automations about a resource: none."""
    return []


@router.delete("/automations/owned-by/{resource}", status_code=202, response_class=Response)
async def delete_owned_automations(resource: str) -> Response:
    """Delete the automations that belong to a resource: none."""
    return Response(status_code=202)
