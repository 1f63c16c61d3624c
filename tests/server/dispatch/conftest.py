"""Claims are tested on both databases."""

import pytest
from fastapi import FastAPI

from forebay_server.dispatch.waiting import WaitingRoom
from tests.both_databases import settings

__all__ = ["settings"]


@pytest.fixture
def room(app: FastAPI) -> WaitingRoom:
    """Where requests wait."""
    found = app.state.waiting_room
    assert isinstance(found, WaitingRoom)
    return found
