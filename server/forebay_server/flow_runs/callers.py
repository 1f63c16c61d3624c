"""Who proposes and who polls, from a request's headers."""

import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fastapi import Request

from forebay_server.access.roles import Principal
from forebay_server.errors import Invalid
from forebay_server.flow_runs.facts import Proposer

CLAIM_HEADER = "X-Forebay-Claim"  # "<run id>:<epoch>", sent and answered
RUN_TOKEN_HEADER = "X-Forebay-Run-Token"  # answered to a worker that claims; for the run's process
WORKER_HEADERS = ("X-Forebay-Worker", "X-Prefect-Worker-Name")
MAX_NAME = 255

# For the API's description: reading them as parameters would cost each request more.
WORKER_PARAMETERS: dict[str, Any] = {
    "parameters": [
        {
            "name": WORKER_HEADERS[0],
            "in": "header",
            "schema": {"type": "string", "maxLength": MAX_NAME},
            "description": "The worker on whose behalf this is asked (Forebay extension): its "
            "polls show that queues are served, and its claims live on its heartbeats.",
        }
    ]
}
CALLER_PARAMETERS: dict[str, Any] = {
    "parameters": [
        *WORKER_PARAMETERS["parameters"],
        {
            "name": CLAIM_HEADER,
            "in": "header",
            "schema": {"type": "string"},
            "description": "The claim under which this is proposed, `<run id>:<epoch>` (Forebay "
            "extension): when the run was claimed anew since, the proposal is aborted.",
        },
    ]
}


@dataclass(frozen=True)
class Caller:
    """The proposer of a transition and the worker that it runs under."""

    proposer: Proposer
    worker_name: str | None


def worker_name(request: Request) -> str | None:
    """The worker that a request comes from, as far as it says; its engines say it too."""
    for header in WORKER_HEADERS:
        value = request.headers.get(header)
        if value and len(value) <= MAX_NAME:
            # Headers are read as Latin-1; clients send other names in UTF-8.
            return value.encode("latin-1").decode("utf-8", errors="replace")
    return None


def caller(request: Request, run_id: UUID) -> Caller:
    """Who makes this request about the run. Raises `Invalid` for a malformed claim."""
    principal: Principal = request.state.principal
    worker = worker_name(request)
    proposer = Proposer(
        holder=f"{principal.name}/{worker}" if worker else principal.name,
        epoch=_epoch(request.headers.get(CLAIM_HEADER), run_id),
        is_worker=worker is not None,
        may_exceed_limits=principal.role == "admin",
    )
    return Caller(proposer, worker)


def _epoch(header: str | None, run_id: UUID) -> int | None:
    """The epoch that is claimed of this run; a claim of another run says nothing about it."""
    if header is None:
        return None
    claimed, epoch = parsed_claim(header)
    return epoch if claimed == run_id else None


def parsed_claim(value: str) -> tuple[UUID, int]:
    """The run and the epoch that a claim names. Raises `Invalid`."""
    match = re.fullmatch(r"([0-9a-fA-F-]{32,36}):([0-9]{1,9})", value)
    if match is None:
        raise Invalid(f"{CLAIM_HEADER} must be <run id>:<epoch>.")
    try:
        return UUID(match[1]), int(match[2])
    except ValueError:
        raise Invalid(f"{CLAIM_HEADER} must begin with the id of a run.") from None


def claim_value(run_id: UUID, epoch: int) -> str:
    """What the holder of an epoch shows in the claim header."""
    return f"{run_id}:{epoch}"
