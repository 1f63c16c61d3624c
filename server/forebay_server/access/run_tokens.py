"""Tokens of runs: signed, stored nowhere. Knows neither HTTP nor SQL."""

import base64
import binascii
import hashlib
import hmac
import logging
import struct
from collections.abc import Callable
from uuid import UUID

from forebay_server.errors import ServerError

logger = logging.getLogger(__name__)

PREFIX = "fbr_"
PURPOSE = "run tokens"
_CLAIM = struct.Struct(">16sI")  # the run's id and the epoch of its claim


class RunTokens:
    """Makes a token for a claim, and finds the claim that a token was made for.

    Every process of a server must have the same key. Whether the claim still lives, the caller
    asks the database.
    """

    def __init__(self, derive_key: Callable[[str], bytes]) -> None:
        self._derive_key = derive_key
        self._derived: bytes | None = None
        self._is_keyless = False

    def make(self, run_id: UUID, epoch: int) -> str | None:
        """The token of a claim, always the same; none without a key, of which the log tells."""
        if self._is_keyless:
            return None
        try:
            key = self._key()
        except (OSError, ServerError) as error:
            logger.warning("runs get no tokens of their own: %s", error)
            self._is_keyless = True
            return None
        claim = _CLAIM.pack(run_id.bytes, epoch)
        return PREFIX + base64.urlsafe_b64encode(claim + _sign(key, claim)).decode()

    def read(self, token: str) -> tuple[UUID, int] | None:
        """The run and the epoch that a genuine token was made for."""
        try:
            raw = base64.b64decode(token.removeprefix(PREFIX), altchars=b"-_", validate=True)
            key = self._key()
        except (binascii.Error, ValueError, OSError, ServerError):
            return None
        claim, signature = raw[: _CLAIM.size], raw[_CLAIM.size :]
        if not hmac.compare_digest(signature, _sign(key, claim)) or len(claim) != _CLAIM.size:
            return None
        run_id, epoch = _CLAIM.unpack(claim)
        return UUID(bytes=run_id), epoch

    def _key(self) -> bytes:
        if self._derived is None:
            self._derived = self._derive_key(PURPOSE)
        return self._derived


def _sign(key: bytes, claim: bytes) -> bytes:
    return hmac.digest(key, claim, hashlib.sha256)
