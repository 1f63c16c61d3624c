"""HTTP of dry runs: parse, call, return. Nothing is written."""

from forebay.pool_types import default_template
from forebay.wire.dry_runs import DryRun, DryRunResult, Origin
from forebay_server.blocks import documents as blocks
from forebay_server.deployments import queries as deployments
from forebay_server.dry_runs import rules
from forebay_server.errors import Invalid, NotFound
from forebay_server.protocol import PathName, Read, api_router
from forebay_server.work_pools import queries as pools
from forebay_server.work_pools.rules import check_template, referred_blocks

router = api_router("Work pools")


@router.post("/work_pools/{name}/validate")
async def validate_job_configuration(
    name: PathName, db: Read, body: DryRun | None = None
) -> DryRunResult:
    """Tell what a run of a pool would be started with, and what is wrong with it.

    Template, deployment and job variables are those that are given, else the pool's template and
    no variables. Unlike the routes that store them, this one tells every problem and is
    never refused for one. A Forebay extension.
    """
    tried = body or DryRun()
    pool = await pools.read(db, name)
    layers = []
    if tried.deployment_id is not None:
        deployment = await deployments.read(db, tried.deployment_id)
        layers.append((Origin.DEPLOYMENT, deployment.job_variables or {}))
    layers.append((Origin.RUN, tried.job_variables or {}))
    template = tried.base_job_template
    if template is not None:
        try:
            check_template(template, await blocks.existing(db, referred_blocks(template)))
        except (Invalid, NotFound) as error:
            return DryRunResult(valid=False, problems=[rules.template_problem(error)])
    used = template or pool.base_job_template or default_template(pool.type)
    return rules.dry_run(used, layers)
