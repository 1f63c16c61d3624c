"""Every test here that uses a server runs on both databases."""

from tests.both_databases import settings

__all__ = ["settings"]
