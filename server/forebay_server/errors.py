"""What queries and routes raise; `protocol.py` turns each into its HTTP answer."""

from typing import Any


class ServerError(Exception):
    """An answer that is not the one hoped for; its text is for the caller."""

    status = 500
    code = "internal_error"
    retry_after: str | None = None  # seconds, where trying the same again may help

    def __init__(self, message: str, **extra: Any) -> None:
        super().__init__(message)
        self.extra = extra  # further keys of the answer, such as `existing_id`


class BadRequest(ServerError):
    """The request is well-formed and cannot apply to the object as it is."""

    status, code = 400, "bad_request"


class Unauthorized(ServerError):
    """No credentials, or wrong ones."""

    status, code = 401, "unauthorized"


class TooManyFailures(Unauthorized):
    """Wrong credentials, from where too many came lately."""

    status, code = 429, "too_many_failures"

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(
            "The credentials are wrong, or cannot be looked at now: too many wrong ones came from "
            f"this address. Check them, and try again in {retry_after_seconds} seconds."
        )
        self.retry_after = str(retry_after_seconds)


class Forbidden(ServerError):
    """The object is reserved."""

    status, code = 403, "forbidden"


class NotFound(ServerError):
    """There is no such object."""

    status, code = 404, "not_found"


class Conflict(ServerError):
    """A name is taken, or the object is in use."""

    status, code = 409, "conflict"


class Gone(ServerError):
    """There was such an object, and its time has run out."""

    status, code = 410, "gone"


class Stale(ServerError):
    """The object has been changed since the caller read it."""

    status, code = 412, "stale"


class SlotsTaken(ServerError):
    """A limit has too few free slots; they may be there later."""

    status, code = 423, "slots_taken"

    def __init__(self, message: str, *, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after = f"{retry_after_seconds:.3f}"


class Invalid(ServerError):
    """Well-formed, understood and refused."""

    status, code = 422, "invalid"


class InFlight(ServerError):
    """The same request is being answered to somebody else."""

    status, code = 409, "in_progress"
    retry_after = "1"


class KeyReused(ServerError):
    """A name for one request was given to another."""

    status, code = 422, "idempotency_key_reused"


class Overloaded(ServerError):
    """Too much is waiting already; try the same again later."""

    status, code = 429, "overloaded"
    retry_after = "1"


class StorageFull(ServerError):
    """The database cannot be written."""

    status, code = 507, "storage_full"
    retry_after = "1"
