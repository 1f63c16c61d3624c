"""Names, marks, command and environment of what is started elsewhere. Knows no engine."""

import re
import shlex
from collections.abc import Mapping, Sequence

from forebay_worker.base import Assignment, JobConfiguration, StartFailed
from forebay_worker.execute import CLAIM_VARIABLE

# Keys of labels and annotations. Whoever finds the infrastructure can tell whose it is.
RUN_MARK = "forebay.io/flow-run-id"
RUN_NAME_MARK = "forebay.io/flow-run-name"
POOL_MARK = "forebay.io/work-pool"
WORKER_MARK = "forebay.io/worker"
CLAIM_MARK = "forebay.io/claim"

EXECUTE = ("python", "-m", "forebay_worker.execute")
SECRET_VARIABLES = ("FOREBAY_API_KEY", "FOREBAY_API_AUTH_STRING")


def marks(assignment: Assignment) -> dict[str, str]:
    """What tells run, claim and worker of infrastructure; values are free text."""
    run = assignment.run
    return {
        RUN_MARK: str(run.id),
        RUN_NAME_MARK: run.name,
        POOL_MARK: run.work_pool_name or "",
        WORKER_MARK: assignment.worker_name,
        CLAIM_MARK: assignment.environment.get(CLAIM_VARIABLE, ""),
    }


def adopted_claim(found: Mapping[str, str] | None, assignment: Assignment) -> str | None:
    """The claim among marks that were found; none when they are another run's.

    Whoever started it: the server says whether this worker may go on with it.
    """
    if found and found.get(RUN_MARK) == marks(assignment)[RUN_MARK]:
        return found.get(CLAIM_MARK) or None
    return None


def arguments(command: str | None, default: Sequence[str] = EXECUTE) -> list[str]:
    """The argument vector of a command line. Raises `StartFailed`."""
    if not command or not command.strip():
        return list(default)
    try:
        found = shlex.split(command)
    except ValueError as error:
        raise StartFailed(f"The command {command!r} cannot be read: {error}.") from None
    if not found:
        raise StartFailed(f"The command {command!r} names no program.")
    return found


def environment(configuration: JobConfiguration, assignment: Assignment) -> dict[str, str]:
    """The variables of what is started; the API's address is weaker than the configuration."""
    return {
        "PYTHONUNBUFFERED": "1",  # what is printed before a crash is not lost in a buffer
        **assignment.credentials,
        **configuration.env,
        **assignment.environment,
    }


def dns_label(text: str, longest: int) -> str:
    """`text` as lower-case letters, digits and inner hyphens; empty when nothing is left."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower())[:longest].strip("-")


def base_name(configuration: JobConfiguration, assignment: Assignment, longest: int = 40) -> str:
    """The configured name, else the run's, as engines accept names."""
    given = configuration.name or assignment.run.name
    return dns_label(given, longest) or "run"


def claim_name(base: str, assignment: Assignment) -> str:
    """`base` with what tells run and claim from others; the same whenever a claim is started."""
    epoch = marks(assignment)[CLAIM_MARK].rpartition(":")[2]
    return f"{base}-{assignment.run.id.hex[-8:]}" + (f"-{epoch}" if epoch else "")
