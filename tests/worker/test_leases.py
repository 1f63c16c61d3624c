"""What a worker does that cannot renew its leases, down to a real connection that is cut."""

import threading
import time
from pathlib import Path

import pytest

from forebay.calls import work_pools
from forebay.wire.states import StateType
from forebay.wire.work_pools import OnLost, WorkPoolUpdate
from forebay_worker.leases import Leases
from tests.proxy import Treatment, proxied
from tests.worker.builders import until
from tests.worker.conftest import Site


def test_nothing_is_started_after_two_thirds_of_a_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    leases = Leases(heartbeat_seconds=3)  # a lease of 12 seconds
    now = time.monotonic()
    leases.renew(now)
    seen = []

    for seconds in (7.9, 8.1):
        monkeypatch.setattr(time, "monotonic", lambda at=now + seconds: at)
        seen.append(leases.is_fenced)

    assert seen == [False, True]


def test_a_worker_that_is_cut_off_ends_what_others_are_given(site: Site, tmp_path: Path) -> None:
    gate, is_cut = tmp_path / "gate", threading.Event()
    site.client.send(work_pools.update(site.name, WorkPoolUpdate(on_lost=OnLost.RESCHEDULE)))
    run_id = site.run(site.deploy("wait_for"), parameters={"gate": str(gate)})

    def treat(number: int, line: str) -> Treatment:
        return "lose" if is_cut.is_set() else "pass"

    with proxied(site.server.api_url, treat) as proxy:
        beat = {"FOREBAY_API_URL": proxy.url, "FOREBAY_WORKER_HEARTBEAT_SECONDS": "1"}
        site.worker(environment=beat)
        until(lambda: site.read(run_id).state_type is StateType.RUNNING)
        until(lambda: site.read(run_id).infrastructure_pid is not None)
        pid = int((site.read(run_id).infrastructure_pid or "").rpartition(":")[2])
        is_cut.set()
        began = time.monotonic()
        until(lambda: not Path(f"/proc/{pid}").exists())
        took = time.monotonic() - began
        is_cut.clear()
        gate.touch()
        until(lambda: site.read(run_id).state_type is StateType.COMPLETED)

    assert 2.5 < took < 4 + 2  # the lease is 4 seconds, from the last heartbeat that arrived
    assert site.read(run_id).run_count == 2
