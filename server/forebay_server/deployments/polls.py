"""Statements about whether anybody polls for a deployment's runs."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import or_, update

from forebay.wire.deployments import DeploymentStatus
from forebay_server.db.engine import Transaction
from forebay_server.deployments.tables import deployments

POLLED_WITHIN = timedelta(seconds=60)  # or nobody serves the deployment


async def mark_polled(db: Transaction, ids: Sequence[UUID]) -> None:
    """Note that somebody asks for the runs of these deployments: they are READY."""
    statement = update(deployments).where(deployments.c.id.in_(ids))
    at = await db.now()
    await db.execute(statement.values(last_polled=at, status=DeploymentStatus.READY))


async def mark_unpolled(db: Transaction, at: datetime) -> int:
    """Make READY deployments that were not polled lately NOT_READY; how many."""
    last_polled = deployments.c.last_polled
    is_unpolled = or_(last_polled.is_(None), last_polled < at - POLLED_WITHIN)
    statement = (
        update(deployments)
        .where(deployments.c.status == DeploymentStatus.READY, is_unpolled)
        .values(status=DeploymentStatus.NOT_READY, updated=at)
    )
    return (await db.execute(statement)).rowcount
