"""What a template and job variables would give. A Forebay extension."""

from forebay.calls import Call, call, segment
from forebay.wire.dry_runs import DryRun, DryRunResult


def validate(pool_name: str, body: DryRun) -> Call[DryRunResult]:
    """Try a template or job variables on a pool; nothing is written."""
    path = f"/work_pools/{segment(pool_name)}/validate"
    return call("POST", path, DryRunResult, body, is_repeatable=True)
