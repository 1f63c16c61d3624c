"""Waits on a real server: a client that hangs up, a server that is told to end."""

import asyncio
import json
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

import pytest

from forebay.calls import claims, deployments, flows, work_pools, work_queues
from forebay.client import AsyncClient, Client
from forebay.settings import ClientSettings
from forebay.wire.claims import ClaimRequest
from forebay.wire.deployments import DeploymentCreate
from forebay.wire.flow_runs import DeploymentFlowRunCreate
from forebay.wire.flows import FlowCreate
from forebay.wire.work_pools import WorkPoolCreate
from tests.conftest import RunningServer


@pytest.fixture
def client(server: RunningServer) -> Iterator[Client]:
    """A client of a server with a pool `p`."""
    with Client(ClientSettings(api_url=server.api_url, api_key=server.api_key)) as made:
        made.send(work_pools.create(WorkPoolCreate(name="p", type="process")))
        yield made


def place_a_run(client: Client) -> None:
    flow = client.send(flows.create(FlowCreate(name="f")))
    body = DeploymentCreate(name="d", flow_id=flow.id, work_pool_name="p")
    deployment = client.send(deployments.create(body))
    client.send(deployments.create_flow_run(deployment.id, DeploymentFlowRunCreate()))


def request(server: RunningServer) -> bytes:
    """A request that waits, as it is on the wire."""
    body = json.dumps({"worker_name": "gone", "limit": 1, "wait_seconds": 60}).encode()
    head = (
        f"POST {urlsplit(server.api_url).path}/work_pools/p/claim HTTP/1.1\r\nhost: 127.0.0.1\r\n"
        f"authorization: Bearer {server.api_key}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def until_polled(client: Client) -> None:
    """Return when somebody has asked for runs: a request that finds none waits from then on."""
    give_up_at = time.monotonic() + 20
    while not client.send(work_queues.read("p", "default")).last_polled:
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


async def test_what_comes_after_a_client_has_hung_up_is_for_the_next(
    server: RunningServer, client: Client
) -> None:
    parts = urlsplit(server.api_url)
    _, writer = await asyncio.open_connection(parts.hostname, parts.port)
    writer.write(request(server))
    await writer.drain()
    await asyncio.to_thread(until_polled, client)

    writer.close()
    await writer.wait_closed()
    place_a_run(client)
    answer = client.send(claims.take("p", ClaimRequest(worker_name="w", limit=1)))

    assert len(answer.runs) == 1


async def test_a_server_that_ends_answers_who_waits(server: RunningServer, client: Client) -> None:
    settings = ClientSettings(api_url=server.api_url, api_key=server.api_key, max_tries=1)
    async with AsyncClient(settings) as waiting:
        wait = ClaimRequest(worker_name="w", limit=1, wait_seconds=60)
        claiming = asyncio.create_task(waiting.send(claims.take("p", wait)))
        await asyncio.to_thread(until_polled, client)

        began = datetime.now(UTC)
        server.process.send_signal(signal.SIGTERM)
        answer = await claiming
        await asyncio.to_thread(server.process.wait, 20)

    assert answer.runs == []
    assert (datetime.now(UTC) - began).total_seconds() < 8
