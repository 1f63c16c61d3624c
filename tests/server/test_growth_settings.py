"""Settings for databases that grow and servers that are many."""

import asyncio
from pathlib import Path

import pytest

from forebay_server.app import create_app
from forebay_server.settings import ServerSettings

POSTGRES = "postgresql://somewhere/forebay"


def test_a_poolers_address_is_read_as_the_databases_is() -> None:
    settings = ServerSettings(database_url=POSTGRES, database_pooler_url=POSTGRES)

    settings.check_database_url()

    assert settings.effective_pooler_url == "postgresql+asyncpg://somewhere/forebay"


@pytest.mark.parametrize(
    ("database", "pooler"),
    [("sqlite:///forebay.db", POSTGRES), (POSTGRES, "sqlite:///forebay.db")],
)
def test_a_pooler_is_for_postgresql_only(database: str, pooler: str) -> None:
    settings = ServerSettings(database_url=database, database_pooler_url=pooler)

    with pytest.raises(ValueError, match="FOREBAY_DATABASE_POOLER_URL"):
        settings.check_database_url()


@pytest.mark.parametrize(("days", "is_there"), [(None, False), (30.0, True)])
async def test_old_runs_are_deleted_where_a_setting_says_for_how_long_they_are_kept(
    migrated_sqlite: Path, days: float | None, is_there: bool
) -> None:
    app = create_app(
        ServerSettings(
            home=migrated_sqlite.parent,
            database_url=f"sqlite+aiosqlite:///{migrated_sqlite}",
            require_token=False,
            runs_kept_days=days,
        )
    )

    async with app.router.lifespan_context(app):
        running = {task.get_name() for task in asyncio.all_tasks()}

    assert ("old runs" in running) is is_there
    assert "retention" in running
