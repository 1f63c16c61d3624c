"""The provider's TLS certificate, kept between starts. Knows no server.

Terraform trusts exactly the certificate that the handshake names, so its private key is what
proves the provider. Making one costs more than the rest of a start, and Terraform starts the
provider several times per command; so key and certificate are kept for some days in a file that
only the user can read, as their SSH keys are.

Terraform's own certificate is not checked: it is on P-521, whose signatures gRPC's TLS library
does not offer. Who may connect is decided by the socket's folder, which only the user can enter.
"""

import base64
import contextlib
import json
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from forebay.settings import home

VALID_SECONDS = 14 * 24 * 3600
RENEWED_BEFORE_SECONDS = 24 * 3600  # longer than any Terraform command
BACKDATED_SECONDS = 300  # clocks of virtual machines jump


@dataclass(frozen=True)
class Certificate:
    """A self-signed certificate for `localhost` and its key."""

    key: bytes = b""  # PEM
    chain: bytes = b""  # PEM
    der: bytes = b""
    not_before: float = 0
    not_after: float = 0


def load_or_make(folder: Path | None = None, now: float | None = None) -> Certificate:
    """The kept certificate while it is good for another day, else a new one, which is kept.

    A folder that cannot be written costs time and nothing else.
    """
    folder = home() / "provider" if folder is None else folder
    now = time.time() if now is None else now
    path = folder / "certificate.json"
    kept = _load(path)
    if kept is not None and kept.not_before <= now < kept.not_after - RENEWED_BEFORE_SECONDS:
        return kept
    made = make(now)
    with contextlib.suppress(OSError):
        _save(made, path)
    return made


def make(now: float) -> Certificate:
    """A new certificate on P-256: Terraform takes any curve, and this is the quickest to make."""
    from datetime import UTC, datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    not_before, not_after = now - BACKDATED_SECONDS, now + VALID_SECONDS
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.fromtimestamp(int(not_before), UTC))
        .not_valid_after(datetime.fromtimestamp(int(not_after), UTC))
        # Terraform checks this name and does not look at the common name.
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    return Certificate(
        key=key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        chain=certificate.public_bytes(serialization.Encoding.PEM),
        der=certificate.public_bytes(serialization.Encoding.DER),
        not_before=not_before,
        not_after=not_after,
    )


def _load(path: Path) -> Certificate | None:
    """What the file holds, if it is ours alone and whole."""
    try:
        with path.open("rb") as file:
            about = os.fstat(file.fileno())
            if os.name == "posix" and (about.st_uid != os.getuid() or about.st_mode & 0o077):
                return None
            held = json.load(file)
        return Certificate(
            key=held["key"].encode(),
            chain=held["chain"].encode(),
            der=base64.b64decode(held["der"], validate=True),
            not_before=float(held["not_before"]),
            not_after=float(held["not_after"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _save(certificate: Certificate, path: Path) -> None:
    """Put the file there whole or not at all, since other starts read it meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    held = {
        "key": certificate.key.decode(),
        "chain": certificate.chain.decode(),
        "der": base64.b64encode(certificate.der).decode(),
        "not_before": certificate.not_before,
        "not_after": certificate.not_after,
    }
    handle, temporary = tempfile.mkstemp(dir=path.parent)  # made with mode 0600
    with open(handle, "w", encoding="utf-8") as file:
        json.dump(held, file)
    os.replace(temporary, path)
