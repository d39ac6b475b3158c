"""A consumer that keeps a number loses no message, wherever it ended."""

import asyncio
import contextlib

from securechat.client.events import Event, Message, MessageReceived
from securechat.client.face import Face, own_face
from securechat.client.resuming import PAGE, events_since
from tests.client.holder import CONNECTED, ListHolder, a_message


def number_of(event: Event) -> int:
    return event.message.local_id if isinstance(event, MessageReceived) else 0


async def numbers(face: Face, since: int, count: int) -> list[int]:
    """The numbers of the first events, 0 for what is no message."""
    async with contextlib.aclosing(events_since(face, since)) as events:
        return [number_of(await anext(events)) for _ in range(count)]


async def test_everything_after_the_number_comes_however_much_it_is() -> None:
    holder = ListHolder()
    holder.arrive(*(a_message(number) for number in range(1, 2 * PAGE + 3)))

    assert await numbers(own_face(holder, late=True), 1, 2 * PAGE + 2) == [0, *range(2, 2 * PAGE + 3)]


async def test_whoever_ends_in_between_takes_up_where_it_was() -> None:
    holder = ListHolder()
    holder.arrive(*map(a_message, range(1, 6)))
    face = own_face(holder, late=True)

    assert await numbers(face, 0, 3) == [0, 1, 2]
    holder.arrive(a_message(6))
    assert await numbers(face, 2, 5) == [0, 3, 4, 5, 6]


class Late(ListHolder):
    """Something comes just when one has begun to look back."""

    def said_since(self, local_id: int, limit: int) -> list[Message]:
        if not self.waiting:
            self.arrive(a_message(1))
        return super().said_since(local_id, limit)


async def test_what_comes_while_one_looks_back_is_not_lost() -> None:
    assert await numbers(own_face(Late(), late=True), 0, 3) == [0, 1, 1]


async def test_events_come_as_ever_when_nothing_was_said() -> None:
    holder = ListHolder()
    events = events_since(own_face(holder, late=True), 7)
    assert await anext(events) == CONNECTED
    waiting = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    holder.arrive(a_message(8))
    assert number_of(await waiting) == 8
