"""The API's calls and wire shapes, imported on first use.

Terraform starts the provider several times per command and most starts make no call, so nothing
may import the HTTP client or Pydantic before one is made.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # Named so that type checkers know that the packages have these modules.
    import forebay.calls.blocks
    import forebay.calls.concurrency_limits
    import forebay.calls.deployments
    import forebay.calls.dry_runs
    import forebay.calls.flows
    import forebay.calls.server
    import forebay.calls.tokens
    import forebay.calls.variables
    import forebay.calls.work_pools
    import forebay.calls.work_queues
    import forebay.wire.blocks
    import forebay.wire.concurrency_limits
    import forebay.wire.deployments
    import forebay.wire.dry_runs
    import forebay.wire.flows
    import forebay.wire.schedules
    import forebay.wire.tokens
    import forebay.wire.variables
    import forebay.wire.work_pools
    import forebay.wire.work_queues  # noqa: F401
    from forebay import calls, wire
else:

    class _Package:
        """A package whose modules are imported when they are named."""

        def __init__(self, name: str) -> None:
            self._name = name

        def __getattr__(self, module: str) -> ModuleType:
            found = import_module(f"{self._name}.{module}")
            setattr(self, module, found)  # found there from now on
            return found

    calls, wire = _Package("forebay.calls"), _Package("forebay.wire")

__all__ = ["calls", "wire"]
