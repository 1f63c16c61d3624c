"""Claims of many runs at once. A Forebay extension: other servers answer 404 or 405."""

from forebay.calls import Call, call, segment
from forebay.wire.claims import (
    AdoptableQuery,
    Adopted,
    Adoption,
    ClaimRequest,
    Claims,
    RunReports,
)
from forebay.wire.flow_runs import FlowRun, FlowRunVerdicts


def take(pool_name: str, request: ClaimRequest) -> Call[Claims]:
    """Claim the next runs of a pool, by queue priority and time; may wait for them.

    Under the name of an attempt it may be sent again: the claims stay the same.
    """
    path = f"/work_pools/{segment(pool_name)}/claim"
    is_named = request.attempt is not None
    return call("POST", path, Claims, request, is_repeatable=is_named)


def adoptable(pool_name: str, query: AdoptableQuery) -> Call[list[FlowRun]]:
    """Runs whose infrastructure may go on without a holder, the longest silent first."""
    path = f"/work_pools/{segment(pool_name)}/adoptable_runs"
    return call("POST", path, list[FlowRun], query, is_repeatable=True)


def adopt(pool_name: str, adoption: Adoption) -> Call[Adopted]:
    """Take over a claim by the run's infrastructure id; 409 when somebody else holds the run.

    Sent again it gives a newer claim of the same worker.
    """
    path = f"/work_pools/{segment(pool_name)}/adopt"
    return call("POST", path, Adopted, adoption, is_repeatable=True)


def report(pool_name: str, reports: RunReports) -> Call[FlowRunVerdicts]:
    """Tell to which states claimed runs have come; every run has a verdict of its own.

    States with a transition id may be sent again: the verdicts stay the same.
    """
    path = f"/work_pools/{segment(pool_name)}/report"
    is_named = all(told.state.state_details.transition_id for told in reports.reports)
    return call("POST", path, FlowRunVerdicts, reports, is_repeatable=is_named)
