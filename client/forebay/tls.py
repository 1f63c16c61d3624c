"""TLS as the settings ask for it. Knows no HTTP library."""

import os
import ssl
import tempfile
from pathlib import Path

from forebay.errors import ConfigurationError
from forebay.settings import Tls


def context(tls: Tls) -> ssl.SSLContext:
    """The context of a connection. Raises `ConfigurationError` for a certificate without use."""
    try:
        made = _trusting(tls.ca_cert)
        if not tls.is_verified:
            made.check_hostname = False
            made.verify_mode = ssl.CERT_NONE
        if tls.client_cert:
            _identify(made, tls.client_cert, tls.client_key)
    except (OSError, ValueError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ConfigurationError(f"A TLS certificate or key cannot be used ({reason}).") from None
    return made


def _trusting(authority: str | None) -> ssl.SSLContext:
    if authority is None:
        return ssl.create_default_context()
    if _is_pem(authority):
        return ssl.create_default_context(cadata=authority)
    return ssl.create_default_context(cafile=Path(authority).expanduser())


def _identify(made: ssl.SSLContext, certificate: str, key: str | None) -> None:
    """Show the server a certificate. OpenSSL reads it from files alone, and may ask for a phrase."""
    with tempfile.TemporaryDirectory() as folder:
        texts = [_text(given) for given in (certificate, key) if given]
        file = Path(folder, "identity.pem")
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(handle, "w", encoding="utf-8") as writer:
            writer.write("\n".join(texts))
        # An encrypted key is refused: without this, OpenSSL would ask on the terminal.
        made.load_cert_chain(file, password=lambda: b"")


def _text(given: str) -> str:
    return given if _is_pem(given) else Path(given).expanduser().read_text("utf-8")


def _is_pem(given: str) -> bool:
    return "-----BEGIN" in given
