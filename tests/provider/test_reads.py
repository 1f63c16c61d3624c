"""Many reads from few requests, and never an old answer after a change of one's own."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from forebay.calls import work_pools, work_queues
from forebay.client import Client
from forebay.errors import NotFound
from forebay.settings import ClientSettings
from forebay.wire.work_pools import WorkPool, WorkPoolCreate, WorkPoolUpdate
from forebay.wire.work_queues import WorkQueue, WorkQueueCreate
from forebay_provider.connection import Connection, ProviderSettings
from tests.conftest import RunningServer
from tests.proxy import Proxy, Treatment, proxied

POOLS, QUEUES = 100, 500


@pytest.fixture(scope="module")
def objects(shared_server: RunningServer) -> Iterator[tuple[list[WorkPool], list[WorkQueue]]]:
    """A hundred pools with five queues each."""
    settings = ClientSettings(api_url=shared_server.api_url, api_key=shared_server.api_key)
    tag = uuid4().hex[:8]
    with Client(settings) as client, ThreadPoolExecutor(4) as threads:

        def make(number: int) -> tuple[WorkPool, list[WorkQueue]]:
            body = WorkPoolCreate(name=f"{tag} é {number:03}", type="process")
            pool = client.send(work_pools.create(body))
            bodies = [WorkQueueCreate(name=f"q {n}") for n in range(QUEUES // POOLS)]
            return pool, [client.send(work_queues.create(pool.name, b)) for b in bodies]

        made = list(threads.map(make, range(POOLS)))
        yield [pool for pool, _ in made], [queue for _, queues in made for queue in queues]
        for pool, _ in made:
            client.send(work_pools.delete(pool.name))


@pytest.fixture
def proxy(shared_server: RunningServer) -> Iterator[Proxy]:
    """Counts the requests of a test."""
    with proxied(shared_server.api_url) as made:
        yield made


def connection(proxy: Proxy, server: RunningServer, **settings: Any) -> Connection:
    client = ClientSettings(api_url=proxy.url, api_key=server.api_key)
    return Connection(ProviderSettings(client=client, **settings), "test")


def test_refresh_of_six_hundred_objects_costs_twenty_requests_at_most(
    proxy: Proxy, shared_server: RunningServer, objects: Any
) -> None:
    pools, queues = objects
    used = connection(proxy, shared_server)
    reads: list[Any] = [work_pools.read(pool.name) for pool in pools]
    reads += [work_queues.read_by_id(queue.id) for queue in queues]

    with ThreadPoolExecutor(10) as threads:
        answers = list(threads.map(used.send, reads))

    assert [answer.id for answer in answers] == [o.id for o in (*pools, *queues)]
    assert len(proxy.requests) <= 20, Counter(proxy.requests)


def test_queue_is_found_by_its_names_too(
    proxy: Proxy, shared_server: RunningServer, objects: Any
) -> None:
    _, queues = objects
    used = connection(proxy, shared_server)

    answers = [used.send(work_queues.read(q.work_pool_name, q.name)) for q in queues[:50]]

    assert [answer.id for answer in answers] == [queue.id for queue in queues[:50]]
    assert len(proxy.requests) <= 10


def test_single_read_is_a_single_request(
    proxy: Proxy, shared_server: RunningServer, objects: Any
) -> None:
    pools, _ = objects

    connection(proxy, shared_server).send(work_pools.read(pools[0].name))

    assert len(proxy.requests) == 1
    assert proxy.requests[0].startswith("GET ")


def test_few_reads_never_pay_for_a_large_server(
    proxy: Proxy, shared_server: RunningServer, objects: Any
) -> None:
    _, queues = objects
    used = connection(proxy, shared_server)

    used.send(work_queues.read_by_id(queues[0].id))
    used.send(work_queues.read_by_id(queues[-1].id))

    assert len(proxy.requests) <= 4


def test_object_that_no_page_holds_is_asked_for_by_itself(
    proxy: Proxy, shared_server: RunningServer, objects: Any
) -> None:
    pools, _ = objects
    used = connection(proxy, shared_server)
    for pool in pools[:5]:
        used.send(work_pools.read(pool.name))

    with pytest.raises(NotFound):
        used.send(work_pools.read("gone"))

    assert proxy.requests[-1] == "GET /api/work_pools/gone"


def test_change_is_seen_by_the_next_read(
    proxy: Proxy, shared_server: RunningServer, objects: Any
) -> None:
    pools, _ = objects
    used = connection(proxy, shared_server)
    for pool in pools[:5]:
        used.send(work_pools.read(pool.name))
    name = pools[7].name

    used.begin_changes()
    used.send(work_pools.update(name, WorkPoolUpdate(description="changed")))

    assert used.send(work_pools.read(name)).description == "changed"


def test_every_read_is_a_request_where_that_is_asked_for(
    proxy: Proxy, shared_server: RunningServer, objects: Any
) -> None:
    pools, _ = objects
    used = connection(proxy, shared_server, reads_in_bulk=False)

    for pool in pools[:5]:
        used.send(work_pools.read(pool.name))

    assert [line.split()[0] for line in proxy.requests] == ["GET"] * 5


def test_server_that_does_not_list_is_asked_for_each_object(
    shared_server: RunningServer, objects: Any
) -> None:
    pools, _ = objects

    def without_lists(number: int, line: str) -> Treatment:
        return "forbid" if line.endswith("/filter") else "pass"

    with proxied(shared_server.api_url, without_lists) as proxy:
        used = connection(proxy, shared_server)
        answers = [used.send(work_pools.read(pool.name)) for pool in pools[:10]]

    assert [answer.id for answer in answers] == [pool.id for pool in pools[:10]]
    assert len([line for line in proxy.requests if line.endswith("/filter")]) == 1
