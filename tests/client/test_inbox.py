"""Invitations are taken in order and once, whatever a server answers."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import msgspec
import pytest

from securechat.client import records
from securechat.client.errors import RefusedByServer
from securechat.client.events import Notice
from securechat.client.inbox import MAX_BUFFERED, Inbox
from securechat.client.joining import INBOX
from securechat.client.restored import meet
from securechat.client.session import Session
from securechat.protocol.messages import (
    Answer,
    Carried,
    Chunk,
    FetchInbox,
    GetBlob,
    GetTree,
    InboxEntries,
    InboxEntry,
    LoggedIn,
    RequestBody,
)
from tests.client.members import MemberOf
from tests.client.parts import NOW

REPEATS: dict[type[RequestBody], Callable[[], Answer]] = {
    FetchInbox: lambda: InboxEntries([welcome(1)], 1),
    GetTree: lambda: Chunk(0, 0, b""),
}


def welcome(place: int) -> InboxEntry:
    return InboxEntry(place, b"q" * 32, 1, 1, "x" * 26, Carried(b"nonsense"), NOW)


class Repeating:
    """A session whose server says the same whenever it is asked."""

    def __init__(self) -> None:
        self.asked: list[type[RequestBody]] = []
        self.answers = REPEATS

    async def request(self, body: RequestBody) -> Answer:
        self.asked.append(type(body))
        assert len(self.asked) < 50, "it asks for ever"
        return self.answers[type(body)]()


@pytest.fixture
def bob(tmp_path: Path) -> MemberOf:
    alice, bob = MemberOf(tmp_path, "alice"), MemberOf(tmp_path, "bob")
    alice.founds(bob)
    return bob


async def nothing(_conversation: int = 0) -> None:
    pass


def inbox_of(bob: MemberOf, session: Repeating) -> Inbox:
    return Inbox(bob.changes, cast(Session, session), bob.joiner, nothing, nothing)


async def test_an_inbox_that_repeats_itself_is_read_once(bob: MemberOf) -> None:
    session = Repeating()
    bob.events.clear()

    await inbox_of(bob, session).read()

    assert session.asked == [FetchInbox]
    assert bob.events == []


async def test_a_welcome_that_cannot_be_had_blocks_no_other(bob: MemberOf) -> None:
    """The server names a blob and gives something else: that invitation is refused, reading goes on."""
    named = InboxEntry(1, b"q" * 32, 1, 1, "x" * 26, Carried(blob=b"n" * 32, size=3), NOW)

    class Lying(Repeating):
        async def request(self, body: RequestBody) -> Answer:
            match body:
                case FetchInbox():
                    return InboxEntries([named] if body.start == 1 else [], 1)
                case GetBlob():
                    return Chunk(3, 0, b"lie")
                case _:
                    return await super().request(body)

    await inbox_of(bob, Lying()).read()

    assert records.counter(bob.changes.db, INBOX) == 1


async def test_a_welcome_that_the_server_had_no_time_for_is_taken_later(bob: MemberOf) -> None:
    class Busy(Repeating):
        async def request(self, body: RequestBody) -> Answer:
            if isinstance(body, GetTree) and GetTree not in self.asked:
                self.asked.append(GetTree)
                raise RefusedByServer("busy")
            if isinstance(body, FetchInbox):
                return InboxEntries([], records.counter(bob.changes.db, INBOX))
            return await super().request(body)

    inbox = inbox_of(bob, Busy())
    await inbox.read()
    before = records.counter(bob.changes.db, INBOX)
    inbox.pushed([welcome(before + 1)])
    with pytest.raises(RefusedByServer):
        await inbox.read()
    assert records.counter(bob.changes.db, INBOX) == before

    await inbox.read()
    assert records.counter(bob.changes.db, INBOX) == before + 1


def test_what_is_pushed_waits_in_bounded_number(bob: MemberOf) -> None:
    inbox = inbox_of(bob, Repeating())
    inbox.pushed([welcome(place) for place in range(2, MAX_BUFFERED + 10)])
    assert len(inbox._pushed) == MAX_BUFFERED


def logged_in(head: int) -> LoggedIn:
    return LoggedIn("bob", "b" * 26, 0, 1, head, 0, NOW)


def test_n_03_after_a_restore_it_is_asked_anew_whose_devices_have_changed(bob: MemberOf) -> None:
    """Changes that the server takes from then on stand at places that were seen before."""
    with bob.changes.change() as change:
        change.db.execute(
            "INSERT INTO profile (id, user, client, domain, server_host, server_port, server_key, login_salt,"
            " device_key, account_key, account_key_sealed, credential, statement, registered, changes_seen)"
            " VALUES (1, 'bob', 'x', 'd', 'localhost', 1, x'', x'', x'', x'', x'', x'', x'', 1, 60)"
        )
        records.set_counter(change.db, records.INCARNATION, 1)
        meet(change, msgspec.structs.replace(logged_in(7), incarnation=2), bob.groups, lambda: float(NOW))
    assert bob.store.value("SELECT changes_seen FROM profile") == 0


def test_a_false_end_of_the_inbox_keeps_no_later_invitation_out(bob: MemberOf) -> None:
    """One lie would put the place out of reach for every honest server after it."""
    with bob.changes.change() as change:
        records.set_counter(change.db, records.INCARNATION, 1)
        records.set_counter(change.db, INBOX, 1 << 62)
        meet(change, logged_in(7), bob.groups, lambda: float(NOW))

    assert records.counter(bob.store.db, INBOX) == 0
    assert [event.code for event in bob.events if isinstance(event, Notice)] == ["inbox_altered"]

    with bob.changes.change() as change:
        records.set_counter(change.db, INBOX, 7)
        bob.events.clear()
        meet(change, logged_in(7), bob.groups, lambda: float(NOW))
    assert records.counter(bob.store.db, INBOX) == 7
    assert bob.events == []


async def test_an_inbox_that_is_answered_with_something_else_is_not_asked_for_ever(bob: MemberOf) -> None:
    session = Repeating()
    session.answers = {FetchInbox: lambda: Chunk(0, 0, b"")}

    await inbox_of(bob, session).read()

    assert session.asked == [FetchInbox]
