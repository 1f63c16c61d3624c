"""What Terraform opens for one command and keeps nowhere. Knows no protocol message."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Generic, TypeVar

from forebay_provider.framework.diagnostics import Diagnostic

M = TypeVar("M")
C = TypeVar("C")


@dataclass(frozen=True)
class Opened(Generic[M]):
    """The values of something that is open, and what it takes to keep it open and to close it."""

    result: M
    private: bytes = b""  # comes back with renewals and the closing; no secret
    renew_at: datetime | None = None  # None: it needs no renewal


class Ephemeral(Generic[M, C]):
    """Something to open. `C` is what talks to the remote side."""

    name: ClassVar[str]  # without the provider's prefix
    model: ClassVar[type]

    def __init__(self, client: C) -> None:
        self.client = client

    @staticmethod
    def check(config: M) -> Iterable[Diagnostic]:
        """What is wrong with the configuration as a whole; values may be unknown. Offline."""
        return ()

    def open(self, config: M) -> Opened[M]:
        """The result, every configured value as it was given."""
        raise NotImplementedError

    def renew(self, private: bytes) -> datetime | None:
        """Keep it open; when to renew it again."""
        return None

    def close(self, private: bytes) -> None:
        """End it; what is gone already is no error."""
