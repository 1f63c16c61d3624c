"""Terraform's calls, answered from declarations: one method per RPC. Knows no resource's name.

A method raises `Failure` for what the user did wrong; whatever else goes wrong is told apart
by the dispatcher that calls it.
"""

import logging
from collections.abc import Iterable
from typing import Any, TypeVar

from forebay.errors import ForebayError
from forebay_provider import configuration, provider_block
from forebay_provider.connection import Connection
from forebay_provider.data_sources import DATA_SOURCES
from forebay_provider.framework import codec, functions, objects
from forebay_provider.framework.declarations import declaration, from_values, to_values
from forebay_provider.framework.diagnostics import Diagnostic, Failure, to_messages, to_path
from forebay_provider.framework.functions import Function
from forebay_provider.framework.objects import Values
from forebay_provider.framework.planning import Derive, plan
from forebay_provider.framework.resource import DataSource, Incomplete, Resource
from forebay_provider.framework.schema import schema
from forebay_provider.framework.validation import validate
from forebay_provider.functions import FUNCTIONS
from forebay_provider.moves import moved
from forebay_provider.pb import tfplugin6_pb2 as pb
from forebay_provider.private import create_key, with_create_key
from forebay_provider.problems import explained, of_any
from forebay_provider.provider_block import ProviderConfig
from forebay_provider.resources import RESOURCES

PREFIX = "forebay_"

log = logging.getLogger(__name__)

T = TypeVar("T")
AnyResource = type[Resource[Any, Connection]]
AnyDataSource = type[DataSource[Any, Connection]]


