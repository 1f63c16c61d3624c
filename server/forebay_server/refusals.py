"""The shapes of error answers, as `protocol` and `gate` send them, for the API's description."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, RootModel


class _Refusal(BaseModel):
    code: str = Field(description="Stable name of the reason, for programs.")
    request_id: str = Field(description="As in the header `X-Request-Id`; names the request.")


class Refusal(_Refusal):
    """Why the request was refused."""

    model_config = ConfigDict(extra="allow")

    detail: str = Field(description="The reason, for people.")


class TakenName(Refusal):
    """The object conflicts with another."""

    existing_id: str | None = Field(
        default=None, description="The object that has the name, where the conflict is one."
    )


class Failure(_Refusal):
    """The request failed for a reason outside it, its caller is unknown, or its run is."""

    exception_message: str


class InvalidPart(BaseModel):
    """One thing that is wrong with one part of the request; the input is never repeated."""

    type: str
    loc: list[str | int] = Field(description="Where: `body`, `path`, `query` or `header` first.")
    msg: str


class InvalidRequest(Failure):
    """What is wrong with the request, part by part."""

    exception_detail: list[InvalidPart]
    request_body: None = None


class Missing(RootModel[Refusal | Failure]):
    """What is not there; about runs some routes say so in Prefect's other shape."""


class Unprocessable(RootModel[InvalidRequest | Refusal]):
    """What is wrong with the request, or why it was refused."""


ERRORS: dict[int | str, dict[str, Any]] = {
    400: {"model": Refusal, "description": "Malformed, or not for the object as it is."},
    401: {"model": Failure, "description": "No credentials, or wrong ones."},
    403: {"model": Refusal, "description": "The object is reserved, or the request is foreign."},
    404: {"model": Missing, "description": "There is no such object."},
    408: {"model": Refusal, "description": "The body did not arrive in time."},
    409: {"model": TakenName, "description": "A name is taken, or the object is in use."},
    413: {"model": Refusal, "description": "The body is too large."},
    415: {"model": Refusal, "description": "The body is not JSON, or is encoded."},
    422: {"model": Unprocessable, "description": "Well-formed and not valid."},
    429: {"model": Refusal, "description": "Too much waits, or has failed; see `Retry-After`."},
    431: {"model": Refusal, "description": "The headers are too large."},
    503: {"model": Failure, "description": "The database is away; see `Retry-After`."},
    507: {"model": Refusal, "description": "The database's disk is full or read-only."},
}
