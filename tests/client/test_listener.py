"""What waits for a listener is bounded, in number and in bytes."""

import sys

from msgspec import structs

from securechat.client.events import Event, Message, MessageChanged, MessageReceived, Notice
from securechat.client.listener import MAX_BYTES, MAX_EVENTS, Listener
from tests.client.holder import a_message

WIDE = "\N{GRINNING FACE}" + "x" * 60_000


def large(number: int, **changes: object) -> Message:
    return structs.replace(a_message(number, WIDE), **changes)


async def heard(listener: Listener) -> list[Event]:
    listener.put(None)
    return [event async for event in listener]


def bytes_of(events: list[Event]) -> int:
    return sum(sys.getsizeof(each.message.text) for each in events if isinstance(each, MessageReceived))


async def test_of_large_messages_so_many_wait_as_their_bytes_allow() -> None:
    listener = Listener()
    for number in range(1000):
        listener.put(MessageReceived(large(number)))

    first, *rest = await heard(listener)

    assert isinstance(first, Notice)
    assert first.code == "events_dropped"
    assert MAX_BYTES - 2 * sys.getsizeof(WIDE) < bytes_of(rest) <= MAX_BYTES
    assert [each.message.local_id for each in rest][-1] == 999  # type: ignore[union-attr]


async def test_of_a_message_that_changes_without_end_the_newest_waits_and_nothing_is_dropped() -> None:
    listener = Listener()
    listener.put(MessageReceived(a_message(1)))
    for edited in range(10_000):
        listener.put(MessageChanged(large(7, edited=edited)))
    listener.put(MessageReceived(a_message(2)))

    first, *changes, last = await heard(listener)

    assert (first, last) == (MessageReceived(a_message(1)), MessageReceived(a_message(2)))
    assert len(changes) < 10
    assert changes[-1] == MessageChanged(large(7, edited=9_999))


async def test_little_changes_are_told_one_by_one() -> None:
    told = [MessageChanged(structs.replace(a_message(1), edited=edited)) for edited in range(100)]
    listener = Listener(told)

    assert await heard(listener) == told


async def test_one_event_is_told_however_large_it_is() -> None:
    huge = MessageReceived(a_message(1, "x" * 2 * MAX_BYTES))

    assert await heard(Listener([huge])) == [huge]


async def test_small_ones_are_counted() -> None:
    listener = Listener(Notice(str(number), "") for number in range(MAX_EVENTS + 5))

    _dropped, *rest = await heard(listener)

    assert len(rest) == MAX_EVENTS
