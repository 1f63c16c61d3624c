"""The key that encrypts the keys of secrets: its form, and the file that holds it."""

import base64
import binascii
import os
import secrets
import tempfile
from pathlib import Path

KEY_BYTES = 32


class BadKey(ValueError):
    """A master key that cannot be one; its text is for the operator."""


def parse_key(text: str) -> bytes:
    """The key that base64 `text` is. Raises `BadKey`."""
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise BadKey(
            f"the key must be {KEY_BYTES} random bytes in base64; make one with "
            f"`openssl rand -base64 {KEY_BYTES}`"
        )
    return key


def read_key(path: Path) -> bytes:
    """The key in a file, which is made (0600) where there is none. Raises `BadKey`."""
    if not path.exists():
        _make(path)
    return parse_key(path.read_bytes().decode("ascii", "replace"))


def _make(path: Path) -> None:
    """Of several processes one wins, and no one sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent)  # made with mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())  # what it will encrypt must not outlive it
        os.link(temporary, path)
    except FileExistsError:
        return
    finally:
        os.unlink(temporary)
