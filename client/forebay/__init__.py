"""Forebay's light package: what the server, the workers, the provider and the CLI share."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forebay.deploying import deploy as deploy

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Imported when it is used: the command line and the provider start without it.
    if name == "deploy":
        from forebay.deploying import deploy

        return deploy
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
