"""A worker's token from opening to closing, with the renewals that Terraform asks for between."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from forebay.calls import tokens, work_pools
from forebay.client import Client
from forebay.settings import ClientSettings
from forebay.wire.work_pools import WorkPoolCreate
from forebay_provider.ephemeral.worker_token import WorkerToken
from tests.conftest import RunningServer

TYPE = "forebay_worker_token"


@pytest.fixture
def client(shared_server: RunningServer) -> Iterator[Client]:
    settings = ClientSettings(api_url=shared_server.api_url, api_key=shared_server.api_key)
    with Client(settings) as made:
        yield made


@pytest.fixture
def opened(call: Any, client: Client, shared_server: RunningServer) -> Iterator[Any]:
    """The answer to opening a token of ten minutes."""
    pool = f"tokens {uuid4().hex[:8]}"
    client.send(work_pools.create(WorkPoolCreate(name=pool, type="process")))
    call.configure(endpoint=shared_server.api_url, api_key=shared_server.api_key)
    config = call.encode(WorkerToken, {"work_pool_name": pool, "ttl": "10m"})
    answer = call("OpenEphemeralResource", type_name=TYPE, config=config)
    assert not answer.diagnostics
    yield answer
    client.send(work_pools.delete(pool))


def test_renewal_lengthens_the_life_of_the_token_and_is_asked_for_again(
    call: Any, client: Client, opened: Any
) -> None:
    id = UUID(call.decode(WorkerToken, opened.result)["id"])
    before = client.send(tokens.read(id)).expires_at
    assert before is not None

    renewed = call("RenewEphemeralResource", type_name=TYPE, private=opened.private)

    after = client.send(tokens.read(id)).expires_at
    assert not renewed.diagnostics
    assert after is not None and after > before
    left = renewed.renew_at.ToDatetime(UTC) - datetime.now(UTC)
    assert timedelta(minutes=4) < left < timedelta(minutes=6)
    assert renewed.private == opened.private


def test_token_that_somebody_revoked_cannot_be_renewed_and_closes_in_silence(
    call: Any, client: Client, opened: Any
) -> None:
    client.send(tokens.revoke(UUID(call.decode(WorkerToken, opened.result)["id"])))

    renewed = call("RenewEphemeralResource", type_name=TYPE, private=opened.private)
    closed = call("CloseEphemeralResource", type_name=TYPE, private=opened.private)

    (problem,) = renewed.diagnostics
    assert problem.summary == f"Could not renew {TYPE}"
    assert not closed.diagnostics
