"""The table of claims."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, text
from sqlmodel import Field

from forebay_server.db.columns import Row, UtcDateTime, table

_IS_LIVE = text("ended_at IS NULL")


def _live(name: str, *columns: str, unique: bool = False) -> Index:
    return Index(name, *columns, unique=unique, sqlite_where=_IS_LIVE, postgresql_where=_IS_LIVE)


class ClaimRow(Row, table=True):
    """Who holds a run; live while `ended_at` is null, and then it occupies a slot.

    Slots are counted from live claims, never kept as a number, so none can leak. The unique
    index makes a second live claim of a run impossible whatever the code does.
    """

    __tablename__ = "claim"
    __table_args__ = (
        _live("ix_claim_live_run", "flow_run_id", unique=True),
        # Counts a pool's claims, and finds those that a worker's heartbeat renews.
        _live("ix_claim_live_pool", "work_pool_id", "worker_name"),
        _live("ix_claim_live_queue", "work_queue_id"),
        _live("ix_claim_live_expiry", "expires_at"),
        Index("ix_claim_run", "flow_run_id"),
    )

    flow_run_id: UUID = Field(foreign_key="flow_run.id", ondelete="CASCADE")
    work_pool_id: UUID
    work_queue_id: UUID
    epoch: int
    started_epoch: int | None = None  # of the claim that this one was adopted from, at first
    holder: str = Field(max_length=300)  # who proposed: its token, and its worker where known
    worker_name: str | None = Field(default=None, max_length=255)  # whose heartbeats renew it
    lease_seconds: float
    expires_at: datetime = Field(sa_type=UtcDateTime)
    # Whether an admin took it by force beyond the limit of its pool or queue.
    is_forced: bool = Field(default=False, sa_column_kwargs={"server_default": text("false")})
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    # How often the lease began anew by itself since its worker was last heard of.
    extensions: int = Field(default=0, sa_column_kwargs={"server_default": text("0")})


class SweepRow(Row, table=True):
    """When any process last looked for expired claims, `at`; there is one row at most."""

    __tablename__ = "sweep"

    name: str = Field(max_length=20, unique=True)
    at: datetime = Field(sa_type=UtcDateTime)


claims = table(ClaimRow)
sweeps = table(SweepRow)
