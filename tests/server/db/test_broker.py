"""What subscribers in one process are told, and what becomes of slow ones."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from forebay_server.db.broker import MAX_TAKEN, Broker, Lost, Subscription, Topic

NUMBERS: Topic[int] = Topic("numbers")
OTHERS: Topic[int] = Topic("others")

Subscribe = Callable[[Callable[[int], bool]], Subscription[int]]


def anything(_: int) -> bool:
    return True


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def subscribe(broker: Broker) -> Iterator[Subscribe]:
    """Makes subscriptions to numbers, ten of which may wait."""
    with ExitStack() as stack:
        yield lambda wants: stack.enter_context(broker.subscribe(NUMBERS, wants, 10))


async def test_each_subscriber_takes_what_it_wants_in_order(
    broker: Broker, subscribe: Subscribe
) -> None:
    odd, every = subscribe(lambda number: number % 2 == 1), subscribe(anything)

    broker.publish(NUMBERS, [1, 2])
    broker.publish(OTHERS, [99])
    broker.publish(NUMBERS, [3])

    assert await odd.take() == [1, 3]
    assert await every.take() == [1, 2, 3]


async def test_a_subscriber_waits_until_there_is_something(
    broker: Broker, subscribe: Subscribe
) -> None:
    even = subscribe(lambda number: number % 2 == 0)
    taking = asyncio.create_task(even.take())
    broker.publish(NUMBERS, [1])
    await asyncio.sleep(0)
    assert not taking.done()

    broker.publish(NUMBERS, [2])

    assert await taking == [2]


async def test_who_takes_too_slowly_is_lost_for_good_and_others_are_not(
    broker: Broker, subscribe: Subscribe
) -> None:
    slow, quick = subscribe(anything), subscribe(anything)
    for number in range(10):
        broker.publish(NUMBERS, [number])
    assert await quick.take() == list(range(10))

    broker.publish(NUMBERS, [10])
    broker.publish(NUMBERS, [11])

    assert slow.lost.is_set()
    for _ in range(2):
        with pytest.raises(Lost):
            await slow.take()
    assert await quick.take() == [10, 11]


async def test_one_large_commit_loses_nobody_and_is_taken_in_parts(
    broker: Broker, subscribe: Subscribe
) -> None:
    subscriber = subscribe(anything)

    broker.publish(NUMBERS, range(MAX_TAKEN + 50))

    assert await subscriber.take() == list(range(MAX_TAKEN))
    assert await subscriber.take() == list(range(MAX_TAKEN, MAX_TAKEN + 50))


async def test_nothing_is_kept_for_who_has_left(broker: Broker) -> None:
    with broker.subscribe(NUMBERS, anything) as subscription:
        pass

    broker.publish(NUMBERS, [1])
    taking = asyncio.create_task(subscription.take())
    await asyncio.sleep(0)

    assert not taking.done()
    taking.cancel()
