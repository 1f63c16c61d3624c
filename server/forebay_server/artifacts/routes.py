"""HTTP of artifacts: parse, call, return."""

from collections.abc import Iterator
from uuid import UUID

from forebay.wire.artifacts import Artifact, ArtifactCreate, ArtifactUpdate, LatestArtifact
from forebay_server.access.objects import is_left_by_pool, runs_of_caller
from forebay_server.artifacts import queries
from forebay_server.artifacts.criteria import ArtifactCriteria, LatestCriteria
from forebay_server.artifacts.filters import ArtifactSort
from forebay_server.db.criteria import Condition
from forebay_server.db.engine import Transaction
from forebay_server.errors import Invalid, NotFound
from forebay_server.idempotency.keys import CREATES
from forebay_server.protocol import PathName, Read, Write, api_router, page_limit, page_offset

router = api_router("Artifacts", "/artifacts")


class ArtifactQuery(ArtifactCriteria):
    """Which artifacts, in which order."""

    sort: ArtifactSort | None = None
    limit: int | None = None
    offset: int | None = None


class LatestQuery(LatestCriteria):
    """Which keys with their latest artifacts, in which order."""

    sort: ArtifactSort | None = None
    limit: int | None = None
    offset: int | None = None


@router.post("/", status_code=201, dependencies=[CREATES])
async def create_artifact(body: ArtifactCreate, db: Write) -> Artifact:
    """Create an artifact; it is the latest of its key. The runs that it names need not exist.

    A worker's token makes those of runs of its pool only, the token of a run its own.
    """
    if db.pool_id is not None:
        await _check_run(db, body.flow_run_id)
    return Artifact.model_validate(await queries.create(db, body))


async def _check_run(db: Transaction, run_id: UUID | None) -> None:
    if run_id is None:
        raise Invalid(
            "With a worker's token an artifact must be of a flow run; set flow_run_id, or use a "
            "token of the role operator."
        )
    if not await runs_of_caller(db, {run_id}):
        raise NotFound("Flow run not found.")


@router.post("/filter")
async def filter_artifacts(db: Read, body: ArtifactQuery | None = None) -> list[Artifact]:
    """Artifacts that fulfil all filters, the newest first unless sorted; at most 200 a page."""
    query = body or ArtifactQuery()
    statement = queries.selected(
        [*query.conditions(), *_seen(db)],
        query.sort or ArtifactSort.ID_DESC,
        page_limit(query.limit),
        page_offset(query.offset),
    )
    return [Artifact.model_validate(row) for row in await db.rows(statement)]


@router.post("/count")
async def count_artifacts(db: Read, body: ArtifactCriteria | None = None) -> int:
    """How many artifacts fulfil all filters."""
    return await queries.count(db, [*(body or ArtifactCriteria()).conditions(), *_seen(db)])


@router.post("/latest/filter")
async def filter_latest_artifacts(
    db: Read, body: LatestQuery | None = None
) -> list[LatestArtifact]:
    """Keys whose latest artifact fulfils all filters, with that artifact; at most 200 a page."""
    query = body or LatestQuery()
    statement = queries.selected_latest(
        [*query.conditions(), *_seen(db)],
        query.sort or ArtifactSort.ID_DESC,
        page_limit(query.limit),
        page_offset(query.offset),
    )
    return [LatestArtifact.model_validate(row) for row in await db.rows(statement)]


@router.post("/latest/count")
async def count_latest_artifacts(db: Read, body: LatestCriteria | None = None) -> int:
    """How many keys there are whose latest artifact fulfils all filters."""
    return await queries.count_latest(db, [*(body or LatestCriteria()).conditions(), *_seen(db)])


@router.get("/{id:uuid}")
async def read_artifact(id: UUID, db: Read) -> Artifact:
    """Read an artifact."""
    return Artifact.model_validate(await queries.read(db, queries.has_id(id)))


@router.get("/{key}/latest")
async def read_latest_artifact(key: PathName, db: Read) -> Artifact:
    """Read the latest artifact of a key."""
    return Artifact.model_validate(await queries.read_latest(db, key, *_seen(db)))


@router.patch("/{id:uuid}", status_code=204)
async def update_artifact(id: UUID, body: ArtifactUpdate, db: Write) -> None:
    """Change the fields that are present."""
    await queries.update(db, queries.has_id(id), body.model_dump(exclude_unset=True))


@router.delete("/{id:uuid}", status_code=204)
async def delete_artifact(id: UUID, db: Write) -> None:
    """Delete an artifact; the latest of its key is then the one before."""
    if not await queries.delete(db, queries.has_id(id)):
        raise NotFound(queries.MISSING)


def _seen(db: Transaction) -> Iterator[Condition]:
    """What narrows artifacts to those that the caller may see: a run's own, or a pool's runs'."""
    if db.run_id is not None:
        yield queries.is_of_run(db.run_id)
    elif db.pool_id is not None:
        yield is_left_by_pool(db.pool_id)
