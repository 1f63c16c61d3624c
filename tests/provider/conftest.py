"""The provider without a process: its RPCs from bytes to bytes."""

from collections.abc import Callable
from typing import Any

import pytest

from forebay_provider.dispatch import rpcs
from forebay_provider.framework import codec
from forebay_provider.framework.declarations import declaration, from_values, to_values
from forebay_provider.pb import tfplugin6_pb2 as pb
from forebay_provider.provider_block import ProviderConfig
from forebay_provider.servicer import Servicer


class Caller:
    """Calls RPCs as Terraform does."""

    def __init__(self, servicer: Servicer) -> None:
        self.rpcs = {rpc.name: rpc for rpc in rpcs(servicer)}

    def __call__(self, rpc_name: str, **request: Any) -> Any:
        """The answer to one request, both as messages."""
        message = getattr(pb, rpc_name).Request(**request)
        answer = self.rpcs[rpc_name](message.SerializeToString())
        return getattr(pb, rpc_name).Response.FromString(answer)

    def configure(self, **config: Any) -> Any:
        """Configure the provider as a provider block does."""
        return self("ConfigureProvider", config=self.encode(ProviderConfig, config))

    @staticmethod
    def encode(model: type[Any], values: dict[str, Any] | None) -> pb.DynamicValue:
        """An object on the wire; attributes that are left out are null."""
        whole = None if values is None else to_values(from_values(model, values))
        return codec.encode(declaration(model).kind, whole)

    @staticmethod
    def decode(model: type[Any], message: pb.DynamicValue) -> Any:
        """An object from the wire, as values by attribute name."""
        return codec.decode(declaration(model).kind, message)


@pytest.fixture
def make_caller() -> Callable[..., Caller]:
    """Makes callers of a provider: ours, or one with other resources."""
    return lambda **types: Caller(Servicer(**types))


@pytest.fixture
def call(make_caller: Callable[..., Caller]) -> Caller:
    """Our provider, not configured yet."""
    return make_caller()
