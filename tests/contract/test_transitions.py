"""Verdicts over HTTP against those that Prefect 3.8.4 gave, cell by cell."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx2 as httpx
import pytest

from forebay_server.db.engine import Database
from tests.server.flow_runs.builders import a_deployment, a_flow, a_place, a_run, propose

MATRIX = json.loads((Path(__file__).parent / "transition-matrix.json").read_text())
COMPARED = ("http", "status", "details", "state_type", "state_name", "run_count")

# On a queue a run is started once a claim; without one, as here in the original, again and again.
SECOND_START = {
    "http": 200,
    "status": "ABORT",
    "details": {
        "type": "abort_details",
        "reason": "Claim 1 of this run has been started already.",
    },
    "state_type": "RUNNING",
    "state_name": "Running",
    "run_count": 1,
}


async def _answer(api: httpx.AsyncClient, run: UUID, cell: dict[str, Any]) -> dict[str, Any]:
    """The cell as this server fills it: the first state is set by force."""
    first = await propose(api, run, cell["from"], force=True)
    assert first.json()["state"]["type"] == cell["from"], first.text
    answer = await propose(api, run, cell["to"], force=False)
    body = answer.json()
    count = (await api.get(f"/flow_runs/{run}")).json()["run_count"]
    return {
        "http": answer.status_code,
        "status": body["status"],
        "details": body["details"],
        "state_type": body["state"]["type"],
        "state_name": body["state"]["name"],
        "run_count": count,
    }


@pytest.mark.parametrize("kind", ["adhoc", "deployment", "deployment on a queue"])
async def test_every_cell_is_answered_as_recorded(
    api: httpx.AsyncClient, database: Database, kind: str
) -> None:
    recorded, _, is_placed = kind.partition(" ")
    flow_id = await a_flow(database)
    place = await a_place(database)
    fields: dict[str, Any] = {"flow_id": flow_id}
    if recorded == "deployment":
        fields["deployment_id"] = await a_deployment(database, flow_id)
    cells = [cell for cell in MATRIX if cell["run"] == recorded]
    assert len(cells) == 81

    differences = []
    for cell in cells:
        queue_id = place.queue_id if is_placed else None
        run = await a_run(database, queue_id, **fields)
        expected = {key: cell[key] for key in COMPARED}
        if is_placed and cell["from"] == cell["to"] == "RUNNING":
            expected = SECOND_START
        # Setting CANCELLING by force ends as CANCELLED while a run has no infrastructure.
        if cell["from"] == "CANCELLING":
            await propose(api, run, "PENDING", force=True)
        answer = await _answer(api, run, cell)
        if answer != expected:
            differences.append((cell["from"], cell["to"], expected, answer))

    assert differences == []
