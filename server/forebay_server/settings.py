"""Settings of the server process, from `FOREBAY_…` and, for the same things, `PREFECT_…`."""

import socket
from enum import StrEnum
from pathlib import Path

from pydantic import AliasChoices, Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from sqlalchemy.engine import make_url

from forebay.settings import home
from forebay_server.blocks.keys import parse_key


class Strictness(StrEnum):
    """Whose mistakes are refused that Prefect's server lets pass."""

    FOREBAY = "forebay"  # those of Forebay's own clients
    ALL = "all"
    NONE = "none"


class ServerSettings(BaseSettings):
    """Built once in the entry point and handed down."""

    model_config = SettingsConfigDict(
        env_prefix="FOREBAY_", populate_by_name=True, hide_input_in_errors=True
    )

    home: Path = Field(default_factory=home, description="Folder of the database and profiles.")
    database_url: str | None = Field(
        default=None,
        validation_alias=AliasChoices(
            "FOREBAY_DATABASE_URL",
            "PREFECT_SERVER_DATABASE_CONNECTION_URL",
            "PREFECT_API_DATABASE_CONNECTION_URL",
        ),
        description="`sqlite+aiosqlite:///FILE` or `postgresql+asyncpg://…`; default: a file in "
        "the home folder.",
    )
    api_auth_string: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices(
            "FOREBAY_SERVER_API_AUTH_STRING", "PREFECT_SERVER_API_AUTH_STRING"
        ),
        description="`user:password` accepted as Basic authentication beside tokens.",
    )
    secret_key: SecretStr | None = Field(
        default=None,
        description="32 random bytes in base64 that encrypt the secrets of blocks; default: the "
        "file `secret.key` in the home folder, made when it is first needed.",
    )
    require_token: bool = Field(default=True, description="False lets anybody in (loopback only).")
    run_services: bool = Field(default=True, description="Whether background loops run.")
    allowed_hosts: str = Field(
        default="",
        description="Names under which clients address the server, separated by commas, beside "
        "IP addresses, `localhost` and this machine's name; `*` allows any.",
    )
    sqlite_synchronous: str = Field(
        default="FULL",
        pattern="^(FULL|NORMAL)$",
        description="NORMAL may lose the last writes on power loss.",
    )
    sweep_seconds: float = Field(
        default=5.0,
        ge=0.1,
        le=5.0,
        description="How often each process looks for runs whose workers are lost. That much "
        "later than its lease ends, at most, such a run moves on.",
    )
    events_kept_days: float = Field(
        default=7, ge=0, le=3650, description="How long events of clients are kept."
    )
    events_kept_most: int = Field(
        default=1_000_000, ge=0, le=2**31 - 1, description="How many of them are kept at most."
    )
    runs_kept_days: float | None = Field(
        default=None,
        ge=1 / 24,
        le=36500,
        description="How long runs that ended are kept, with their states, task runs, lines and "
        "artifacts; default: for ever.",
    )
    database_pooler_url: str | None = Field(
        default=None,
        description="The same PostgreSQL database through a pooler that lends a connection to one "
        "transaction at a time, such as PgBouncer; notices and migrations go to the database "
        "itself.",
    )
    database_connections: int = Field(
        default=10,
        ge=1,
        le=1000,
        description="Connections of each process to PostgreSQL at most, beside the one that "
        "carries notices.",
    )
    unknown_job_variables: Strictness = Field(
        default=Strictness.FOREBAY,
        description="Whose job variables are refused when the pool's template does not declare "
        "them: `forebay` (its own clients'; Prefect's are let pass, as Prefect does), `all` or "
        "`none`.",
    )
    strict_run_keys: Strictness = Field(
        default=Strictness.FOREBAY,
        description="Whose request for a run is refused when its `idempotency_key` was given to "
        "another run, asked for in other words: `forebay` (its own clients'; Prefect's get that "
        "run, as from Prefect), `all` or `none`.",
    )

    @field_validator("secret_key")
    @classmethod
    def _is_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            parse_key(value.get_secret_value())
        return value

    @property
    def own_hosts(self) -> frozenset[str]:
        """Names that the server answers to, in lower case; this machine's among them."""
        names = [*self.allowed_hosts.split(","), socket.gethostname(), "host.docker.internal"]
        return frozenset(name.strip().lower() for name in names if name.strip())

    @property
    def effective_database_url(self) -> str:
        """The URL with an async driver; the default is a file in the home folder."""
        return _with_driver(self.database_url or f"sqlite+aiosqlite:///{self.home / 'forebay.db'}")

    @property
    def effective_pooler_url(self) -> str | None:
        """The pooler's URL with an async driver, if there is one."""
        return None if self.database_pooler_url is None else _with_driver(self.database_pooler_url)

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a SQLite file."""
        return make_url(self.effective_database_url).get_backend_name() == "sqlite"

    def check_database_url(self) -> None:
        """Raise SQLAlchemy's `ArgumentError` or `ValueError` for a URL that no engine can use."""
        backend = make_url(self.effective_database_url).get_backend_name()
        if backend not in ("sqlite", "postgresql"):
            raise ValueError(f"Forebay runs on sqlite and postgresql, not on {backend}")
        pooler_url = self.effective_pooler_url
        if pooler_url is None:
            return
        if backend == "sqlite" or make_url(pooler_url).get_backend_name() != "postgresql":
            raise ValueError("FOREBAY_DATABASE_POOLER_URL is for a PostgreSQL database")


def _with_driver(url: str) -> str:
    for plain, driver in (
        ("sqlite:", "sqlite+aiosqlite:"),
        ("postgres:", "postgresql+asyncpg:"),
        ("postgresql:", "postgresql+asyncpg:"),
    ):
        if url.startswith(plain):
            return driver + url.removeprefix(plain)
    return url
