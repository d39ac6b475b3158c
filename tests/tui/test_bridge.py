"""Two threads, two loops, and values between them."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from securechat.client.errors import Forbidden, WrongPassword
from securechat.client.events import Disconnected, Event, MessageReceived, Notice
from securechat.tui import bridge as module
from securechat.tui.backend import Asked, Backend, Confirm, Maybe, News
from securechat.tui.bridge import Bridge, Closed
from tests.tui.fake import FakeClient, message, talk_of_two


@pytest.fixture
def client() -> FakeClient:
    return talk_of_two()


@pytest.fixture
def bridge(client: FakeClient) -> Iterator[Bridge]:
    made = Bridge(client.opened, client.commanded, "right")
    made.start()
    made.wait_ready(10)
    yield made
    made.close_now()


async def heard(bridge: Bridge, count: int) -> list[list[News]]:
    """Listen until so many events came; return them in their batches."""
    batches: list[list[News]] = []
    enough = asyncio.Event()

    def receive(batch: list[News]) -> None:
        batches.append(batch)
        if sum(map(len, batches)) >= count:
            enough.set()

    bridge.listen(receive)
    async with asyncio.timeout(20):
        await enough.wait()
    return batches


async def test_work_is_done_in_a_thread_of_its_own_and_its_errors_come_back(bridge: Bridge) -> None:
    assert await bridge.ask(lambda _: threading.current_thread().name) == "client"

    def refuse(_: object) -> None:
        raise Forbidden("forbidden", "no")

    with pytest.raises(Forbidden):
        await bridge.ask(refuse)


async def test_events_come_in_their_order(bridge: Bridge, client: FakeClient) -> None:
    events = [MessageReceived(message(100 + at, str(at))) for at in range(500)]

    async def happen(_: Backend) -> int:
        await client.followed.wait()
        for event in events:
            client.happen(event)
        return len(events)

    def begin(client_: Backend) -> Maybe[int]:
        return happen(client_)

    _, batches = await asyncio.gather(bridge.ask(begin), heard(bridge, 500))
    assert [event for batch in batches for event in batch] == events


async def test_what_waits_for_the_screen_comes_as_one_batch(bridge: Bridge, client: FakeClient) -> None:
    events = [MessageReceived(message(100 + at, str(at))) for at in range(50)]

    async def happen(_: Backend) -> int:
        await client.followed.wait()
        for event in events:
            client.happen(event)
        assert client.news is not None
        await client.news.join()
        return 50

    def begin(client_: Backend) -> Maybe[int]:
        return happen(client_)

    await bridge.ask(begin)
    assert await heard(bridge, 50) == [events]


async def test_a_screen_that_sleeps_is_told_what_it_missed(
    bridge: Bridge, client: FakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_WAITING", 10)

    async def happen(_: Backend) -> int:
        await client.followed.wait()
        for at in range(30):
            client.happen(MessageReceived(message(100 + at, str(at))))
        assert client.news is not None
        await client.news.join()
        return 30

    def begin(client_: Backend) -> Maybe[int]:
        return happen(client_)

    await bridge.ask(begin)
    (batch,) = await heard(bridge, 11)
    assert len(batch) == 11
    assert isinstance(batch[-1], Notice)
    assert batch[-1].code == "events_dropped"


async def test_what_cannot_be_opened_says_why(client: FakeClient) -> None:
    made = Bridge(client.opened, client.commanded, "wrong")
    made.start()
    with pytest.raises(WrongPassword):
        await made.ready()
    await made.close()
    with pytest.raises(Closed):
        await made.ask(lambda each: each.status())


async def test_nothing_is_asked_of_a_closed_account(bridge: Bridge) -> None:
    await bridge.close()
    with pytest.raises(Closed):
        await bridge.ask(lambda each: each.status())
    with pytest.raises(Closed):
        await bridge.command("/rooms", "")


async def test_the_end_of_the_events_is_told_and_the_account_closed(client: FakeClient) -> None:
    async def broken() -> AsyncIterator[Event]:
        if client.rooms:
            raise Forbidden("replaced", "somebody else took over")
        yield Notice("", "")

    client.events = broken  # type: ignore[assignment,method-assign]
    made = Bridge(client.opened, client.commanded, "right")
    made.start()
    batches = await heard(made, 2)
    lost, notice = (event for batch in batches for event in batch)
    assert isinstance(lost, Disconnected)
    assert isinstance(notice, Notice)
    assert "somebody else took over" in notice.text
    await made.close()


async def test_a_question_of_the_worker_waits_for_the_person() -> None:
    client = talk_of_two()
    answers: list[bool] = []

    @asynccontextmanager
    async def opened(password: str, confirm: Confirm) -> AsyncIterator[Any]:
        async def ask() -> None:
            answers.append(await confirm("trust it?"))

        asking = asyncio.create_task(ask())
        async with client.opened(password, confirm) as found:
            yield found
        await asking

    made = Bridge(opened, client.commanded, "right")
    made.start()
    ((asked,),) = await heard(made, 1)
    assert asked == Asked("trust it?")
    made.answer(yes=True)
    await made.close()
    assert answers == [True]
