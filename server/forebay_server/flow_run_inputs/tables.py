"""The table of inputs of runs."""

from uuid import UUID

from sqlalchemy import UniqueConstraint
from sqlmodel import Field

from forebay_server.db.columns import Row, table


class FlowRunInputRow(Row, table=True):
    """A text for a run under a key."""

    __tablename__ = "flow_run_input"
    __table_args__ = (UniqueConstraint("flow_run_id", "key"),)

    flow_run_id: UUID = Field(foreign_key="flow_run.id", ondelete="CASCADE")
    key: str = Field(max_length=255)
    value: str
    sender: str | None = None


flow_run_inputs = table(FlowRunInputRow)
