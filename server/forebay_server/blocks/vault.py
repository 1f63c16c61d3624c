"""Encrypts secrets: each record has a key of its own, which the master key encrypts.

AES-256-GCM; record and place are authenticated with the text, so that nothing can be moved to
another record or field unnoticed.
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from forebay_server.blocks.keys import KEY_BYTES, BadKey, parse_key, read_key
from forebay_server.blocks.schemas import Path as Place
from forebay_server.blocks.schemas import place_name, places
from forebay_server.errors import Conflict

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES = 12
KEY_FILE = "secret.key"


@dataclass(frozen=True)
class Sealed:
    """Secrets as they are stored."""

    data_key: str | None
    secrets: dict[str, str]


class Vault:
    """Seals and opens the secrets of records of one table.

    The master key is the one given, else that of the key file, which is made when it is first
    needed.
    """

    def __init__(self, home: Path, given_key: str | None, table: str) -> None:
        self._path = home / KEY_FILE
        self._master = parse_key(given_key) if given_key else None
        self._table = table

    def seal(self, id: UUID, values: Mapping[Place, Any]) -> Sealed:
        """Encrypt values of a record, by their places in it."""
        if not values:
            return Sealed(None, {})
        key = secrets.token_bytes(KEY_BYTES)
        names = {place_name(place): value for place, value in values.items()}
        sealed = {
            name: _encrypt(key, json.dumps(value).encode(), self._context(id, name))
            for name, value in names.items()
        }
        return Sealed(_encrypt(self._master_key(), key, self._context(id, "key")), sealed)

    def open(self, id: UUID, sealed: Sealed) -> dict[Place, Any]:
        """The values that were sealed. Raises `Conflict` when another master key sealed them."""
        if sealed.data_key is None:
            return {}
        try:
            key = _decrypt(self._master_key(), sealed.data_key, self._context(id, "key"))
            opened = (
                json.loads(_decrypt(key, text, self._context(id, name)))
                for name, text in sealed.secrets.items()
            )
            return dict(zip(places(sealed.secrets), opened, strict=True))
        except _WrongKey:
            raise Conflict(
                "The secrets cannot be read: another key encrypted them, or they were changed. "
                f"Give the server the key that it had (FOREBAY_SECRET_KEY or its {KEY_FILE}), or "
                "write the secrets anew."
            ) from None

    def derived_key(self, purpose: str) -> bytes:
        """A key for something else than secrets, from which the master key does not follow.

        Raises `Conflict` when the master key cannot be one, `OSError` when it cannot be kept.
        """
        return hmac.digest(self._master_key(), f"forebay {purpose}".encode(), hashlib.sha256)

    def _context(self, id: UUID, place: str) -> bytes:
        return f"{self._table}:{id}:{place}".encode()

    def _master_key(self) -> bytes:
        if self._master is None:
            try:
                self._master = read_key(self._path)
            except BadKey as error:
                raise Conflict(f"{self._path.name} in the server's home folder: {error}") from None
        return self._master


class _WrongKey(Exception):
    pass


def _encrypt(key: bytes, text: bytes, context: bytes) -> str:
    nonce = secrets.token_bytes(NONCE_BYTES)
    sealed = nonce + _cipher(key).encrypt(nonce, text, context)
    return base64.b64encode(sealed).decode()


def _decrypt(key: bytes, sealed: str, context: bytes) -> bytes:
    # Loads a library of 7 MiB, which servers without blocks never need.
    from cryptography.exceptions import InvalidTag

    raw = base64.b64decode(sealed)
    try:
        return _cipher(key).decrypt(raw[:NONCE_BYTES], raw[NONCE_BYTES:], context)
    except InvalidTag:
        raise _WrongKey from None


def _cipher(key: bytes) -> "AESGCM":
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)
