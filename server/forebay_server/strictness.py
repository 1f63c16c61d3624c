"""Whose mistakes are refused that the original lets pass: those of Forebay's own clients.

Prefect's clients, of any version, must work as they are; a user of Forebay's is better told.
"""

import re
from typing import Annotated

from fastapi import Depends, Request

from forebay_server.settings import ServerSettings, Strictness

# The client, the command line, the worker and the Terraform provider name themselves so.
_OWN_AGENT = re.compile(r"(?:^|[ -])forebay/")


def _is_refused(request: Request, strictness: Strictness) -> bool:
    if strictness is Strictness.FOREBAY:
        return _OWN_AGENT.search(request.headers.get("user-agent", "")) is not None
    return strictness is Strictness.ALL


def _refuses_unknown_variables(request: Request) -> bool:
    settings: ServerSettings = request.app.state.settings
    return _is_refused(request, settings.unknown_job_variables)


def _refuses_reused_keys(request: Request) -> bool:
    settings: ServerSettings = request.app.state.settings
    return _is_refused(request, settings.strict_run_keys)


# Whether this request's job variables must be declared by the pool's template.
RefusesUnknown = Annotated[bool, Depends(_refuses_unknown_variables)]
# Whether this request's key for a run must not have been given to another run.
RefusesReused = Annotated[bool, Depends(_refuses_reused_keys)]
