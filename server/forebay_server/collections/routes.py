"""HTTP of the registry of pool types, in the shape in which stock clients read it."""

from typing import Any

from forebay.pool_types import PoolType, pool_types
from forebay.wire.base import Lenient
from forebay_server.errors import NotFound
from forebay_server.protocol import api_router

router = api_router("Pool types", "/collections")

WORKER_METADATA = "aggregate-worker-metadata"


class WorkerMetadata(Lenient):
    """One pool type. Source: Prefect 3.8.4, worker metadata of collections."""

    type: str
    display_name: str
    description: str
    default_base_job_configuration: dict[str, Any]
    install_command: str
    documentation_url: str = ""
    logo_url: str = ""
    is_beta: bool = False


@router.get("/views/{view}")
async def read_view(view: str) -> dict[str, dict[str, WorkerMetadata]]:
    """List the known pool types: metadata by type by the package that has the worker."""
    if view != WORKER_METADATA:
        raise NotFound(f'View "{view}" not found; there is only "{WORKER_METADATA}".')
    collections: dict[str, dict[str, WorkerMetadata]] = {}
    for known in pool_types().values():
        collections.setdefault(known.collection, {})[known.type] = _metadata(known)
    return collections


def _metadata(known: PoolType) -> WorkerMetadata:
    return WorkerMetadata(
        type=known.type,
        display_name=known.display_name,
        description=known.description,
        default_base_job_configuration=known.default_template,
        install_command=f"pip install {known.collection}",
    )
