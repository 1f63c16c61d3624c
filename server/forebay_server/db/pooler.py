"""Connections through a pooler that lends one of its own to each transaction, such as PgBouncer.

What a session keeps between transactions is lost there, or meets another client. So nothing is
prepared for later, bounds of time are set for each transaction, and a statement without a
transaction around it is not sent: it would be prepared on one connection and executed on another.
What needs a session, notices above all, goes to the database itself.
"""

from collections.abc import Mapping
from typing import Any

import asyncpg


def connect_args(bounds: Mapping[str, str]) -> dict[str, Any]:
    """What the driver is told; `bounds` are settings of PostgreSQL that each transaction gets."""
    settings = "".join(f" SET LOCAL {name} = '{value}';" for name, value in bounds.items())

    class Lent(asyncpg.Connection):  # type: ignore[misc]
        """A connection that is another one in each transaction."""

        async def execute(self, query: str, *args: Any, **options: Any) -> str:
            # With the beginning of a transaction, so that it costs no journey of its own.
            if query.startswith("BEGIN"):
                query += settings
            return str(await super().execute(query, *args, **options))

        async def fetchrow(self, _query: str, **options: Any) -> None:
            # What a ping asks, without a transaction; so it must be sent in one piece.
            await super().execute("SELECT", **options)

    return {
        "connection_class": Lent,
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
        "prepared_statement_name_func": str,  # "": the one without a name, which needs no closing
    }
