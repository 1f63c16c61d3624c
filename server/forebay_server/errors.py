"""What queries and routes raise; `protocol.py` turns each into its HTTP answer."""

from typing import Any


class ServerError(Exception):
    """An answer that is not the one hoped for; its text is for the caller."""

    status = 500
    code = "internal_error"

    def __init__(self, message: str, **extra: Any) -> None:
        super().__init__(message)
        self.extra = extra  # further keys of the answer, such as `existing_id`


class BadRequest(ServerError):
    """The request is well-formed and cannot apply to the object as it is."""

    status, code = 400, "bad_request"


class Unauthorized(ServerError):
    """No credentials, or wrong ones."""

    status, code = 401, "unauthorized"


class Forbidden(ServerError):
    """The object is reserved."""

    status, code = 403, "forbidden"


class NotFound(ServerError):
    """There is no such object."""

    status, code = 404, "not_found"


class Conflict(ServerError):
    """A name is taken, or the object is in use."""

    status, code = 409, "conflict"


class Invalid(ServerError):
    """Well-formed, understood and refused."""

    status, code = 422, "invalid"


class Overloaded(ServerError):
    """Too much is waiting already; try the same again later."""

    status, code = 429, "overloaded"


class StorageFull(ServerError):
    """The database cannot be written."""

    status, code = 507, "storage_full"
