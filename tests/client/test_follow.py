"""A consumer that must lose nothing: told until it has acknowledged."""

import asyncio

import pytest

from securechat.client.errors import ServerChanged
from securechat.client.events import Disconnected, Notice
from securechat.client.face import own_face
from securechat.client.follow import WINDOW, following
from tests.client.holder import ListHolder, a_message


async def test_what_waits_and_what_comes_is_told_once_each() -> None:
    holder = ListHolder()
    holder.arrive(a_message(1))

    async with following(own_face(holder)) as messages:
        assert (await anext(messages)).local_id == 1
        holder.arrive(a_message(2))
        assert (await anext(messages)).local_id == 2
        await messages.acknowledge([1])
        holder.arrive(a_message(3))
        assert (await anext(messages)).local_id == 3


async def test_what_was_not_acknowledged_comes_again_to_the_next_one() -> None:
    """At least once: whoever died before its word is followed by one that hears the message again."""
    holder = ListHolder()
    holder.arrive(a_message(1), a_message(2))
    async with following(own_face(holder)) as messages:
        await anext(messages)
        await anext(messages)
        await messages.acknowledge([1])

    async with following(own_face(holder)) as messages:
        assert (await anext(messages)).local_id == 2


async def test_who_acknowledges_nothing_is_told_no_more_than_a_window() -> None:
    holder = ListHolder()
    holder.arrive(*map(a_message, range(1, WINDOW + 2)))

    async with following(own_face(holder)) as messages:
        told = [(await anext(messages)).local_id for _ in range(WINDOW)]
        more = asyncio.ensure_future(anext(messages))
        await asyncio.sleep(0)
        assert not more.done()
        await messages.acknowledge([told[0]])
        assert (await more).local_id == WINDOW + 1


async def test_dropped_events_drop_no_message() -> None:
    holder = ListHolder()
    async with following(own_face(holder)) as messages:
        next_one = asyncio.ensure_future(anext(messages))
        await asyncio.sleep(0)
        holder.waiting.append(a_message(1))
        holder.tell(Notice("events_dropped", "some were"))
        assert (await next_one).local_id == 1


async def test_a_session_that_ended_for_good_is_not_waited_for() -> None:
    holder = ListHolder()
    holder.over = ServerChanged("the key has changed", old="a", new="b")
    async with following(own_face(holder)) as messages:
        holder.tell(Disconnected("the key has changed", None))
        for _ in range(2):
            with pytest.raises(ServerChanged):
                await anext(messages)


async def test_a_client_that_was_closed_has_no_more_messages() -> None:
    holder = ListHolder()
    async with following(own_face(holder)) as messages:
        holder.tell(None)
        assert [message async for message in messages] == []
