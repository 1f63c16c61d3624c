"""What the provider hides in Terraform's private data: the key of a creation. Knows no value.

The key is made when a creation is planned, so that every try of it says that it is the same one.
"""

import json
import os

_CREATE_KEY = "create_key"


def with_create_key(private: bytes) -> bytes:
    """Private data with a key in it, the one of `private` if that has one."""
    return json.dumps({_CREATE_KEY: create_key(private)}).encode()


def create_key(private: bytes) -> str:
    """The key in private data, or a new one."""
    try:
        held = json.loads(private)
    except ValueError:
        held = None
    key = held.get(_CREATE_KEY) if isinstance(held, dict) else None
    return key if isinstance(key, str) else os.urandom(16).hex()