class Servicer:
    """The provider of one process: what it can manage and the connection it was given."""

    def __init__(
        self,
        resources: Iterable[AnyResource] = RESOURCES,
        data_sources: Iterable[AnyDataSource] = DATA_SOURCES,
        functions: Iterable[Function] = FUNCTIONS,
    ) -> None:
        self._resources = {PREFIX + r.name: r for r in resources}
        self._data_sources = {PREFIX + d.name: d for d in data_sources}
        self._functions = {f.name: f for f in functions}
        self._connection: Connection | None = None

    # --- schema ------------------------------------------------------------------------------

    def GetMetadata(self, request: pb.GetMetadata.Request) -> pb.GetMetadata.Response:
        return pb.GetMetadata.Response(
            server_capabilities=_capabilities(),
            resources=[pb.GetMetadata.ResourceMetadata(type_name=n) for n in self._resources],
            data_sources=[
                pb.GetMetadata.DataSourceMetadata(type_name=n) for n in self._data_sources
            ],
            functions=[pb.GetMetadata.FunctionMetadata(name=n) for n in self._functions],
        )

    def GetProviderSchema(
        self, request: pb.GetProviderSchema.Request
    ) -> pb.GetProviderSchema.Response:
        return pb.GetProviderSchema.Response(
            provider=schema(ProviderConfig),
            resource_schemas={n: schema(r.model, r.version) for n, r in self._resources.items()},
            data_source_schemas={n: schema(d.model) for n, d in self._data_sources.items()},
            functions={n: functions.to_message(f) for n, f in self._functions.items()},
            server_capabilities=_capabilities(),
        )

    def GetResourceIdentitySchemas(
        self, request: pb.GetResourceIdentitySchemas.Request
    ) -> pb.GetResourceIdentitySchemas.Response:
        return pb.GetResourceIdentitySchemas.Response()

    def GetFunctions(self, request: pb.GetFunctions.Request) -> pb.GetFunctions.Response:
        described = {n: functions.to_message(f) for n, f in self._functions.items()}
        return pb.GetFunctions.Response(functions=described)

    def CallFunction(self, request: pb.CallFunction.Request) -> pb.CallFunction.Response:
        if request.name not in self._functions:
            known = ", ".join(self._functions)
            return functions.refusal(f"There is no function {request.name!r}, only {known}")
        return functions.answer(self._functions[request.name], request.arguments)

    # --- configuration -----------------------------------------------------------------------

    def ValidateProviderConfig(
        self, request: pb.ValidateProviderConfig.Request
    ) -> pb.ValidateProviderConfig.Response:
        config = from_values(ProviderConfig, objects.decode(ProviderConfig, request.config) or {})
        found = [*validate(ProviderConfig, to_values(config)), *provider_block.check(config)]
        return pb.ValidateProviderConfig.Response(diagnostics=to_messages(found))

    def ConfigureProvider(
        self, request: pb.ConfigureProvider.Request
    ) -> pb.ConfigureProvider.Response:
        config = from_values(ProviderConfig, objects.decode(ProviderConfig, request.config) or {})
        self._connection = configuration.connect(config, request.terraform_version)
        return pb.ConfigureProvider.Response()

    def ValidateResourceConfig(
        self, request: pb.ValidateResourceConfig.Request
    ) -> pb.ValidateResourceConfig.Response:
        resource = self._resource(request.type_name)
        found = _problems(
            resource,
            objects.decode_present(resource.model, request.config),
            request.client_capabilities.write_only_attributes_allowed,
        )
        return pb.ValidateResourceConfig.Response(diagnostics=found)

    def ValidateDataResourceConfig(
        self, request: pb.ValidateDataResourceConfig.Request
    ) -> pb.ValidateDataResourceConfig.Response:
        source = self._data_source(request.type_name)
        found = _problems(source, objects.decode_present(source.model, request.config), True)
        return pb.ValidateDataResourceConfig.Response(diagnostics=found)

    def StopProvider(self, request: pb.StopProvider.Request) -> pb.StopProvider.Response:
        if self._connection is not None:
            self._connection.stop()
        return pb.StopProvider.Response()

    # --- managed resources -------------------------------------------------------------------

    def UpgradeResourceState(
        self, request: pb.UpgradeResourceState.Request
    ) -> pb.UpgradeResourceState.Response:
        resource = self._resource(request.type_name)
        if request.version > resource.version:
            raise Failure(
                Diagnostic(
                    "The state is from a newer provider",
                    f"It holds version {request.version} of {request.type_name}, and this "
                    f"provider knows {resource.version}. Install a newer one.",
                )
            )
        kind = declaration(resource.model).kind
        state = codec.upgrade(kind, request.raw_state)
        return pb.UpgradeResourceState.Response(upgraded_state=codec.encode(kind, state))

    def ReadResource(self, request: pb.ReadResource.Request) -> pb.ReadResource.Response:
        resource = self._resource(request.type_name)
        connection = self._connected()
        if connection.unknown:
            warning = Diagnostic(
                "Not refreshed",
                f"The provider's {connection.unknown} is not known yet, so the recorded state "
                f"of {request.type_name} was taken as it is.",
                is_warning=True,
            )
            return pb.ReadResource.Response(
                new_state=request.current_state,
                private=request.private,
                diagnostics=to_messages([warning]),
            )
        state = objects.decode_present(resource.model, request.current_state)
        with explained(f"Could not read {request.type_name}", resource.model):
            found = resource(connection).read(from_values(resource.model, state))
        new = None if found is None else objects.settled(found, state)
        return pb.ReadResource.Response(
            new_state=objects.encode(resource.model, new), private=request.private
        )

    def PlanResourceChange(
        self, request: pb.PlanResourceChange.Request
    ) -> pb.PlanResourceChange.Response:
        resource = self._resource(request.type_name)
        model = resource.model
        prior = objects.decode(model, request.prior_state)
        is_destroy = objects.decode(model, request.proposed_new_state) is None
        config = None if is_destroy else objects.decode(model, request.config)
        result = plan(model, config, prior, _derive(resource))
        private = request.prior_private
        if prior is None and result.planned is not None:
            private = with_create_key(request.planned_private or request.prior_private)
        return pb.PlanResourceChange.Response(
            planned_state=objects.encode(model, result.planned),
            requires_replace=[to_path(path) for path in result.replace],
            planned_private=private,
            diagnostics=to_messages(self._review(resource, result.planned, prior)),
        )

    def _review(
        self, resource: AnyResource, planned: Values | None, prior: Values | None
    ) -> list[Diagnostic]:
        """What the server tells about a planned change; nothing where there is no server."""
        if planned is prior or self._connection is None or self._connection.unknown:
            return []
        handler = resource(self._connection)
        plan_, prior_ = (v and from_values(resource.model, v) for v in (planned, prior))
        try:
            return list(handler.review(plan_, prior_))
        except ForebayError as error:
            log.debug("the plan was not reviewed: %s", error)
            return []

    def ApplyResourceChange(
        self, request: pb.ApplyResourceChange.Request
    ) -> pb.ApplyResourceChange.Response:
        resource = self._resource(request.type_name)
        model = resource.model
        prior = objects.decode(model, request.prior_state)
        planned = objects.decode(model, request.planned_state)
        new: Values | None = prior
        problems: tuple[Diagnostic, ...] = ()
        try:
            new = self._apply(resource, prior, planned, request)
        except Incomplete as error:
            new, problems = objects.settled(error.state, planned or {}), of_any(error.reason)
        except Exception as error:  # noqa: BLE001 - without a state in the answer the prior one is lost
            problems = of_any(error)
        return pb.ApplyResourceChange.Response(
            new_state=objects.encode(model, new),
            private=b"" if prior is None else request.planned_private,
            diagnostics=to_messages(problems),
        )

    def _apply(
        self,
        resource: AnyResource,
        prior: Values | None,
        planned: Values | None,
        request: pb.ApplyResourceChange.Request,
    ) -> Values | None:
        """The object after the change, in the form it was planned in."""
        model = resource.model
        verb = "delete" if planned is None else "create" if prior is None else "update"
        connection = self._connected()
        connection.begin_changes()
        handler = resource(connection)
        with explained(f"Could not {verb} {request.type_name}", model):
            state: Any = None if prior is None else from_values(model, prior)
            if planned is None:
                if state is not None:
                    handler.delete(state)
                return None
            config = objects.decode(model, request.config)
            goal: Any = from_values(model, objects.with_write_only(model, planned, config))
            if state is not None:
                done = handler.update(goal, state)
            else:
                done = handler.create(goal, create_key(request.planned_private))
        return objects.settled(done, planned)

    def ImportResourceState(
        self, request: pb.ImportResourceState.Request
    ) -> pb.ImportResourceState.Response:
        resource = self._resource(request.type_name)
        if not request.id:
            raise Failure(
                Diagnostic(
                    f"An import of {request.type_name} needs an id",
                    f"It is {resource.import_doc}.",
                )
            )
        with explained(f"Could not import {request.type_name}", resource.model):
            found = resource(self._connected()).find(request.id)
        imported = pb.ImportResourceState.ImportedResource(
            type_name=request.type_name,
            state=objects.encode(resource.model, objects.settled(found, {})),
        )
        return pb.ImportResourceState.Response(imported_resources=[imported])

    def MoveResourceState(
        self, request: pb.MoveResourceState.Request
    ) -> pb.MoveResourceState.Response:
        resource = self._resource(request.target_type_name)
        text = moved(
            request.source_provider_address,
            request.source_type_name,
            request.target_type_name,
            request.source_state.json,
        )
        kind = declaration(resource.model).kind
        state = codec.upgrade(kind, pb.RawState(json=text))
        return pb.MoveResourceState.Response(target_state=codec.encode(kind, state))

    # --- data sources ------------------------------------------------------------------------

    def ReadDataSource(self, request: pb.ReadDataSource.Request) -> pb.ReadDataSource.Response:
        source = self._data_source(request.type_name)
        config = objects.decode_present(source.model, request.config)
        with explained(f"Could not read {request.type_name}", source.model):
            found = source(self._connected()).read(from_values(source.model, config))
        state = objects.settled(found, config)
        return pb.ReadDataSource.Response(state=objects.encode(source.model, state))

    # --- what the methods share --------------------------------------------------------------

    def _resource(self, type_name: str) -> AnyResource:
        return _known(self._resources, "resource", type_name)

    def _data_source(self, type_name: str) -> AnyDataSource:
        return _known(self._data_sources, "data source", type_name)

    def _connected(self) -> Connection:
        if self._connection is None:
            raise Failure(Diagnostic("The provider was used before it was configured"))
        return self._connection


def _known(types: dict[str, T], noun: str, type_name: str) -> T:
    if type_name not in types:
        known = ", ".join(types)
        raise Failure(
            Diagnostic(
                f"Unknown {noun} type", f"There is no {noun} {type_name!r} here, only {known}."
            )
        )
    return types[type_name]


def _derive(resource: AnyResource) -> Derive:
    """The resource's own `derive`, from values to values."""

    def derive(planned: Values, config: Values, prior: Values | None) -> Values:
        before = None if prior is None else from_values(resource.model, prior)
        given: Any = from_values(resource.model, config)
        return to_values(resource.derive(from_values(resource.model, planned), given, before))

    return derive


def _problems(
    checked: AnyResource | AnyDataSource, config: Values, allows_write_only: bool
) -> list[pb.Diagnostic]:
    """Problems of single values; if there are none, those of the configuration as a whole."""
    found = list(validate(checked.model, config, allows_write_only=allows_write_only))
    return to_messages(found or checked.check(from_values(checked.model, config)))


def _capabilities() -> pb.ServerCapabilities:
    return pb.ServerCapabilities(
        plan_destroy=True, get_provider_schema_optional=True, move_resource_state=True
    )
