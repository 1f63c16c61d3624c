"""The table of flows."""

from typing import Any

from sqlmodel import Field

from forebay_server.db.columns import Row, json_list, json_object, table


class FlowRow(Row, table=True):
    """A flow: the name under which deployments and runs stand."""

    __tablename__ = "flow"

    name: str = Field(max_length=255, unique=True)
    tags: list[str] = json_list()
    labels: dict[str, Any] = json_object()


flows = table(FlowRow)
