"""Every RPC of the protocol, from bytes to bytes; whatever goes wrong becomes a diagnostic.

A gRPC error status tells the user next to nothing, so none is ever answered. Knows no resource.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from forebay_provider.framework.diagnostics import Diagnostic, Failure, to_messages
from forebay_provider.logs import TRACE
from forebay_provider.pb import tfplugin6_pb2 as pb
from forebay_provider.problems import of_any

log = logging.getLogger(__name__)

SERVICE = "tfplugin6.Provider"


class Rpc:
    """One method of the protocol, answered by `method` or, without one, refused."""

    def __init__(self, descriptor: Any, method: Callable[[Any], Any] | None) -> None:
        self.name: str = descriptor.name
        self.takes_stream: bool = descriptor.client_streaming
        self.gives_stream: bool = descriptor.server_streaming
        self.request = _class(descriptor.input_type)
        self.response = _class(descriptor.output_type)
        self._method = method or self._refuse

    def __call__(self, data: bytes) -> bytes:
        """The answer to one request, of a stream the first; never raises."""
        return next(self.each(data), b"")

    def each(self, data: bytes) -> Iterator[bytes]:
        """The answers to one request; never raises. An error ends them, as the last one."""
        begun = time.perf_counter()
        try:
            request = self._parse(data)
            answer = self._method(request)
            _tell(self.name, request, answer, begun)
            if self.gives_stream:
                yield from (message.SerializeToString() for message in answer)
            else:
                yield answer.SerializeToString()
        except Exception as error:  # noqa: BLE001 - the one place where nothing may escape
            log.debug("%s failed: %s", self.name, error)
            yield failed(self.response, of_any(error)).SerializeToString()

    def _parse(self, data: bytes) -> Any:
        try:
            return self.request.FromString(data)
        except DecodeError as error:
            raise Failure(
                Diagnostic(
                    "Terraform sent a message that cannot be read", f"{self.name}: {error}."
                )
            ) from error

    def _refuse(self, request: Any) -> Any:
        raise Failure(
            Diagnostic(
                "Not supported by the forebay provider",
                f"{self.name} is about a kind of object that it does not have.",
            )
        )


def _tell(name: str, request: Any, answer: Any, begun: float) -> None:
    """Log that a call was answered, and never a value of it."""
    if log.isEnabledFor(TRACE):
        about = {
            "type": getattr(request, "type_name", "") or getattr(request, "target_type_name", ""),
            "ms": round((time.perf_counter() - begun) * 1000, 1),
            "diagnostics": len(getattr(answer, "diagnostics", ())),
        }
        log.log(TRACE, name, extra={key: value for key, value in about.items() if value != ""})


def rpcs(servicer: object) -> list[Rpc]:
    """Every method of the protocol with the servicer's method of that name, if it has one."""
    methods = pb.DESCRIPTOR.services_by_name["Provider"].methods
    return [Rpc(method, getattr(servicer, method.name, None)) for method in methods]


def failed(response: Any, diagnostics: Iterable[Diagnostic]) -> Any:
    """An answer of class `response` that carries diagnostics, in whichever field it has for them."""
    messages = to_messages(diagnostics)
    fields = response.DESCRIPTOR.fields_by_name
    if "diagnostics" in fields:
        return response(diagnostics=messages)
    if "diagnostic" in fields:
        return response(diagnostic=messages)
    if "completed" in fields:
        return response(completed=response.Completed(diagnostics=messages))
    text = "; ".join(f"{m.summary}: {m.detail}" for m in messages)
    if "error" in fields:
        return response(error=pb.FunctionError(text=text))
    return response(Error=text)


def _class(descriptor: Any) -> Any:
    """The generated class of a message."""
    found: Any = pb
    for part in descriptor.full_name.removeprefix(descriptor.file.package + ".").split("."):
        found = getattr(found, part)
    return found
