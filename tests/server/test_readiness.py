"""What orchestrators are told about a server whose database keeps everybody waiting."""

from contextlib import AsyncExitStack

import httpx2 as httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from forebay_server.db.engine import SQLITE_READERS, Database
from forebay_server.health import readiness


async def test_readiness_is_told_at_once_while_every_connection_is_taken(
    api: httpx.AsyncClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await api.get("/ready")

    async with AsyncExitStack() as stack:
        for _ in range(SQLITE_READERS):
            taken = await stack.enter_async_context(database.read())
            await taken.scalar(text("SELECT 1"))
        soon = await api.get("/ready")
        monkeypatch.setattr(readiness, "TRUST_SECONDS", 0.0)
        late = await api.get("/ready")

    assert (first.status_code, soon.status_code, late.status_code) == (200, 200, 503)


async def test_an_error_of_the_database_does_not_repeat_what_it_was_given(
    database: Database,
) -> None:
    with pytest.raises(DBAPIError) as caught:
        async with database.read() as db:
            await db.connection.execute(text("SELECT :given FROM nowhere"), {"given": "s3cret"})

    assert "s3cret" not in str(caught.value)
