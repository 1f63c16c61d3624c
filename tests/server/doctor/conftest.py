"""The doctor looks at both databases."""

from tests.both_databases import settings

__all__ = ["settings"]
