"""What a server says of itself. Source: Prefect 3.8.4 `/admin/version`, `/version`, `/collections`."""

from typing import Any

from forebay.calls import Call, call
from forebay.wire.server import ServerInfo


def version() -> Call[str]:
    """The version of the server; one of Forebay answers the Prefect version that it behaves as."""
    return call("GET", "/admin/version", str)


def api_version() -> Call[str]:
    """The version of the API's shapes."""
    return call("GET", "/version", str)


def worker_metadata() -> Call[dict[str, dict[str, dict[str, Any]]]]:
    """What the server knows of worker types: by type, by the package that has the worker."""
    path = "/collections/views/aggregate-worker-metadata"
    return call("GET", path, dict[str, dict[str, dict[str, Any]]])


def identity() -> Call[ServerInfo]:
    """Which server it is, and its version (Forebay extension)."""
    return call("GET", "/server", ServerInfo)
