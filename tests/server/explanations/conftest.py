"""Explanations are tested on both databases."""

from tests.both_databases import settings

__all__ = ["settings"]
