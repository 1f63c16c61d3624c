"""Versions of objects: `ETag` tells them, `If-Match` makes changes depend on them. Knows no domain.

A version is made of what an object's answer shows, so that no writer has to keep it.
"""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import Depends, Header, Response

from forebay.wire.base import Object
from forebay_server.errors import Stale

Shown = TypeVar("Shown", bound=Object)

ANY = "*"
# What workers and runs change by themselves, which is nobody's edit.
_PASSING: dict[str, Any] = dict.fromkeys(
    ("updated", "status", "last_polled", "active_slots"), True
)
_EXCLUDED = {**_PASSING, "global_concurrency_limit": _PASSING}

STALE: dict[int | str, dict[str, Any]] = {
    412: {"description": "The object has another version than `If-Match` names."}
}


def version_of(shown: Object) -> str:
    """The version of an object that is answered as `shown`; the same on both databases."""
    settings = shown.model_dump(mode="json", exclude=_EXCLUDED)
    text = orjson.dumps(settings, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).hexdigest()[:32]


class Teller:
    """Tells the version of what is answered."""

    def __init__(self, response: Response) -> None:
        self._response = response

    def __call__(self, shown: Shown) -> Shown:
        """`shown`, whose version the answer's `ETag` is from now on."""
        self._response.headers["ETag"] = f'"{version_of(shown)}"'
        return shown


class Guard(Teller):
    """Lets a change pass only at the version that its request names; without one, always."""

    def __init__(
        self,
        response: Response,
        if_match: Annotated[
            str | None,
            Header(
                description="The version, as an `ETag` told it, that the object must still have "
                "(Forebay extension); 412 when it has another. Without it the last write wins, "
                "field by field.",
            ),
        ] = None,
    ) -> None:
        super().__init__(response)
        self._wanted = if_match

    async def check(
        self,
        lock: Callable[..., Awaitable[object]],
        read: Callable[..., Awaitable[Object]],
        *of: Any,
    ) -> None:
        """Raise `Stale` unless what `read(*of)` shows has the version that is wanted.

        It is read after `lock(*of)`, which must keep others from changing it until the
        transaction ends. Both raise as they do when there is no such object.
        """
        if self._wanted is None:
            return
        await lock(*of)
        version = version_of(await read(*of))
        wanted = [each.strip() for each in self._wanted.split(",")]
        if ANY not in wanted and f'"{version}"' not in wanted:
            raise Stale(
                f'This has been changed since it was read; its version is now "{version}". Read '
                "it again, and send the ETag of that answer as If-Match."
            )


Tells = Annotated[Teller, Depends()]
Guards = Annotated[Guard, Depends()]
