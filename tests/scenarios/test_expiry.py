"""Somebody comes back after the server has let go of what waited (Q-08)."""

import shutil
from typing import Any

import pytest

from securechat.client.config import Home
from securechat.client.events import Held, Invited, Notice
from securechat.protocol.messages import Entries, Entry, Gap
from securechat.server import delivery
from tests.scenarios.test_rooms import room_of_three
from tests.scenarios.world import Person, World
from tests.server.sweeping import rows, sweep


async def days_later(world: World, days: float) -> None:
    assert world.app is not None
    await sweep(world.app, days=days)


async def until_the_server_knows(world: World, cursor: int, *, members: int) -> None:
    """Wait until so many have said that they have what they need."""
    assert world.app is not None
    while True:
        world.app._riders.leave()
        found = await rows(
            world.app, 'SELECT count(*) FROM member WHERE "end" IS NULL AND cursor >= ?', cursor
        )
        if found == [(members,)]:
            return


def said(person: Person, conversation: str) -> list[str]:
    return [message.text for message in person.client.messages(conversation)]


async def test_q_08_one_line_stands_where_messages_are_missing(world: World) -> None:
    alice, bob = await world.join("alice", "bob")
    await alice.says("@bob", "one")
    await bob.hears("one")
    await bob.close()
    for text in ("two", "three"):
        await alice.says("@bob", text)

    await days_later(world, 31)
    await bob.open()
    await bob.sees(Notice, lambda event: event.code == "expired")
    await alice.says("@bob", "are you back?")
    await bob.hears("are you back?")
    await bob.says("@alice", "yes, and I see that something is missing")

    assert said(bob, "@alice") == [
        "one",
        "(2 messages were kept too long on the server and are gone)",
        "are you back?",
        "yes, and I see that something is missing",
    ]
    assert not [event for event in alice.events + bob.events if isinstance(event, Held)]


async def test_q_08_who_sent_what_expired_unread_is_told_at_the_next_connection_and_once(
    world: World,
) -> None:
    alice, bob = await world.join("alice", "bob")
    await alice.says("@bob", "one")
    await bob.hears("one")
    await until_the_server_knows(world, 2, members=2)
    await bob.close()
    for text in ("two", "three"):
        await alice.says("@bob", text)

    await days_later(world, 31)
    for _ in range(2):
        await alice.close()
        await alice.open()
        await alice.client.caught_up()
    told = await alice.sees(Notice, lambda event: event.code == "expired_unread")
    await alice.says("@bob", "are you there?")
    await bob.open()
    await bob.hears("are you there?")

    assert told.text == ("@bob: 2 messages of yours expired on the server before everybody had read them")
    assert [(each.text, each.code) for each in alice.client.messages("@bob")] == [
        ("one", ""),
        ("two", "expired_unread"),
        ("three", "expired_unread"),
        ("are you there?", ""),
    ]
    assert [each.code for each in alice.events if isinstance(each, Notice)].count("expired_unread") == 1
    assert not [each for each in bob.events if isinstance(each, Notice) and each.code == "expired_unread"]


async def test_q_08_an_invitation_that_waited_too_long_is_said_to_be_gone(world: World) -> None:
    alice, bob = await world.join("alice", "bob")
    await bob.close()
    await alice.client.create_room("#team")
    await alice.client.invite("#team", "bob")

    await days_later(world, 31)
    await bob.open()

    gone = await bob.sees(Notice, lambda event: event.code == "invitation_expired")
    (why,) = bob.client.why()
    assert [each.text for each in why.troubles] == [gone.text]
    assert "who invited you can do so again" in gone.text
    await alice.client.remove("#team", "bob")
    await alice.client.invite("#team", "bob")
    await bob.sees(Invited)
    await bob.client.join("#team")
    await alice.says("#team", "at last")
    await bob.hears("at last")


async def test_who_missed_a_change_of_the_group_is_told_and_sends_nothing(world: World) -> None:
    """rules.md D, row 4: commits have had their time too."""
    alice, bob, _carol = await room_of_three(world)
    await bob.close()
    await alice.client.remove("#team", "carol")
    await alice.says("#team", "carol is gone")

    await days_later(world, 91)
    await bob.open()
    held = await bob.sees(Held)

    assert (held.conversation, held.code) == ("#team", "missing_commit")
    await bob.client.send("#team", "can anybody hear me?")
    await bob.client.caught_up()
    assert bob.client.status().queued == 1

    bob.events.clear()
    await alice.client.remove("#team", "bob")
    await alice.client.invite("#team", "bob")
    await bob.sees(Invited)
    await bob.client.join("#team")
    await alice.says("#team", "here you are")
    await bob.hears("here you are")
    await bob.says("#team", "at last")
    await alice.hears("at last")


async def test_an_older_copy_of_a_profile_enters_anew_where_everybody_has_read(world: World) -> None:
    """The copy asks for what its device has acknowledged, and nobody keeps it any more."""
    alice, bob = await world.join("alice", "bob")
    await alice.says("@bob", "one")
    await bob.hears("one")
    await bob.close()
    shutil.copytree(bob.home.path, world.folder / "copy")
    await bob.open()
    await alice.says("@bob", "two")
    await bob.hears("two")
    await until_the_server_knows(world, 3, members=2)
    await bob.close()
    await days_later(world, 1)

    bob.home = Home(world.folder / "copy")
    bob.events.clear()
    await bob.open()
    await bob.sees(Notice, lambda event: event.code == "rejoined")
    await bob.says("@alice", "I am back from a copy")
    await alice.hears("I am back from a copy")
    await alice.says("@bob", "welcome back")
    await bob.hears("welcome back")

    assert said(bob, "@alice")[1] == "(1 message was kept too long on the server and is gone)"
    assert not [event for event in alice.events + bob.events if isinstance(event, Held)]


async def test_m_10_a_gap_beyond_the_logs_end_stops_the_reading(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = await world.join("alice", "bob")
    await alice.says("@bob", "one")
    await bob.hears("one")
    await bob.close()
    await alice.says("@bob", "two")

    def lie(group: bytes, entries: list[Entry | Gap], head: int) -> Any:
        return Entries(group, [Gap(head, head + 7, [bytes(32)] * 8)] if entries else [], head)

    monkeypatch.setattr(delivery, "Entries", lie)
    await bob.open()

    held = await bob.sees(Held)
    assert (held.conversation, held.code) == ("@alice", "invalid_entry")
