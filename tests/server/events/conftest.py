"""Events are tested on both databases."""

from tests.server.flow_runs.conftest import settings

__all__ = ["settings"]
