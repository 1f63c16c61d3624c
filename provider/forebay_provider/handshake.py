"""go-plugin's handshake: what Terraform says in the environment and the line it waits for.

Knows no server. Source: go-plugin, protocol 1.
"""

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass

from forebay import __version__

# Fixed for all providers. It tells Terraform from a curious human, and keeps nobody out.
COOKIE_NAME = "TF_PLUGIN_MAGIC_COOKIE"
COOKIE = "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2"
CORE_PROTOCOL = 1
PLUGIN_PROTOCOL = 6  # also where it is not offered: Terraform then reports the mismatch itself
ADDRESS = "registry.terraform.io/forebay/forebay"

FOR_HUMANS = f"""\
This is the Forebay provider {__version__} for Terraform, which starts it by itself.
Make it known to Terraform with `forebay provider install`, then run `terraform init`.
To debug it, start it with --debug and set the variable that it prints.
"""


@dataclass(frozen=True)
class Request:
    """What the program that started this process asks for."""

    client_certificate: str = ""  # PEM; empty means no TLS
    socket_folder: str | None = None
    socket_group: str | None = None
    ports: range = range(10000, 25001)
    asks_for_multiplexing: bool = False


def is_from_terraform(environ: Mapping[str, str]) -> bool:
    """Whether Terraform started this process."""
    return environ.get(COOKIE_NAME) == COOKIE


def read_request(environ: Mapping[str, str]) -> Request:
    """The request in the environment; what is absent or unreadable has its usual value."""
    try:
        low = int(environ.get("PLUGIN_MIN_PORT", ""))
        ports = range(low, int(environ.get("PLUGIN_MAX_PORT", "")) + 1)
    except ValueError:
        ports = Request.ports
    return Request(
        client_certificate=environ.get("PLUGIN_CLIENT_CERT", ""),
        socket_folder=environ.get("PLUGIN_UNIX_SOCKET_DIR") or None,
        socket_group=environ.get("PLUGIN_UNIX_SOCKET_GROUP") or None,
        ports=ports,
        asks_for_multiplexing=bool(environ.get("PLUGIN_MULTIPLEX_GRPC")),
    )


def line(request: Request, network: str, address: str, certificate: bytes) -> bytes:
    """The one line that goes to stdout; `certificate` is the server's in DER, empty without TLS."""
    encoded = base64.b64encode(certificate).decode().rstrip("=")
    fields = [str(CORE_PROTOCOL), str(PLUGIN_PROTOCOL), network, address, "grpc", encoded]
    if request.asks_for_multiplexing:
        fields.append("false")
    return ("|".join(fields) + "\n").encode()


def reattach(network: str, address: str) -> str:
    """The variable that makes Terraform use a running provider, as a line for a shell."""
    server = {
        "Protocol": "grpc",
        "ProtocolVersion": PLUGIN_PROTOCOL,
        "Pid": os.getpid(),
        "Test": True,
        "Addr": {"Network": network, "String": address},
    }
    return f"TF_REATTACH_PROVIDERS='{json.dumps({ADDRESS: server})}'"
