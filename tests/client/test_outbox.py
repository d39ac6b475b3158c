"""Requests with a name: in order, byte for byte, until there is an answer."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest

from securechat.client.change import Change
from securechat.client.errors import Disconnected, RefusedByServer, refusal
from securechat.client.intents import LONGEST_WAIT
from securechat.client.outbox import Outbox, Parcel, Purpose, StoredRequest, parcel, unanswered, waiting_any
from securechat.client.session import Session
from securechat.client.tasks import Tasks
from securechat.protocol.frames import decode_request
from securechat.protocol.limits import MAX_BODY
from securechat.protocol.messages import (
    Answer,
    Appended,
    Carried,
    PutChunk,
    RequestBody,
    SendMessage,
    Uploaded,
)
from tests.client.parts import NotingSession, Told, a_moment, a_store


class Desk:
    """An outbox with what it stands on."""

    def __init__(self, folder: Path) -> None:
        self.session = NotingSession()
        self.told = Told(a_store(folder))
        self.answers: list[tuple[int, Answer | RefusedByServer]] = []
        self.asked: list[StoredRequest] = []
        self.failures: list[Exception] = []
        tasks = Tasks(self.failures.append)
        self.outbox = Outbox(self.told.changes, cast(Session, self.session), tasks, self._answered)

    def _answered(self, _: Change, request: StoredRequest, answer: Answer | RefusedByServer) -> None:
        self.asked.append(request)
        if request.purpose is not Purpose.NONE:
            self.answers.append((request.ref, answer))

    def put(self, text: bytes, *, ref: int = 0, parcels: tuple[Parcel, ...] = ()) -> None:
        with self.told.changes.change() as change:
            body = SendMessage(bytes(16), 1, text)
            self.outbox.put(change, Purpose.SEND, body, ref=ref, parcels=parcels)
        self.outbox.kick()

    @property
    def names(self) -> list[int]:
        return [name for name, _ in self.session.sent]

    @property
    def unanswered(self) -> int:
        return unanswered(self.told.changes.db)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def test_nothing_is_sent_without_a_connection(desk: Desk) -> None:
    desk.put(b"one")
    await a_moment()

    assert desk.session.sent == []
    assert desk.unanswered == 1


async def test_requests_go_out_in_the_order_of_their_names(desk: Desk) -> None:
    for text in (b"one", b"two", b"three"):
        desk.put(text)

    assert not desk.outbox.online(high_water=0)
    await a_moment()

    assert desk.names == [1, 2, 3]


async def test_an_answer_ends_a_request(desk: Desk) -> None:
    desk.outbox.online(high_water=0)
    desk.put(b"one", ref=7)
    await a_moment()

    desk.session.futures[0].set_result(Appended(4))
    await a_moment()

    assert desk.answers == [(7, Appended(4))]
    assert desk.unanswered == 0


async def test_what_was_not_answered_is_sent_again_byte_for_byte(desk: Desk) -> None:
    """Q-05."""
    desk.outbox.online(high_water=0)
    desk.put(b"one")
    await a_moment()

    desk.outbox.offline()
    desk.session.futures[0].set_exception(Disconnected("the line broke"))
    desk.outbox.online(high_water=1)
    await a_moment()

    assert desk.session.sent[0] == desk.session.sent[1]
    assert desk.answers == []


async def test_an_answer_of_an_old_connection_is_not_taken(desk: Desk) -> None:
    desk.outbox.online(high_water=0)
    desk.put(b"one")
    await a_moment()
    desk.outbox.offline()
    desk.outbox.online(high_water=0)
    await a_moment()

    desk.session.futures[0].set_result(Appended(9))
    await a_moment()
    assert desk.answers == []
    desk.session.futures[1].set_result(Appended(4))
    await a_moment()

    assert desk.answers == [(0, Appended(4))]


@pytest.mark.parametrize("code", ["stale_epoch", "forbidden", "conflict", "forgotten"])
async def test_a_definite_refusal_ends_a_request_too(desk: Desk, code: str) -> None:
    desk.outbox.online(high_water=0)
    desk.put(b"one")
    await a_moment()

    desk.session.futures[0].set_exception(refusal(code))
    await a_moment()

    ((_, answer),) = desk.answers
    assert isinstance(answer, RefusedByServer)
    assert answer.code == code


@pytest.mark.parametrize("code", ["busy", "internal", "limited", "out_of_order"])
async def test_what_decides_nothing_is_asked_again_under_the_same_name(
    desk: Desk, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("securechat.client.outbox.RETRY_FIRST", 0.0)
    monkeypatch.setattr("securechat.client.outbox.RETRY_SPREAD", 0.0)
    desk.outbox.online(high_water=0)
    desk.put(b"one")
    await a_moment()

    desk.session.futures[0].set_exception(refusal(code))
    async with asyncio.timeout(5):
        await desk.session.sent_again(2)

    assert desk.session.sent[0] == desk.session.sent[1]
    assert desk.answers == []


class Clockwork:
    """The loop's time and timers, moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_000.0
        self.waits: list[float] = []
        self._due: list[tuple[float, Callable[[], object]]] = []
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "time", lambda: self.now)
        monkeypatch.setattr(loop, "call_later", self._call_later)

    def _call_later(self, delay: float, call: Callable[[], object]) -> asyncio.Handle:
        self.waits.append(delay)
        self._due.append((self.now + delay, call))
        return asyncio.Handle(call, (), asyncio.get_running_loop())

    async def pass_by(self) -> None:
        """Go to the next timer."""
        self.now, call = self._due.pop(0)
        call()
        await a_moment()


