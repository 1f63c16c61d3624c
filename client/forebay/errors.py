"""What can go wrong between a client and the API, by cause. Knows no HTTP library."""

from dataclasses import dataclass


class ForebayError(Exception):
    """An error whose text is meant for the user."""


class ConfigurationError(ForebayError):
    """Settings that cannot be used; nothing was sent."""


@dataclass(frozen=True)
class FieldProblem:
    """One complaint of the API about one field of a request body."""

    path: tuple[str | int, ...]  # from the body's root; empty for the body as a whole
    message: str


class ApiError(ForebayError):
    """The API answered with an error status."""

    status = 0

    def __init__(
        self, message: str, *, status: int = 0, problems: tuple[FieldProblem, ...] = ()
    ) -> None:
        super().__init__(message)
        self.status = status or self.status
        self.problems = problems


class Unauthorized(ApiError):
    """No credentials, or wrong ones."""

    status = 401


class Forbidden(ApiError):
    """The object is reserved, or the credentials do not reach this far."""

    status = 403


class NotFound(ApiError):
    """There is no such object."""

    status = 404


class NoSuchEndpoint(ApiError):
    """The server has no such path: it is no API, or one without this endpoint."""

    status = 404


class Conflict(ApiError):
    """The name is taken, or the object is in use."""

    status = 409
    existing_id: str | None = None  # of the object that has the name, where the API tells it


class Invalid(ApiError):
    """The request was understood and refused; `problems` names the fields where known."""

    status = 422


class Unavailable(ApiError):
    """The API asked to try the same again later, and kept asking until retries were used up."""

    status = 503


class Unreachable(ForebayError):
    """No answer came from the address."""


class Interrupted(ForebayError):
    """The user stopped the program before the request was sent, or sent again."""

    def __init__(self) -> None:
        super().__init__("The program was interrupted; nothing more was sent.")


BY_STATUS: dict[int, type[ApiError]] = {
    error.status: error
    for error in (Unauthorized, Forbidden, NotFound, Conflict, Invalid, Unavailable)
}
