"""What happens before the server listens: one process per file, schema, first token."""

import fcntl
import os
import tempfile
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from sqlalchemy.engine import make_url

from forebay.wire.tokens import Role, TokenCreate
from forebay_server.access import queries as tokens
from forebay_server.access.authentication import hash_token, new_token
from forebay_server.blocks import builtin
from forebay_server.db.engine import Database
from forebay_server.db.migrate import exclude_others, upgrade
from forebay_server.identity import queries as identity
from forebay_server.settings import ServerSettings

FIRST_TOKEN = "admin"
PROFILE = "local"  # the profile that the first start writes


class AlreadyServed(Exception):
    """Another process serves the same SQLite file."""


def lock_sqlite(settings: ServerSettings) -> IO[str] | None:
    """Hold the file's lock until the returned handle is closed; None for other databases.

    Raises `AlreadyServed`: with SQLite the server is one process, since it orders the writers.
    """
    url = make_url(settings.effective_database_url)
    if url.get_backend_name() != "sqlite" or not url.database:
        return None
    path = Path(url.database)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = path.with_name(path.name + ".lock").open("w")  # kept open by the caller
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        raise AlreadyServed(
            f"{path} is served by another process. SQLite means one server process; use "
            "PostgreSQL (--database-url) for more, or stop the other one."
        ) from None
    return handle


@dataclass(frozen=True)
class LocalToken:
    """The token that clients on this machine use; `is_new` when it was made at this start."""

    text: str = field(repr=False)
    is_new: bool


async def prepare(settings: ServerSettings) -> LocalToken | None:
    """Migrate the database; make the server's block types and, if there is none, the admin token.

    Returns the token for the local profile: the new one, or the profile's own when the database
    knows it (the address may have changed since). A token is stored only as a hash, so any
    other cannot be told.
    """
    database = Database(
        settings.effective_database_url,
        synchronous=settings.sqlite_synchronous,
        may_take_long=True,
    )
    try:
        await upgrade(database.engine)
        async with database.write() as db:
            await exclude_others(db.connection)
            await builtin.register(db)
            await identity.ensure(db)
            if not settings.require_token:
                return None
            if not await tokens.has_any(db):
                token = new_token()
                first = TokenCreate(name=FIRST_TOKEN, role=Role.ADMIN)
                await tokens.create(db, first, hash_token(token))
                return LocalToken(token, is_new=True)
            kept = profile_token(settings.home)
            if kept and await tokens.read_live(db, hash_token(kept)) is not None:
                return LocalToken(kept, is_new=False)
            return None
    finally:
        await database.close()


def profile_token(home: Path) -> str | None:
    """The token in the local profile, if there is one."""
    try:
        profiles = tomllib.loads((home / "profiles.toml").read_text("utf-8"))["profiles"]
        return str(profiles[PROFILE]["FOREBAY_API_KEY"])
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError):
        return None


def write_profile(home: Path, api_url: str, token: str) -> Path:
    """Write address and token to the profiles file (0600), which clients here read.

    The file is replaced whole, so a reader never sees half of it. Other profiles are kept.
    """
    path = home / "profiles.toml"
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept = _other_profiles(path.read_text("utf-8")) if path.exists() else ""
    text = (
        f'active = "{PROFILE}"\n\n[profiles.{PROFILE}]\n'
        f'FOREBAY_API_URL = "{api_url}"\nFOREBAY_API_KEY = "{token}"\n{kept}'
    )
    descriptor, temporary = tempfile.mkstemp(dir=home)  # made with mode 0600
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(temporary, path)
    return path


def _other_profiles(text: str) -> str:
    """The lines of every table but this profile's own."""
    kept: list[str] = []
    is_kept = False
    for line in text.splitlines():
        if line.strip().startswith("["):
            is_kept = line.strip() != f"[profiles.{PROFILE}]"
        if is_kept:
            kept.append(line)
    return "\n" + "\n".join(kept) + "\n" if kept else ""
