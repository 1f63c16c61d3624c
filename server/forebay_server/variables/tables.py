"""The table of variables."""

from typing import Any

from sqlmodel import Field

from forebay_server.db.columns import Json, Row, json_list, table


class VariableRow(Row, table=True):
    """A JSON value under a name."""

    __tablename__ = "variable"

    name: str = Field(max_length=255, unique=True)
    value: Any | None = Field(default=None, sa_type=Json)
    tags: list[str] = json_list()


variables = table(VariableRow)
