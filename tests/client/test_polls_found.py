"""What may be voted for is found as the question is, and leaves the store with it."""

from pathlib import Path

import apsw
import pytest
from msgspec import structs

from securechat.client import finding, forgetting
from securechat.client import store as stores
from securechat.client.events import MessageKind, Poll, PollOption
from securechat.client.exported import Header, Said
from securechat.client.store import migrate
from securechat.content import message
from securechat.content.message import Frame
from securechat.content.mimi import encode
from securechat.content.own_types import PollAsked
from tests.client.spoken import Spoken

ASKED = encode(
    message.poll(PollAsked("Tea?", ("gyokuro", "烏龍茶")), Frame(salt=bytes(16), sender_uri="", room_uri=""))
)
SAID = Said(
    id="01".ljust(64, "a"),
    sender="bob",
    text="Tea?",
    ts=1,
    kind=MessageKind.POLL,
    poll=Poll("Tea?", (PollOption("gyokuro", ()), PollOption("烏龍茶", ("bob",)))),
)
HEADER = Header(format="securechat-export/1", user="alice", room="#team", kind="room")


@pytest.fixture
def room(tmp_path: Path) -> Spoken:
    return Spoken(tmp_path)


def search(db: apsw.Connection, words: str) -> list[int]:
    return finding.search(db, words, conversation=None, limit=9, before=0)


@pytest.mark.parametrize("words", ["gyok", "龍茶", "tea GYOKURO", '"烏龍"'])
def test_a_poll_is_found_by_its_question_and_by_its_options(room: Spoken, words: str) -> None:
    poll = room.now(room.hears_poll("bob", "gyokuro", "烏龍茶"))
    room.hears("bob", "Tea?")

    assert search(room.store.db, words) == [poll.local_id]


def test_a_poll_that_a_file_brought_is_found_as_well(room: Spoken) -> None:
    from securechat.client.importing import bring_in  # noqa: PLC0415 - one test's

    words_only = structs.replace(
        SAID, id="02".ljust(64, "a"), text='"poll":{', kind=MessageKind.TEXT, poll=None
    )
    with room.changes.change() as change:
        assert bring_in(change, room.device, HEADER, [SAID, words_only]) == 2

    assert search(room.store.db, "gyokuro") == [-2]


def test_l_04_the_options_of_a_withdrawn_poll_are_nowhere(room: Spoken) -> None:
    mimi_id = room.hears_poll("bob", "gyokuro", "sencha")
    poll = room.now(mimi_id)
    with room.changes.change() as change:
        forgetting.withdraw(change.db, room.record.id, poll.local_id, mimi_id)

    assert search(room.store.db, "gyokuro") == []
    assert room.everywhere("gyokuro") == []
    assert room.everywhere("sencha") == []


def test_polls_of_before_are_found_once_the_store_is_of_this_release() -> None:
    steps = stores._migrations()
    db = apsw.Connection(":memory:")
    migrate(db, steps[:35])
    db.execute(
        "INSERT INTO conversation (id, name, kind, state, room) VALUES (1, '#team', 'room', 'joined', 'r')"
    )
    rows = [("poll", ASKED, "Tea?"), ("text", b"", "gyokuro"), ("poll", b"", ""), ("poll", b"\xff", "broken")]
    db.executemany(
        "INSERT INTO message (conversation, sender, own, state, kind, content, text, timestamp)"
        " VALUES (1, 'bob', 0, 'received', ?, ?, ?, 1)",
        rows,
    )
    assert search(db, "gyokuro") == [2]

    migrate(db)

    assert search(db, "gyokuro") == [2, 1]
    assert search(db, "tea") == [1]
    db.execute("INSERT INTO message_words (message_words) VALUES ('integrity-check')")
    db.execute("DELETE FROM message")
    assert search(db, "gyokuro") == []
    db.close()
