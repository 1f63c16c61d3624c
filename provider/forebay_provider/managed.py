"""Terraform's calls about managed resources, answered from declarations. Knows no resource's name.

Raises as `servicer` says.
"""

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from forebay.errors import ForebayError
from forebay_provider.framework import codec, identity, objects
from forebay_provider.framework.declarations import declaration, from_values, to_values
from forebay_provider.framework.diagnostics import Diagnostic, Failure, to_messages, to_path
from forebay_provider.framework.objects import Values
from forebay_provider.framework.planning import Derive, plan
from forebay_provider.framework.resource import Incomplete, Resource
from forebay_provider.moves import moved
from forebay_provider.pb import tfplugin6_pb2 as pb
from forebay_provider.private import create_key, with_create_key
from forebay_provider.problems import explained, of_any
from forebay_provider.provided import AnyResource, Provided
from forebay_provider.target import check_target

log = logging.getLogger(__name__)

PROVIDER_UNKNOWN = pb.Deferred(reason=pb.Deferred.PROVIDER_CONFIG_UNKNOWN)


class ManagedResources(Provided):
    """One method per RPC about objects that Terraform manages."""

    def UpgradeResourceState(
        self, request: pb.UpgradeResourceState.Request
    ) -> pb.UpgradeResourceState.Response:
        resource = self.resource(request.type_name)
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

    def UpgradeResourceIdentity(
        self, request: pb.UpgradeResourceIdentity.Request
    ) -> pb.UpgradeResourceIdentity.Response:
        resource = self.resource(request.type_name)
        upgraded = identity.upgrade(resource.model, resource.identity, request.raw_identity)
        return pb.UpgradeResourceIdentity.Response(upgraded_identity=upgraded)

    def ReadResource(self, request: pb.ReadResource.Request) -> pb.ReadResource.Response:
        resource = self.resource(request.type_name)
        connection = self.connected()
        if connection.unknown and request.client_capabilities.deferral_allowed:
            return pb.ReadResource.Response(
                new_state=request.current_state,
                private=request.private,
                new_identity=_current_identity(request),
                deferred=PROVIDER_UNKNOWN,
            )
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
                new_identity=_current_identity(request),
                diagnostics=to_messages([warning]),
            )
        state = objects.decode_state(resource.model, request.current_state)
        if state is None:
            raise Failure(Diagnostic("Terraform asked to read an object that does not exist"))
        with explained(f"Could not read {request.type_name}", resource.model):
            found = resource(connection).read(from_values(resource.model, state))
        new = None if found is None else objects.settled(found, state)
        is_unchanged = new is not None and objects.is_same(new, state)
        return pb.ReadResource.Response(
            new_state=(
                request.current_state if is_unchanged else objects.encode(resource.model, new)
            ),
            private=request.private,
            new_identity=identity.of(resource.model, resource.identity, new),
        )

    def PlanResourceChange(
        self, request: pb.PlanResourceChange.Request
    ) -> pb.PlanResourceChange.Response:
        resource = self.resource(request.type_name)
        model = resource.model
        prior = objects.decode_state(model, request.prior_state)
        is_destroy = objects.is_null(model, request.proposed_new_state)
        config = None if is_destroy else objects.decode(model, request.config)
        result = plan(model, config, prior, *_derive(resource))
        private = request.prior_private
        if prior is None and result.planned is not None:
            private = with_create_key(request.planned_private or request.prior_private)
        return pb.PlanResourceChange.Response(
            planned_state=(
                request.prior_state
                if result.planned is prior
                else objects.encode(model, result.planned)
            ),
            requires_replace=[to_path(path) for path in result.replace],
            planned_private=private,
            planned_identity=identity.of(model, resource.identity, result.planned or prior),
            deferred=PROVIDER_UNKNOWN if self._is_deferred(request) else None,
            diagnostics=to_messages(self._review(resource, result.planned, prior)),
        )

    def _is_deferred(self, request: pb.PlanResourceChange.Request) -> bool:
        is_unknown = self.connection is not None and bool(self.connection.unknown)
        return is_unknown and request.client_capabilities.deferral_allowed

    def _review(
        self, resource: AnyResource, planned: Values | None, prior: Values | None
    ) -> list[Diagnostic]:
        """What the server tells about a planned change; nothing where there is no server."""
        connection = self.connection
        if planned is prior or connection is None or connection.plan_checks == "off":
            return []
        handler = resource(connection)
        plan_, prior_ = (v and from_values(resource.model, v) for v in (planned, prior))
        try:
            check_target(connection)
            found = handler.review(plan_, prior_)
            warns = connection.plan_checks == "warn"
            return [replace(d, is_warning=True) if warns else d for d in found]
        except ForebayError as error:
            log.debug("the plan was not reviewed: %s", error)
            return []

    def ApplyResourceChange(
        self, request: pb.ApplyResourceChange.Request
    ) -> pb.ApplyResourceChange.Response:
        resource = self.resource(request.type_name)
        model = resource.model
        prior = objects.decode_state(model, request.prior_state)
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
            new_identity=identity.of(model, resource.identity, new),
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
        connection = self.connected()
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
        resource = self.resource(request.type_name)
        text = request.id
        if not text and resource.identity and request.HasField("identity"):
            # Names hold no slash, so that the forms of ids can hold them.
            text = "/".join(identity.read(resource.model, resource.identity, request.identity))
        if not text:
            raise Failure(
                Diagnostic(
                    f"An import of {request.type_name} needs an id",
                    f"It is {resource.import_doc}.",
                )
            )
        with explained(f"Could not import {request.type_name}", resource.model):
            found = objects.settled(resource(self.connected()).find(text), {})
        imported = pb.ImportResourceState.ImportedResource(
            type_name=request.type_name,
            state=objects.encode(resource.model, found),
            identity=identity.of(resource.model, resource.identity, found),
        )
        return pb.ImportResourceState.Response(imported_resources=[imported])

    def MoveResourceState(
        self, request: pb.MoveResourceState.Request
    ) -> pb.MoveResourceState.Response:
        resource = self.resource(request.target_type_name)
        text = moved(
            request.source_provider_address,
            request.source_type_name,
            request.target_type_name,
            request.source_state.json,
        )
        kind = declaration(resource.model).kind
        state = codec.upgrade(kind, pb.RawState(json=text))
        return pb.MoveResourceState.Response(
            target_state=codec.encode(kind, state),
            target_identity=identity.of(resource.model, resource.identity, state),
        )


def _derive(resource: AnyResource) -> Iterator[Derive]:
    """The resource's own `derive`, if it has one, from values to values."""
    if resource.derive is Resource.derive:
        return

    def derive(planned: Values, config: Values, prior: Values | None) -> Values:
        before = None if prior is None else from_values(resource.model, prior)
        given: Any = from_values(resource.model, config)
        return to_values(resource.derive(from_values(resource.model, planned), given, before))

    yield derive


def _current_identity(request: pb.ReadResource.Request) -> pb.ResourceIdentityData | None:
    """The identity that was sent, if one was: an empty one is not the same."""
    return request.current_identity if request.HasField("current_identity") else None
