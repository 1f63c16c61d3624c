"""Whether the server is the one that the configuration expects. Knows no resource."""

from forebay.errors import NoSuchEndpoint
from forebay_provider.api import calls
from forebay_provider.connection import Connection
from forebay_provider.framework.diagnostics import Diagnostic, Failure

ARGUMENT = "expected_server_id"


def check_target(connection: Connection) -> None:
    """Ask the server, once, which one it is. Raises `Failure` when it is another.

    Nothing is asked where nothing is expected. Raises `ForebayError` without an answer.
    """
    expected = connection.expected_server_id
    if expected is None or connection.is_target_checked:
        return
    try:
        found = str(connection.send(calls.server.identity()).id)
    except NoSuchEndpoint:
        raise _wrong(f"expected {expected}, and the server tells no id", connection) from None
    if found != expected.lower():
        raise _wrong(f"expected {expected}, and the server is {found}", connection)
    connection.is_target_checked = True


def _wrong(what: str, connection: Connection) -> Failure:
    return Failure(
        Diagnostic(
            "This is another server",
            f"{ARGUMENT}: {what}. Nothing was changed. Correct the endpoint, which is "
            f"{connection.api_url}, or {ARGUMENT}.",
        )
    )
