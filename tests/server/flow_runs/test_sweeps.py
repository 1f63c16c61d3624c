"""Sweeps beside requests: whose run is worked on is left to whoever works on it."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from forebay.wire.states import StateCreate, StateType
from forebay_server.claims.tables import claims
from forebay_server.db.engine import Database
from forebay_server.flow_runs import rescues, transitions
from forebay_server.flow_runs.facts import Proposer
from forebay_server.flow_runs.tables import flow_runs
from tests.server.flow_runs.builders import a_place, a_run


@pytest.mark.postgres
async def test_a_sweep_does_not_wait_for_a_run_that_somebody_works_on(postgres_url: str) -> None:
    database = Database(postgres_url)
    place = await a_place(database)
    run = await a_run(database, place.queue_id)
    async with database.write() as db:
        pending = StateCreate(type=StateType.PENDING)
        await transitions.propose(db, run, pending, Proposer("w"))
        past = await db.now() - timedelta(seconds=1)
        await db.execute(update(claims).values(expires_at=past))
        claim_id = await db.scalar(select(claims.c.id))

    async with database.write() as busy:
        await busy.row(select(flow_runs).where(flow_runs.c.id == run).with_for_update())
        async with asyncio.timeout(1.5), database.write() as db:  # a lock is waited for longer
            is_rescued = await rescues.rescue(db, claim_id, run)

    assert not is_rescued
    await database.close()
