"""The table of answers by idempotency key."""

from sqlalchemy import Index, Text
from sqlmodel import Field

from forebay_server.db.columns import Row, table


class KeptAnswerRow(Row, table=True):
    """The answer to one request with a key; without a status while the request is in flight."""

    __tablename__ = "kept_answer"
    __table_args__ = (Index("ix_kept_answer_created", "created"),)

    digest: str = Field(max_length=64, unique=True)  # SHA-256 of caller, route and key
    body_digest: str = Field(max_length=64)  # SHA-256 of the canonical body
    status: int | None = None
    answer: str = Field(default="", sa_type=Text)


kept_answers = table(KeptAnswerRow)
