"""Terraform's calls, answered from declarations: one method per RPC. Knows no resource's name.

A method raises `Failure` for what the user did wrong; whatever else goes wrong is told apart
by the dispatcher that calls it.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp  # type: ignore[import-untyped]

from forebay_provider import configuration, provider_block
from forebay_provider.framework import functions, identity, objects
from forebay_provider.framework.declarations import from_values, to_values
from forebay_provider.framework.diagnostics import to_messages
from forebay_provider.framework.objects import Values
from forebay_provider.framework.planning import plan
from forebay_provider.framework.schema import schema
from forebay_provider.framework.validation import validate
from forebay_provider.managed import PROVIDER_UNKNOWN, ManagedResources
from forebay_provider.pb import tfplugin6_pb2 as pb
from forebay_provider.problems import explained
from forebay_provider.provided import AnyDataSource, AnyEphemeral, AnyResource
from forebay_provider.provider_block import ProviderConfig


class Servicer(ManagedResources):
    """All RPCs of the provider of one process."""

    # --- schema ------------------------------------------------------------------------------

    def GetMetadata(self, request: pb.GetMetadata.Request) -> pb.GetMetadata.Response:
        return pb.GetMetadata.Response(
            server_capabilities=_capabilities(),
            resources=[pb.GetMetadata.ResourceMetadata(type_name=n) for n in self.resources],
            data_sources=[
                pb.GetMetadata.DataSourceMetadata(type_name=n) for n in self.data_sources
            ],
            functions=[pb.GetMetadata.FunctionMetadata(name=n) for n in self.functions],
            ephemeral_resources=[
                pb.GetMetadata.EphemeralMetadata(type_name=n) for n in self.ephemerals
            ],
            list_resources=[pb.GetMetadata.ListResourceMetadata(type_name=n) for n in self.lists],
        )

    def GetProviderSchema(
        self, request: pb.GetProviderSchema.Request
    ) -> pb.GetProviderSchema.Response:
        return pb.GetProviderSchema.Response(
            provider=schema(ProviderConfig),
            resource_schemas={n: schema(r.model, r.version) for n, r in self.resources.items()},
            data_source_schemas={n: schema(d.model) for n, d in self.data_sources.items()},
            functions={n: functions.to_message(f) for n, f in self.functions.items()},
            ephemeral_resource_schemas={n: schema(e.model) for n, e in self.ephemerals.items()},
            list_resource_schemas={n: schema(f.model) for n, f in self.lists.items()},
            server_capabilities=_capabilities(),
        )

    def GetResourceIdentitySchemas(
        self, request: pb.GetResourceIdentitySchemas.Request
    ) -> pb.GetResourceIdentitySchemas.Response:
        schemas = {
            name: identity.schema(resource.model, resource.identity)
            for name, resource in self.resources.items()
            if resource.identity
        }
        return pb.GetResourceIdentitySchemas.Response(identity_schemas=schemas)

    def GetFunctions(self, request: pb.GetFunctions.Request) -> pb.GetFunctions.Response:
        described = {n: functions.to_message(f) for n, f in self.functions.items()}
        return pb.GetFunctions.Response(functions=described)

    def CallFunction(self, request: pb.CallFunction.Request) -> pb.CallFunction.Response:
        if request.name not in self.functions:
            known = ", ".join(self.functions)
            return functions.refusal(f"There is no function {request.name!r}, only {known}")
        return functions.answer(self.functions[request.name], request.arguments)

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
        self.connection = configuration.connect(config, request.terraform_version)
        return pb.ConfigureProvider.Response()

    def ValidateResourceConfig(
        self, request: pb.ValidateResourceConfig.Request
    ) -> pb.ValidateResourceConfig.Response:
        resource = self.resource(request.type_name)
        found = _problems(
            resource,
            objects.decode_present(resource.model, request.config),
            request.client_capabilities.write_only_attributes_allowed,
        )
        return pb.ValidateResourceConfig.Response(diagnostics=found)

    def ValidateDataResourceConfig(
        self, request: pb.ValidateDataResourceConfig.Request
    ) -> pb.ValidateDataResourceConfig.Response:
        source = self.data_source(request.type_name)
        found = _problems(source, objects.decode_present(source.model, request.config), True)
        return pb.ValidateDataResourceConfig.Response(diagnostics=found)

    def ValidateEphemeralResourceConfig(
        self, request: pb.ValidateEphemeralResourceConfig.Request
    ) -> pb.ValidateEphemeralResourceConfig.Response:
        ephemeral = self.ephemeral(request.type_name)
        config = objects.decode_present(ephemeral.model, request.config)
        found = _problems(ephemeral, config, True)
        return pb.ValidateEphemeralResourceConfig.Response(diagnostics=found)

    def ValidateListResourceConfig(
        self, request: pb.ValidateListResourceConfig.Request
    ) -> pb.ValidateListResourceConfig.Response:
        listed = self.list_resource(request.type_name)
        found = validate(listed.model, objects.decode_present(listed.model, request.config))
        return pb.ValidateListResourceConfig.Response(diagnostics=to_messages(found))

    def StopProvider(self, request: pb.StopProvider.Request) -> pb.StopProvider.Response:
        if self.connection is not None:
            self.connection.stop()
        return pb.StopProvider.Response()

    # --- data sources ------------------------------------------------------------------------

    def ReadDataSource(self, request: pb.ReadDataSource.Request) -> pb.ReadDataSource.Response:
        source = self.data_source(request.type_name)
        config = objects.decode_present(source.model, request.config)
        connection = self.connected()
        if connection.unknown and request.client_capabilities.deferral_allowed:
            state = plan(source.model, config, None).planned
            return pb.ReadDataSource.Response(
                state=objects.encode(source.model, state), deferred=PROVIDER_UNKNOWN
            )
        with explained(f"Could not read {request.type_name}", source.model):
            found = source(connection).read(from_values(source.model, config))
        return pb.ReadDataSource.Response(
            state=objects.encode(source.model, objects.settled(found, config))
        )

    # --- ephemeral resources -----------------------------------------------------------------

    def OpenEphemeralResource(
        self, request: pb.OpenEphemeralResource.Request
    ) -> pb.OpenEphemeralResource.Response:
        ephemeral = self.ephemeral(request.type_name)
        config = objects.decode_present(ephemeral.model, request.config)
        connection = self.connected()
        if connection.unknown and request.client_capabilities.deferral_allowed:
            return pb.OpenEphemeralResource.Response(deferred=PROVIDER_UNKNOWN)
        with explained(f"Could not open {request.type_name}", ephemeral.model):
            opened = ephemeral(connection).open(from_values(ephemeral.model, config))
        return pb.OpenEphemeralResource.Response(
            result=objects.encode(ephemeral.model, objects.settled(opened.result, config)),
            private=opened.private,
            renew_at=_moment(opened.renew_at),
        )

    def RenewEphemeralResource(
        self, request: pb.RenewEphemeralResource.Request
    ) -> pb.RenewEphemeralResource.Response:
        ephemeral = self.ephemeral(request.type_name)
        with explained(f"Could not renew {request.type_name}", ephemeral.model):
            renew_at = ephemeral(self.connected()).renew(request.private)
        return pb.RenewEphemeralResource.Response(
            private=request.private, renew_at=_moment(renew_at)
        )

    def CloseEphemeralResource(
        self, request: pb.CloseEphemeralResource.Request
    ) -> pb.CloseEphemeralResource.Response:
        ephemeral = self.ephemeral(request.type_name)
        with explained(f"Could not close {request.type_name}", ephemeral.model):
            ephemeral(self.connected()).close(request.private)
        return pb.CloseEphemeralResource.Response()

    # --- lists -------------------------------------------------------------------------------

    def ListResource(self, request: pb.ListResource.Request) -> Iterator[pb.ListResource.Event]:
        listed = self.list_resource(request.type_name)
        resource = self.resource(request.type_name)
        connection = self.connected()
        config: Any = from_values(
            listed.model, objects.decode_present(listed.model, request.config)
        )
        with explained(f"Could not list {request.type_name}", resource.model):
            for number, key in enumerate(listed.identities(connection, config), 1):
                name = "/".join(key)
                event = pb.ListResource.Event(
                    identity=identity.of(
                        resource.model,
                        resource.identity,
                        dict(zip(resource.identity, key, strict=True)),
                    ),
                    display_name=name,
                )
                if request.include_resource_object:
                    handler = resource(connection)
                    found = handler.read(handler.find(name))
                    if found is None:
                        continue  # it was deleted meanwhile
                    values: Values = objects.settled(found, {})
                    event.resource_object.CopyFrom(objects.encode(resource.model, values))
                yield event
                if number == request.limit:
                    return


def _problems(
    checked: AnyResource | AnyDataSource | AnyEphemeral, config: Values, allows_write_only: bool
) -> list[pb.Diagnostic]:
    """Problems of single values; if there are none, those of the configuration as a whole."""
    found = list(validate(checked.model, config, allows_write_only=allows_write_only))
    return to_messages(found or checked.check(from_values(checked.model, config)))


def _capabilities() -> pb.ServerCapabilities:
    return pb.ServerCapabilities(
        plan_destroy=True, get_provider_schema_optional=True, move_resource_state=True
    )


def _moment(at: datetime | None) -> Timestamp | None:
    return None if at is None else Timestamp(seconds=int(at.timestamp()))
