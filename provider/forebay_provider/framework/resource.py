"""What a resource and a data source provide. Knows no protocol message."""

from collections.abc import Iterable
from typing import ClassVar, Generic, TypeVar

from forebay_provider.framework.diagnostics import Diagnostic

M = TypeVar("M")
C = TypeVar("C")


class Resource(Generic[M, C]):
    """A kind of remote object that Terraform manages. `C` is what talks to the remote side.

    A known value in a plan is a promise: `create` and `update` must return it unchanged. What is
    `Unknown` in a plan they decide; a missing decision is stored as null.
    """

    name: ClassVar[str]  # without the provider's prefix
    model: ClassVar[type]
    version: ClassVar[int] = 0  # of the schema; raise it when stored objects need upgrading
    # Attributes that tell one object from another; joined by slashes they are an import id.
    identity: ClassVar[tuple[str, ...]] = ()
    import_doc: ClassVar[str]  # which texts `terraform import` takes

    def __init__(self, client: C) -> None:
        self.client = client

    @staticmethod
    def check(config: M) -> Iterable[Diagnostic]:
        """What is wrong with the configuration as a whole; values may be unknown. Offline."""
        return ()

    @staticmethod
    def derive(plan: M, config: M, prior: M | None) -> M:
        """`plan` with what follows from it decided; values may be unknown. Offline.

        What is configured must stay as it is, and the same arguments must give the same plan.
        """
        return plan

    def review(self, plan: M | None, prior: M | None) -> Iterable[Diagnostic]:
        """What the server can tell about a change before it is made; None is no object.

        Asked while planning, when there is a server to ask; without one nothing is told.
        """
        return ()

    def create(self, plan: M, key: str) -> M:
        """Make the object and return it; `key` is the same for every try of this creation.

        Raises `Incomplete` when the object exists but is not finished.
        """
        raise NotImplementedError

    def read(self, state: M) -> M | None:
        """The object as it is now, or None when it is certain that there is none."""
        raise NotImplementedError

    def update(self, plan: M, state: M) -> M:
        """Change the object from `state` to `plan` and return it."""
        raise NotImplementedError

    def delete(self, state: M) -> None:
        """Delete the object; one that is gone already is no error."""
        raise NotImplementedError

    def find(self, text: str) -> M:
        """The object that the user names by `text` in an import; `read` completes it."""
        raise NotImplementedError


class DataSource(Generic[M, C]):
    """Something to look up."""

    name: ClassVar[str]
    model: ClassVar[type]

    def __init__(self, client: C) -> None:
        self.client = client

    @staticmethod
    def check(config: M) -> Iterable[Diagnostic]:
        """What is wrong with the configuration as a whole; values may be unknown. Offline."""
        return ()

    def read(self, config: M) -> M:
        """The result, every configured value as it was given."""
        raise NotImplementedError


class Incomplete(Exception):
    """An operation failed after the object came to be; what exists of it belongs in the state."""

    def __init__(self, state: object, reason: Exception) -> None:
        super().__init__(str(reason))
        self.state = state
        self.reason = reason
