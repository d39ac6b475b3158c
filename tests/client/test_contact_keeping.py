"""The list of contacts at the server: written when it changes; another in its place is named (N-02)."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from securechat.client import boxes, contact_box, contacts
from securechat.client.change import Changes
from securechat.client.contact_keeping import AGAIN, CUT, REFUSED, ContactKeeper
from securechat.client.errors import Disconnected, refusal
from securechat.client.events import Event, Notice
from securechat.client.notes import of_account
from securechat.client.store import create_store
from securechat.membership.renewal import Secrets
from securechat.protocol.limits import MAX_BOX
from securechat.protocol.messages import Answer, Box, Done, GetBox, PutBox, RequestBody
from tests.client.test_contact_box import ALL

SECRET, URI = b"s" * 32, "mimi://x.example/u/alice"


class Shelf:
    """A server's one box."""

    def __init__(self) -> None:
        self.box: Box | None = None
        self.put = 0

    async def ask(self, body: RequestBody) -> Answer:
        if isinstance(body, GetBox):
            if self.box is None:
                raise refusal("no_box")
            return self.box
        assert isinstance(body, PutBox)
        if body.serial != (0 if self.box is None else self.box.serial) + 1:
            raise refusal("stale_box")
        self.box, self.put = Box(body.serial, body.sealed), self.put + 1
        return Done()

    def content(self) -> contact_box.Contacts:
        assert self.box is not None
        data = boxes.open_box(
            SECRET, self.box.sealed, user_uri=URI, box=contact_box.BOX, serial=self.box.serial
        )
        return contact_box.read(data)


class Rounds:
    """A pause that ends a task's endless life after so many."""

    def __init__(self, most: int) -> None:
        self.left = most
        self.waited: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.left -= 1
        if self.left < 0:
            raise asyncio.CancelledError


@pytest.fixture
def changes(tmp_path: Path) -> Iterator[Changes]:
    def nothing(_change: Any) -> None:
        """Nobody is told."""

    with create_store(tmp_path / "store.db", bytes(32)) as store:
        with store.transaction() as db:
            contact_box.take_in(db, ALL, incarnation=1)
        yield Changes(store, done=nothing, undone=nothing, clock=lambda: 1.0)


def keeper(changes: Changes, shelf: Shelf, told: list[Event], pause: Rounds | None = None) -> ContactKeeper:
    device: Any = SimpleNamespace(user_uri=URI)

    class Known:
        async def current(self) -> Secrets:
            return Secrets(SECRET)

        async def opened(self, box: str) -> tuple[int, bytes] | None:
            return await boxes.get(shelf.ask, Secrets(SECRET), user_uri=URI, box=box)

    return ContactKeeper(changes, shelf.ask, device, Known(), told.append, pause or Rounds(10))


async def test_what_is_known_is_written_once_and_again_when_it_changes(changes: Changes) -> None:
    shelf, told = Shelf(), list[Event]()
    kept = keeper(changes, shelf, told)
    await kept.keep()
    await kept.keep()
    assert (shelf.put, shelf.content().people) == (1, ALL.people)

    with changes.store.transaction() as db:
        contacts.clear_verified(db, "bob")
    await kept.keep()
    assert shelf.put == 2
    assert [each.user for each in shelf.content().people if each.verified] == []
    kept.online()
    await kept.keep()  # a new connection looks, and has nothing to write
    assert (shelf.put, told) == (2, [])


async def test_n_02_a_mark_that_was_taken_back_does_not_come_again_from_another_device(
    changes: Changes, tmp_path: Path
) -> None:
    """Nor where the line broke just when it was written."""
    shelf, told = Shelf(), list[Event]()
    ours = keeper(changes, shelf, told)
    await ours.keep()
    with changes.store.transaction() as db:
        contacts.clear_verified(db, "bob")
    real = shelf.ask
    shelf_ask: list[RequestBody] = []

    async def broken(body: RequestBody) -> Answer:
        if isinstance(body, PutBox) and not shelf_ask:
            shelf_ask.append(body)
            raise Disconnected("the line broke")
        return await real(body)

    ours.ask = broken
    with pytest.raises(Disconnected):
        await ours.keep()
    with create_store(tmp_path / "other.db", bytes(32)) as store:  # another device that knows nobody
        other = keeper(Changes(store, done=print, undone=print, clock=lambda: 1.0), shelf, told)
        await other.keep()
        assert [each.user for each in shelf.content().people if each.verified] == ["bob"]
    await ours.keep()

    assert [each.user for each in shelf.content().people if each.verified] == []
    assert [each.user for each in shelf.content().people] == ["bob", "carol"]


@pytest.mark.parametrize("lie", ["older", "altered"])
async def test_n_02_a_list_that_our_devices_did_not_store_last_is_named_once_and_not_taken(
    changes: Changes, lie: str
) -> None:
    shelf, told = Shelf(), list[Event]()
    await keeper(changes, shelf, told).keep()
    first = shelf.box
    with changes.store.transaction() as db:
        contacts.set_verified(db, "carol", b"c" * 32, now=9)
    await keeper(changes, shelf, told).keep()
    assert first is not None
    assert shelf.box is not None
    assert shelf.box.serial == 2
    sealed = shelf.box.sealed
    shelf.box = first if lie == "older" else Box(2, sealed[:-1] + bytes([sealed[-1] ^ 1]))
    pause = Rounds(4)
    kept = keeper(changes, shelf, told, pause)
    kept.online()

    with pytest.raises(asyncio.CancelledError):
        await kept.run()

    assert [each.code for each in told if isinstance(each, Notice)] == [REFUSED]
    assert pause.waited.count(AGAIN) >= 2
    assert shelf.put == 2


async def test_n_02_that_not_everything_fits_is_told_once_until_it_does(
    changes: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf, events = Shelf(), list[Event]()
    changes._done = lambda change: events.extend(change.events)

    async def keeps_in(room: int) -> list[str]:
        """What is told by a new process where the box has so much room."""
        monkeypatch.setattr(contact_box, "ROOM_LEFT", MAX_BOX - room)
        events.clear()
        await keeper(changes, shelf, events).keep()
        return [each.text for each in events if isinstance(each, Notice) and each.code == CUT]

    (told,) = await keeps_in(110)
    assert "1 people and 2 conversations" in told
    assert [each.user for each in shelf.content().people] == ["bob"]
    assert await keeps_in(111) == []
    assert await keeps_in(100_000) == []
    assert [each.user for each in shelf.content().people] == ["bob", "carol"]
    assert len(await keeps_in(110)) == 1
    assert [each.code for each in of_account(changes.db)] == [CUT, CUT]
