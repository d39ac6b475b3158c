"""U-01, U-02, U-03: hostile strings in every place of every screen where something remote is drawn."""

import random
from typing import Any, Final

import pytest
from msgspec import structs
from rich.cells import cell_len

from securechat.client.events import (
    Conversation,
    Disconnected,
    FileInfo,
    Kind,
    Member,
    Message,
    MessageKind,
    MessageReceived,
    MessageState,
    Notice,
    Poll,
    PollOption,
    Reaction,
    Standing,
)
from securechat.errors import SecureChatError
from securechat.tui.composer import Composer
from securechat.tui.message_lines import Place, Setting, message_lines, note_lines
from securechat.tui.notices import sequence
from securechat.tui.paint import plain
from securechat.tui.panels import people_lines, rooms_lines, status_line, title_line
from securechat.tui.settings import Settings
from tests.tui.driving import Driven, driven
from tests.tui.fake import conversation, message, talk_of_two
from tests.tui.hostile import controls, harm

PLACES: Final[dict[str, Any]] = {
    "text": lambda evil: {"text": evil},
    "sender": lambda evil: {"sender": evil},
    "thread": lambda evil: {"thread": evil},
    "code": lambda evil: {"code": evil, "state": MessageState.REFUSED, "sender": "alice", "own": True},
    "unreadable": lambda evil: {"code": evil, "sender": evil, "state": MessageState.UNREADABLE},
    "reaction": lambda evil: {"reactions": (Reaction(evil, (evil,)), Reaction(evil, ("a", "b")))},
    "question": lambda evil: {"kind": MessageKind.POLL, "poll": Poll(evil, (PollOption(evil, (evil,)),))},
    "file": lambda evil: {
        "file": FileInfo(
            name=evil, content_type=evil, path=evil, state=evil, thumbnail=evil.encode("utf-8", "replace")
        )
    },
    "mention": lambda evil: {"text": evil, "mentions_me": True, "edited": 1, "expires": 2},
}
"""Every field of a message that somebody else writes."""


def hostile_message(place: str, evil: str, local_id: int = 50) -> Message:
    return structs.replace(message(local_id, "words"), **PLACES[place](evil))


def hostile_room(evil: str) -> Conversation:
    members = (Member(evil, evil, 2), Member("alice", "owner", 1))
    return structs.replace(
        conversation("#team"),
        members=members,
        kind=Kind.ANNOUNCEMENT,
        state=Standing.HELD,
        title=evil,
        topic=evil,
        last=evil,
        draft=evil,
        held_text=evil,
        held_code=evil,
        invited_by=evil,
        unread=3,
    )


@pytest.mark.parametrize("place", PLACES)
def test_every_field_of_a_message_is_drawn_as_text_within_its_width(place: str) -> None:
    made = random.Random(place)
    for _ in range(60):
        evil, width = harm(made), made.randint(1, 40)
        drawn = message_lines(
            hostile_message(place, evil),
            Place(day=True, unread=True, chosen=made.random() < 0.5, answers="@bob: words"),
            Setting(width=width, kind=Kind.ROOM, others=3),
        )
        for one in drawn:
            assert controls(plain(one)) == [], (place, evil)
        if width > 12:  # below, a head is cut when it is drawn
            body = [one for one in drawn if not plain(one).startswith("@")]
            assert all(cell_len(plain(one)) <= width for one in body), (place, evil, width)


def test_what_stands_around_the_messages_is_text_too() -> None:
    made = random.Random(7)
    for _ in range(150):
        evil = harm(made)
        room = hostile_room(evil)
        drawn = [
            *rooms_lines([room], "#team", made.randint(1, 30)),
            *people_lines(room, made.randint(1, 30)),
            title_line(room, evil, evil),
            title_line(None, evil, evil),
            status_line(room, online=False, why=evil, waiting=1, dnd=True),
            *note_lines(evil, made.randint(1, 30)),
        ]
        assert [controls(plain(one)) for one in drawn if controls(plain(one))] == []


def test_no_text_ends_the_sequence_of_a_notification() -> None:
    made = random.Random(8)
    for how in ("osc9", "osc777"):
        for _ in range(100):
            sent = sequence(harm(made), Settings(notify=how), tmux=False)
            assert sent.startswith(("\x1b]9;securechat: ", "\x1b]777;notify;securechat;securechat: "))
            assert sent.count("\x1b") == 2
            assert sent.endswith("\x1b\\")
    for _ in range(100):
        sent = sequence(harm(made), Settings(notify="osc99"), tmux=False)
        assert sent.startswith("\x1b]99;i=securechat:d=0:p=title;securechat\x1b\\\x1b]99;")
        assert sent.isascii()
        assert sent.count("\x1b") == 4


async def test_fifty_hostile_strings_through_every_place_of_every_screen() -> None:
    """Messages, list, people, title, status, notes, errors, drafts, switcher, search, lists, help."""
    made = random.Random(50)
    client = talk_of_two()
    async with driven(client, size=(120, 30)) as screen:
        for keys in ("", "ctrl+p", "ctrl+s", "alt+m", "alt+v", "f1"):
            evils = [harm(made) for _ in PLACES]
            client.rooms["#team"] = hostile_room(evils[0])
            client.rooms |= {
                f"#r{at}": structs.replace(hostile_room(evil), name=f"#r{at}")
                for at, evil in enumerate(evils)
            }
            client.said["#team"] = [
                hostile_message(place, evil, 100 + at)
                for at, (place, evil) in enumerate(zip(PLACES, evils, strict=True))
            ]
            client.marked = client.said["#team"]
            client.fails = SecureChatError(evils[1])
            await screen.happen(MessageReceived(hostile_message("text", evils[2], made.randint(200, 9999))))
            await screen.happen(Notice(evils[3], evils[3]))
            await screen.happen(Disconnected(evils[4], 1.0))
            screen.chat.go("@bob" if screen.chat.talk.current == "#team" else "#team")
            screen.chat.composer.put(f"x{evils[5]}")
            screen.chat.composer.post_message(Composer.Sent("x", screen.chat.talk.current))
            await looks_harmless(screen, evils)
            if keys:
                await screen.press(keys)
                await looks_harmless(screen, evils)
                await screen.press("escape")


async def looks_harmless(screen: Driven, evils: list[str]) -> None:
    await screen.pilot.pause()
    assert controls(screen.text().replace("\n", "")) == [], evils