async def test_o_05_who_is_too_fast_waits_as_long_as_asked_and_goes_on_in_order(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clockwork(monkeypatch)
    desk.outbox.online(high_water=0)
    for text in (b"one", b"two", b"three"):
        desk.put(text)
    await a_moment()
    for future, code in zip(desk.session.futures, ("limited", "limited", "out_of_order"), strict=True):
        future.set_exception(refusal(code, retry_after=3 if code == "limited" else 0))
    await a_moment()
    assert desk.names == [1, 2, 3], "nothing is sent before the time"
    (wait,) = clock.waits
    assert 3 <= wait <= 4

    await clock.pass_by()
    assert desk.names[3:] == [1], "one shows whether there is room again"
    desk.session.futures[3].set_result(Appended(1))
    await a_moment()
    assert desk.names[4:] == [2, 3]
    assert desk.session.sent[4:] == desk.session.sent[1:3]


async def test_o_05_no_server_is_waited_for_as_long_as_it_likes(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clockwork(monkeypatch)
    desk.outbox.online(high_water=0)
    desk.put(b"one")
    await a_moment()
    desk.session.futures[0].set_exception(refusal("limited", retry_after=2**62))
    await a_moment()
    (wait,) = clock.waits
    assert LONGEST_WAIT <= wait <= LONGEST_WAIT + 1


async def test_o_05_a_person_reads_one_line_and_only_if_it_takes_long(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clockwork(monkeypatch)
    desk.outbox.online(high_water=0)
    desk.put(b"one")
    said: list[float] = []
    for _ in range(30):
        await a_moment()
        desk.session.futures[-1].set_exception(refusal("limited", retry_after=1))
        await a_moment()
        said += [clock.now for change in desk.told.done for event in change.events]
        desk.told.done.clear()
        await clock.pass_by()
    (when,) = said
    assert when - 1_000 >= 10


async def test_names_we_never_gave_mean_a_second_copy(desk: Desk) -> None:
    """D-06: and the next name is one that the server has not decided."""
    assert desk.outbox.online(high_water=5)
    desk.put(b"one")
    await a_moment()

    assert desk.names == [6]


@pytest.mark.parametrize("lie", [(1 << 63) - 1, (1 << 32) + 1])
async def test_a_lead_that_nobody_can_have_uses_up_no_names(desk: Desk, lie: int) -> None:
    """A server that says it once must not stop this profile for ever."""
    assert desk.outbox.online(high_water=lie)
    desk.put(b"one")
    await a_moment()

    assert desk.names == [1]


@pytest.mark.parametrize("at_once", [False, True])
async def test_what_no_server_would_take_is_answered_here_and_stops_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, *, at_once: bool
) -> None:
    """Its name is used up all the same, for the server takes names without gaps."""
    send = desk.session.send_named

    def refusing(name: int, body: bytes) -> "asyncio.Future[Answer]":
        decode_request(body)
        return send(name, body)

    monkeypatch.setattr(desk.session, "send_named", refusing)
    if at_once:
        desk.outbox.online(high_water=0)
    desk.put(b"x" * (MAX_BODY + 1), ref=7)
    desk.put(b"good", ref=8)
    desk.outbox.online(high_water=0)
    await a_moment()

    ref, answer = desk.answers[0]
    assert len(desk.answers) == 1
    assert (ref, isinstance(answer, RefusedByServer)) == (7, True)
    assert desk.names[-2:] == [1, 2]
    for future in desk.session.futures[-2:]:
        future.set_result(Appended(1))
    await a_moment()
    assert desk.unanswered == 0
    kept = [request.purpose for request in desk.asked]
    assert kept == [Purpose.SEND, Purpose.NONE, Purpose.SEND]


def put_and_fail(desk: Desk) -> None:
    with desk.told.changes.change() as change:
        desk.outbox.put(change, Purpose.SEND, SendMessage(bytes(16), 1, b"one"))
        raise ZeroDivisionError


async def test_a_failed_change_sends_nothing(desk: Desk) -> None:
    desk.outbox.online(high_water=0)
    with pytest.raises(ZeroDivisionError):
        put_and_fail(desk)
    desk.outbox.kick()
    await a_moment()

    assert desk.session.sent == []
    assert not waiting_any(desk.told.changes.db, Purpose.SEND)
    assert len(desk.told.undone) == 1


async def test_what_is_too_large_for_a_frame_goes_up_first(desk: Desk) -> None:
    desk.outbox.online(high_water=0)
    data = bytes(MAX_BODY + 1)
    desk.session.answers = [Uploaded(MAX_BODY), Uploaded(MAX_BODY + 1, b"n" * 32)]

    desk.put(b"names it", parcels=(parcel(data),))
    await a_moment()

    chunks = [each for each in desk.session.asked if isinstance(each, PutChunk)]
    assert b"".join(chunk.data for chunk in chunks) == data
    assert desk.names == [1]


@pytest.mark.parametrize("first_again", [False, True])
async def test_what_is_refused_while_something_goes_up_is_sent_again_and_before_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, *, first_again: bool
) -> None:
    """Q-05: its turn had been passed over, and the server takes nothing out of order."""
    clock = Clockwork(monkeypatch)
    go_on = asyncio.Event()
    honest = desk.session.request

    async def slow(body: RequestBody) -> Answer:
        await go_on.wait()
        return await honest(body)

    monkeypatch.setattr(desk.session, "request", slow)
    desk.session.answers = [Uploaded(MAX_BODY + 1, b"n" * 32), Uploaded(MAX_BODY + 1, b"n" * 32)]
    desk.outbox.online(high_water=0)
    desk.put(b"one")
    desk.put(b"names it", parcels=(parcel(bytes(MAX_BODY + 1)),))
    await a_moment()
    desk.session.futures[0].set_exception(refusal("busy"))
    await a_moment()
    if first_again:
        await clock.pass_by()
    go_on.set()
    await a_moment()
    if not first_again:
        await clock.pass_by()

    assert desk.names == [1, 1, 2]


def test_what_fits_a_frame_travels_in_it() -> None:
    assert parcel(b"small") == Parcel(Carried(body=b"small"))
