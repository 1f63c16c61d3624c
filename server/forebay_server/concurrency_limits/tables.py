"""The tables of concurrency limits, of leases, and of the slots that are taken."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint
from sqlmodel import Field

from forebay_server.db.columns import Row, UtcDateTime, table


class ConcurrencyLimitRow(Row, table=True):
    """A limit. What is taken is counted from slots, but where slots decay.

    Slots that decay leave by time alone, so what is taken follows from the time at which the
    last of them will have left: `drained_at`. Neither is a counter that could leak.
    """

    __tablename__ = "concurrency_limit"

    name: str = Field(max_length=255, unique=True)
    limit: int
    active: bool = True
    slot_decay_per_second: float = 0.0
    drained_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    avg_slot_occupancy_seconds: float = 2.0  # how long slots were held lately


class ConcurrencyLeaseRow(Row, table=True):
    """A promise to come back: its slots are free once it has run out, swept or not.

    `flow_run_id` is set on what a run holds of its deployment's limit: while a claim of that run
    lives, the lease does too, since the worker answers for it.
    """

    __tablename__ = "concurrency_lease"

    expires_at: datetime = Field(sa_type=UtcDateTime, index=True)
    flow_run_id: UUID | None = Field(
        default=None, foreign_key="flow_run.id", ondelete="CASCADE", index=True
    )


class ConcurrencySlotRow(Row, table=True):
    """Slots of a limit that somebody has taken; without a lease until they are given back."""

    __tablename__ = "concurrency_slot"
    __table_args__ = (
        UniqueConstraint("lease_id", "limit_id"),
        Index("ix_concurrency_slot_limit", "limit_id", "lease_id"),
    )

    limit_id: UUID = Field(foreign_key="concurrency_limit.id", ondelete="CASCADE")
    lease_id: UUID | None = Field(
        default=None, foreign_key="concurrency_lease.id", ondelete="CASCADE"
    )
    slots: int
    holder_type: str | None = Field(default=None, max_length=16)
    holder_id: UUID | None = None


concurrency_limits = table(ConcurrencyLimitRow)
concurrency_leases = table(ConcurrencyLeaseRow)
concurrency_slots = table(ConcurrencySlotRow)
