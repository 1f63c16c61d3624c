"""A fixture to import where every test that uses a server is to run on both databases."""

import shutil
from pathlib import Path

import pytest

from forebay_server.settings import ServerSettings

POSTGRESQL = pytest.param("postgresql", marks=pytest.mark.postgres)
# Beside a test of what SQLite does not have, or where nobody could see it.
ON_POSTGRESQL = pytest.mark.parametrize("settings", [POSTGRESQL], indirect=True)


@pytest.fixture(params=["sqlite", POSTGRESQL])
def settings(
    request: pytest.FixtureRequest, migrated_sqlite: Path, tmp_path: Path
) -> ServerSettings:
    """Settings of a quiet server without authentication, on one database and the other."""
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    else:
        shutil.copy(migrated_sqlite, tmp_path / "forebay.db")
        url = f"sqlite+aiosqlite:///{tmp_path / 'forebay.db'}"
    return ServerSettings(home=tmp_path, database_url=url, require_token=False, run_services=False)
