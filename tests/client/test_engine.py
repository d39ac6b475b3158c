"""Events are handed on in order, to each listener."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from securechat.client.engine import Engine
from securechat.client.events import Event, Notice
from securechat.client.listener import MAX_EVENTS, Listener
from tests.client.parts import NOW, a_store


def notice(number: int) -> Notice:
    return Notice("test", str(number))


async def test_a_listener_gets_what_came_before_and_after_in_order() -> None:
    listener = Listener([notice(1)])
    listener.put(notice(2))

    assert [await anext(listener), await anext(listener)] == [notice(1), notice(2)]


async def test_a_waiting_listener_is_woken() -> None:
    listener = Listener([])
    waiting = asyncio.ensure_future(anext(listener))
    await asyncio.sleep(0)
    listener.put(notice(1))

    assert await waiting == notice(1)


async def test_the_end_is_the_end_however_often_one_asks() -> None:
    listener = Listener([notice(1)])
    listener.put(None)

    assert [event async for event in listener] == [notice(1)]
    with pytest.raises(StopAsyncIteration):
        await anext(listener)


async def test_a_listener_that_sleeps_loses_the_oldest_and_is_told() -> None:
    listener = Listener([])
    for number in range(MAX_EVENTS + 5):
        listener.put(notice(number))

    first: Event = await anext(listener)
    assert isinstance(first, Notice)
    assert first.code == "events_dropped"
    assert await anext(listener) == notice(5)


def test_l_04_once_words_were_withdrawn_the_log_beside_the_store_is_emptied_once(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    engine = cast(Engine, SimpleNamespace(store=store, clock=lambda: NOW, _forgot=True))
    beside = tmp_path / "store.db-wal"
    assert beside.stat().st_size > 0
    assert Engine._forget_due(engine) > 0
    assert beside.stat().st_size == 0
    assert not engine._forgot
