"""Limits and requests for slots, to test with."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2 as httpx
from sqlalchemy import update

from forebay_server.concurrency_limits.tables import concurrency_leases, concurrency_limits
from forebay_server.db.engine import Database

V2 = "/v2/concurrency_limits"


async def a_limit(
    api: httpx.AsyncClient, name: str = "l", limit: int = 1, **fields: Any
) -> dict[str, Any]:
    """Make a limit."""
    answer = await api.post(f"{V2}/", json={"name": name, "limit": limit, **fields})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def take(api: httpx.AsyncClient, *names: str, slots: int = 1, **fields: Any) -> int:
    """The status of a request for slots without a lease."""
    body = {"names": list(names), "slots": slots, **fields}
    return (await api.post(f"{V2}/increment", json=body)).status_code


async def give_back(api: httpx.AsyncClient, *names: str, slots: int = 1) -> int:
    """The status of giving back slots that no lease has."""
    body = {"names": list(names), "slots": slots}
    return (await api.post(f"{V2}/decrement", json=body)).status_code


async def lease(
    api: httpx.AsyncClient, *names: str, slots: int = 1, **fields: Any
) -> httpx.Response:
    """The answer to a request for slots with a lease."""
    body = {"names": list(names), "slots": slots, **fields}
    return await api.post(f"{V2}/increment-with-lease", json=body)


async def a_lease(api: httpx.AsyncClient, *names: str, slots: int = 1, **fields: Any) -> UUID:
    """Take slots with a lease; its id."""
    answer = await lease(api, *names, slots=slots, **fields)
    assert answer.status_code == 200, answer.text
    return UUID(answer.json()["lease_id"])


async def renew(api: httpx.AsyncClient, lease_id: UUID) -> int:
    """The status of a renewal."""
    return (await api.post(f"{V2}/leases/{lease_id}/renew")).status_code


async def end(api: httpx.AsyncClient, lease_id: UUID) -> int:
    """The status of ending a lease."""
    body = {"lease_id": str(lease_id)}
    return (await api.post(f"{V2}/decrement-with-lease", json=body)).status_code


async def active_slots(api: httpx.AsyncClient, name: str = "l") -> int:
    """How many slots of a limit are taken."""
    return int((await api.get(f"{V2}/{name}")).json()["active_slots"])


async def let_time_pass(database: Database, seconds: float) -> None:
    """Make everything that lies ahead lie that much nearer."""
    step = timedelta(seconds=seconds)
    async with database.write() as db:
        for table, column in (
            (concurrency_leases, concurrency_leases.c.expires_at),
            (concurrency_limits, concurrency_limits.c.drained_at),
        ):
            for row in await db.rows(table.select().where(column.is_not(None))):
                value = {column.name: getattr(row, column.name) - step}
                await db.execute(update(table).where(table.c.id == row.id).values(value))
