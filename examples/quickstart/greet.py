"""A flow is a plain Python function; nothing of Forebay needs to be imported."""

import logging
import os

logger = logging.getLogger(__name__)


def greet(name: str = "world", times: int = 1) -> str:
    """Greet `name` so often; the greeting comes from the pool's job template."""
    greeting = os.environ.get("GREETING", "Hi")
    for count in range(1, times + 1):
        logger.info("%s, %s! (%d of %d)", greeting, name, count, times)
    return f"{greeting}, {name}!"
