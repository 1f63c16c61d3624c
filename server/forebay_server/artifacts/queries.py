"""Every statement about artifacts."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import Row, Select, func, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from forebay.wire.artifacts import ArtifactCreate
from forebay_server.artifacts.filters import ArtifactSort
from forebay_server.artifacts.tables import (
    ArtifactKeyRow,
    ArtifactRow,
    artifact_keys,
    artifacts,
)
from forebay_server.db.criteria import Condition
from forebay_server.db.engine import Transaction
from forebay_server.errors import NotFound

MISSING = "Artifact not found."

_latest = artifacts.join(artifact_keys, artifact_keys.c.latest_id == artifacts.c.id)


def has_id(id: UUID) -> Condition:
    """The condition for the artifact of that id."""
    return artifacts.c.id == id


def is_of_run(id: UUID) -> Condition:
    """The condition for what a flow run left."""
    return artifacts.c.flow_run_id == id


def is_of_runs(ids: Select[tuple[UUID]] | Sequence[UUID]) -> Condition:
    """The condition for what some flow runs left, as listed or as a statement selects them."""
    return artifacts.c.flow_run_id.in_(ids)


# ------------------------------------------------------------------------------------- writing


async def create(db: Transaction, body: ArtifactCreate) -> ArtifactRow:
    """Store an artifact; it is the latest of its key, unless one made after it is there first."""
    at = await db.now()
    row = ArtifactRow(**body.model_dump(), created=at, updated=at)
    await db.execute(insert(artifacts).values(row.model_dump()))
    if row.key is not None:
        key = ArtifactKeyRow(key=row.key, latest_id=row.id, created=at, updated=at)
        dialect = sqlite if db.dialect == "sqlite" else postgresql
        statement = dialect.insert(artifact_keys).values(key.model_dump())
        given = statement.excluded
        await db.execute(
            statement.on_conflict_do_update(
                index_elements=["key"],
                set_={"latest_id": given.latest_id, "updated": given.updated},
                where=artifact_keys.c.latest_id < given.latest_id,
            )
        )
    return row


async def update(db: Transaction, condition: Condition, changes: dict[str, Any]) -> None:
    """Change columns of an artifact. Raises `NotFound`."""
    statement = sa.update(artifacts).where(condition)
    if not (await db.execute(statement.values(**changes, updated=await db.now()))).rowcount:
        raise NotFound(MISSING)


async def delete(db: Transaction, condition: Condition) -> int:
    """Delete artifacts; how many there were. The latest of a key is then the newest left.

    Keys are locked before: whoever makes or deletes another version of one waits.
    """
    if await db.row(select(artifacts.c.id).where(condition).limit(1)) is None:
        return 0
    doomed = select(artifacts.c.id).where(condition)
    keys = select(artifacts.c.key).where(condition, artifacts.c.key.is_not(None))
    touched = select(artifact_keys.c.id).where(artifact_keys.c.key.in_(keys))
    await db.execute(touched.order_by(artifact_keys.c.key).with_for_update())
    left = artifacts.alias("left")
    newest = (
        select(left.c.id)
        .where(left.c.key == artifact_keys.c.key, left.c.id.not_in(doomed))
        .order_by(left.c.id.desc())
        .limit(1)
        .correlate(artifact_keys)
        .scalar_subquery()
    )
    is_losing = artifact_keys.c.latest_id.in_(doomed)
    await db.execute(sa.delete(artifact_keys).where(is_losing, newest.is_(None)))
    change = sa.update(artifact_keys).where(is_losing)
    await db.execute(change.values(latest_id=newest, updated=await db.now()))
    return (await db.execute(sa.delete(artifacts).where(condition))).rowcount


# ------------------------------------------------------------------------------------- reading


async def read(db: Transaction, condition: Condition) -> Row[Any]:
    """The one artifact that fulfils `condition`. Raises `NotFound`."""
    row = await db.row(select(artifacts).where(condition))
    if row is None:
        raise NotFound(MISSING)
    return row


async def read_latest(db: Transaction, key: str, *conditions: Condition) -> Row[Any]:
    """The latest artifact of a key, if it fulfils `conditions`. Raises `NotFound`."""
    statement = select(artifacts).select_from(_latest).where(artifact_keys.c.key == key)
    row = await db.row(statement.where(*conditions))
    if row is None:
        raise NotFound(MISSING)
    return row


def selected(
    conditions: Sequence[Condition], sort: ArtifactSort, limit: int, offset: int
) -> Select[Any]:
    """The statement that reads a page of artifacts."""
    statement = select(artifacts).where(*conditions).order_by(*sort.columns())
    return statement.limit(limit).offset(offset)


def selected_latest(
    conditions: Sequence[Condition], sort: ArtifactSort, limit: int, offset: int
) -> Select[Any]:
    """The statement that reads a page of keys with their latest artifacts."""
    own = [column for column in artifacts.c if column.name not in ("id", "created")]
    of_key = (artifact_keys.c.id, artifact_keys.c.created, artifact_keys.c.latest_id)
    statement = select(*of_key, *own).select_from(_latest).where(*conditions)
    return statement.order_by(*sort.latest_columns()).limit(limit).offset(offset)


async def count(db: Transaction, conditions: Sequence[Condition]) -> int:
    """How many artifacts fulfil all `conditions`."""
    statement = select(func.count()).select_from(artifacts).where(*conditions)
    return int(await db.scalar(statement))


async def count_latest(db: Transaction, conditions: Sequence[Condition]) -> int:
    """How many keys there are whose latest artifact fulfils all `conditions`."""
    statement = select(func.count()).select_from(_latest).where(*conditions)
    return int(await db.scalar(statement))
