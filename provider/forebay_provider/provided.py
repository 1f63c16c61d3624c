"""What the provider of one process has: its types and its connection. Knows no message."""

from collections.abc import Iterable
from typing import Any, TypeVar

from forebay.errors import ForebayError
from forebay_provider.connection import Connection
from forebay_provider.data_sources import DATA_SOURCES
from forebay_provider.ephemeral import EPHEMERALS
from forebay_provider.framework.diagnostics import Diagnostic, Failure
from forebay_provider.framework.ephemeral import Ephemeral
from forebay_provider.framework.functions import Function
from forebay_provider.framework.resource import DataSource, Resource
from forebay_provider.functions import FUNCTIONS
from forebay_provider.lists import LISTS, AnyList
from forebay_provider.resources import RESOURCES
from forebay_provider.target import check_target

PREFIX = "forebay_"

T = TypeVar("T")
AnyResource = type[Resource[Any, Connection]]
AnyDataSource = type[DataSource[Any, Connection]]
AnyEphemeral = type[Ephemeral[Any, Connection]]


class Provided:
    """Types by Terraform's name for them, and the connection once it is configured."""

    def __init__(
        self,
        resources: Iterable[AnyResource] = RESOURCES,
        data_sources: Iterable[AnyDataSource] = DATA_SOURCES,
        functions: Iterable[Function] = FUNCTIONS,
        lists: Iterable[AnyList] = LISTS,
        ephemerals: Iterable[AnyEphemeral] = EPHEMERALS,
    ) -> None:
        self.resources = {PREFIX + r.name: r for r in resources}
        self.data_sources = {PREFIX + d.name: d for d in data_sources}
        self.ephemerals = {PREFIX + e.name: e for e in ephemerals}
        self.functions = {f.name: f for f in functions}
        self.lists = {PREFIX + f.name: f for f in lists if PREFIX + f.name in self.resources}
        self.connection: Connection | None = None

    def resource(self, type_name: str) -> AnyResource:
        """The resource of that name. Raises `Failure`."""
        return _known(self.resources, "resource", type_name)

    def data_source(self, type_name: str) -> AnyDataSource:
        """The data source of that name. Raises `Failure`."""
        return _known(self.data_sources, "data source", type_name)

    def ephemeral(self, type_name: str) -> AnyEphemeral:
        """The ephemeral resource of that name. Raises `Failure`."""
        return _known(self.ephemerals, "ephemeral resource", type_name)

    def list_resource(self, type_name: str) -> AnyList:
        """The list of that name. Raises `Failure`."""
        return _known(self.lists, "list", type_name)

    def connected(self) -> Connection:
        """The connection. Raises `Failure` before the provider is configured, or to another
        server than the expected one."""
        if self.connection is None:
            raise Failure(Diagnostic("The provider was used before it was configured"))
        try:
            check_target(self.connection)
        except ForebayError as error:
            text = "The server did not tell whether it is the expected one"
            raise Failure(Diagnostic(text, str(error))) from error
        return self.connection


def _known(types: dict[str, T], noun: str, type_name: str) -> T:
    if type_name not in types:
        known = ", ".join(types)
        raise Failure(
            Diagnostic(
                f"Unknown {noun} type", f"There is no {noun} {type_name!r} here, only {known}."
            )
        )
    return types[type_name]
