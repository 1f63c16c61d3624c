"""Wrong credentials: how many are looked at, and who is not hindered by them."""

import base64

import httpx2 as httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from forebay.wire.tokens import Role, TokenCreate
from forebay_server.access import failed_logins, queries
from forebay_server.access.authentication import Authenticator, hash_token
from forebay_server.access.failed_logins import MOST_FAILURES, WINDOW_SECONDS, FailedLogins
from forebay_server.db.engine import Database
from forebay_server.settings import ServerSettings

RIGHT = {"authorization": "Bearer fb_admin"}
WRONG = {"authorization": "Bearer fb_guess"}


def basic(auth_string: str) -> dict[str, str]:
    return {"authorization": f"Basic {base64.b64encode(auth_string.encode()).decode()}"}


class Clock:
    """Seconds that the test lets pass."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def settings(settings: ServerSettings) -> ServerSettings:
    return settings.model_copy(
        update={"require_token": True, "api_auth_string": SecretStr("ada:right")}
    )


@pytest.fixture
async def client(api: httpx.AsyncClient, database: Database) -> httpx.AsyncClient:
    """A client of a server that knows one token."""
    async with database.write() as db:
        await queries.create(db, TokenCreate(name="a", role=Role.ADMIN), hash_token("fb_admin"))
    return api


async def statuses(client: httpx.AsyncClient, headers: dict[str, str], times: int) -> list[int]:
    return [(await client.get("/hello", headers=headers)).status_code for _ in range(times)]


async def test_after_ten_wrong_tokens_in_a_minute_the_client_is_told_to_wait(
    client: httpx.AsyncClient,
) -> None:
    first = await statuses(client, WRONG, MOST_FAILURES)

    refused = await client.get("/hello", headers=WRONG)

    assert first == [401] * MOST_FAILURES
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_failures")
    assert 0 < int(refused.headers["retry-after"]) <= WINDOW_SECONDS


async def test_a_right_token_works_where_wrong_ones_come_from(client: httpx.AsyncClient) -> None:
    await statuses(client, WRONG, MOST_FAILURES + 1)

    by_token = await client.get("/hello", headers=RIGHT)
    as_password = await client.get("/hello", headers=basic("ada:fb_admin"))

    assert (by_token.status_code, as_password.status_code) == (200, 200)


async def test_who_sends_no_credentials_fails_no_login(client: httpx.AsyncClient) -> None:
    answers = await statuses(client, {}, MOST_FAILURES + 1)

    assert answers == [401] * (MOST_FAILURES + 1)


async def test_an_auth_string_cannot_be_guessed_on_and_on(
    client: httpx.AsyncClient, app: FastAPI
) -> None:
    guesses = [basic(f"ada:{number}") for number in range(MOST_FAILURES)]
    for guess in guesses:
        await client.get("/hello", headers=guess)
    elsewhere = httpx.ASGITransport(app=app, client=("192.0.2.7", 1))

    here = await client.get("/hello", headers=basic("ada:right"))
    async with httpx.AsyncClient(transport=elsewhere, base_url=str(client.base_url)) as other:
        there = await other.get("/hello", headers=basic("ada:right"))

    assert (here.status_code, there.status_code) == (429, 200)


async def test_a_client_with_an_old_token_does_not_shut_out_its_neighbours_auth_string(
    client: httpx.AsyncClient,
) -> None:
    answers = set()
    for _ in range(3):
        await statuses(client, WRONG, MOST_FAILURES - 1)
        answers.update(await statuses(client, basic("ada:right"), 1))

    assert answers == {200}


async def test_an_open_stream_is_not_closed_by_failures_from_its_address(
    client: httpx.AsyncClient, app: FastAPI
) -> None:
    authenticator: Authenticator = app.state.authenticator
    await statuses(client, WRONG, MOST_FAILURES + 1)

    principal = await authenticator.principal_of_secret("ada:right", None)

    assert principal.role is Role.ADMIN


def test_failures_of_a_minute_ago_do_not_count() -> None:
    clock = Clock()
    logins = FailedLogins(clock)
    for _ in range(MOST_FAILURES):
        logins.add("192.0.2.1")
    locked = logins.seconds_locked("192.0.2.1")

    clock.now += WINDOW_SECONDS

    assert (locked, logins.seconds_locked("192.0.2.1")) == (WINDOW_SECONDS, 0)


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("fe80::1%eth0", "fe80::2", True),
        ("unix:", "not:an:address", False),
    ],
    ids=["ipv4", "one network", "two networks", "mapped", "link", "no address"],
)
def test_a_client_counts_by_its_address_or_its_network(
    one: str, other: str, is_same: bool
) -> None:
    logins = FailedLogins()
    for _ in range(MOST_FAILURES):
        logins.add(one)

    assert (logins.seconds_locked(other) > 0) is is_same


def test_however_many_addresses_fail_few_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failed_logins, "MOST_ADDRESSES", 3)
    logins = FailedLogins()

    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"):
        for _ in range(MOST_FAILURES):
            logins.add(address)

    locked = [bool(logins.seconds_locked(f"192.0.2.{last}")) for last in (1, 2, 3, 4)]
    assert locked == [False, True, True, True]
