"""The plugin's gRPC server: where it listens, what it serves and how it ends.

Knows no resource and no message beyond bytes.
"""

import contextlib
import os
import queue
import shutil
import signal
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc

from forebay_provider import certificate, handshake
from forebay_provider.dispatch import SERVICE, Rpc, rpcs
from forebay_provider.handshake import Request
from forebay_provider.servicer import Servicer

# Terraform has ten calls in flight, or as many as -parallelism says; idle threads are not made.
MAX_THREADS = 256
MAX_SOCKET_PATH = 100  # bytes that every Unix can take, with some to spare
PARENT_CHECK_SECONDS = 1.0
# Messages of any size, and no second server on an address that is taken.
OPTIONS = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
)


class Plugin:
    """A provider that serves until it is told to end."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._folder: str | None = None
        # Not an Event: setting one from a signal handler can deadlock with its own waiter.
        self._ends: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._server = grpc.server(ThreadPoolExecutor(MAX_THREADS), options=OPTIONS)
        self._server.add_generic_rpc_handlers(tuple(self._services(Servicer())))

    def start(self) -> tuple[str, str, bytes]:
        """Listen. Returns network, address and the certificate in DER (empty without TLS)."""
        credentials, der = None, b""
        if self._request.client_certificate:
            own = certificate.load_or_make()
            credentials, der = grpc.ssl_server_credentials([(own.key, own.chain)]), own.der
        network, address = self._listen(credentials)
        self._server.start()
        return network, address, der

    def wait(self, parent: int | None) -> None:
        """Return when asked to end, or when the process `parent` is gone.

        A Terraform that was killed asks for nothing.
        """
        while True:
            with contextlib.suppress(queue.Empty):
                self._ends.get(timeout=PARENT_CHECK_SECONDS)
                return
            if parent is not None and os.getppid() != parent:
                return

    def end(self) -> None:
        """Ask `wait` to return; safe in a signal handler."""
        self._ends.put("end")

    def stop(self) -> None:
        """Let answers that are ready go out, refuse the rest, and remove the socket."""
        self._server.stop(grace=0.2).wait()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _services(self, servicer: Servicer) -> Iterator[Any]:
        handlers = {rpc.name: _handler(rpc) for rpc in rpcs(servicer)}
        yield grpc.method_handlers_generic_handler(SERVICE, handlers)

        def shutdown(_request: bytes, _context: Any) -> bytes:
            self.end()
            return b""

        def nothing(_request: Any, _context: Any) -> Iterator[bytes]:
            # Terraform opens both streams at once and needs neither. Held open, each would keep
            # a thread for the life of the process.
            return iter(())

        # Messages of these services are empty, so no generated code is needed for them.
        for service, method, handler in (
            ("GRPCController", "Shutdown", grpc.unary_unary_rpc_method_handler(shutdown)),
            ("GRPCStdio", "StreamStdio", grpc.unary_stream_rpc_method_handler(nothing)),
            ("GRPCBroker", "StartStream", grpc.stream_stream_rpc_method_handler(nothing)),
        ):
            yield grpc.method_handlers_generic_handler(f"plugin.{service}", {method: handler})

    def _listen(self, credentials: Any) -> tuple[str, str]:
        if os.name == "posix" and (path := self._socket_path()) is not None:
            self._bind(f"unix:{path}", credentials)
            if self._request.socket_group:
                shutil.chown(path, group=self._request.socket_group)
                os.chmod(path, 0o660)
            return "unix", path
        for port in self._request.ports:
            with contextlib.suppress(RuntimeError):
                self._bind(f"127.0.0.1:{port}", credentials)
                return "tcp", f"127.0.0.1:{port}"
        raise RuntimeError(f"no free port in {self._request.ports} on 127.0.0.1")

    def _socket_path(self) -> str | None:
        """A short enough path in a fresh folder that only this user can enter, if there is one."""
        for parent in (self._request.socket_folder, tempfile.gettempdir(), "/tmp"):
            if parent and len(os.fsencode(parent)) + len("/forebay-12345678/s") < MAX_SOCKET_PATH:
                self._folder = tempfile.mkdtemp(prefix="forebay-", dir=parent)
                return str(Path(self._folder, "s"))
        return None

    def _bind(self, address: str, credentials: Any) -> None:
        """Listen on `address`. Raises `RuntimeError` when it is taken."""
        if credentials is None:
            self._server.add_insecure_port(address)
        else:
            self._server.add_secure_port(address, credentials)


def _handler(rpc: Rpc) -> Any:
    """gRPC's handler of one method, on bytes."""
    if rpc.takes_stream:
        return grpc.stream_unary_rpc_method_handler(lambda requests, _: rpc(next(requests, b"")))
    if rpc.gives_stream:
        return grpc.unary_stream_rpc_method_handler(lambda request, _: rpc.each(request))
    return grpc.unary_unary_rpc_method_handler(lambda request, _: rpc(request))


def serve(request: Request, stdout: int) -> None:
    """Serve Terraform until it says Shutdown; writes the handshake line to the file `stdout`."""
    parent = os.getppid()
    # Ctrl-C reaches this process too, but Terraform decides: it calls StopProvider, then Shutdown.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    plugin = Plugin(request)
    signal.signal(signal.SIGTERM, lambda *_: plugin.end())
    network, address, der = plugin.start()
    os.write(stdout, handshake.line(request, network, address, der))
    os.close(stdout)
    plugin.wait(parent)
    plugin.stop()


def serve_for_debugging(stdout: int) -> None:
    """Serve any Terraform that sets the variable printed to `stdout`, until Ctrl-C. No TLS."""
    plugin = Plugin(Request())
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: plugin.end())
    network, address, _ = plugin.start()
    os.write(stdout, f"{handshake.reattach(network, address)}\n".encode())
    plugin.wait(None)
    plugin.stop()
