"""What a member says arrives as it should stand, whatever its sender made of it."""

import dataclasses
from pathlib import Path

import pytest

from securechat.client import records
from securechat.client.compose import queue_text
from securechat.client.events import Message, MessageKind, Standing
from securechat.client.exported import is_exported
from securechat.client.timeline import topic_of
from securechat.client.timers import sweep
from securechat.content import message as write
from securechat.content.message import Frame, framed, text_part
from securechat.content.mimi import Expiration, MimiContent, encode, message_id
from tests.client.members import MemberOf, message
from tests.client.parts import NOW


class Pair:
    """Alice, and what bob says in their room."""

    def __init__(self, folder: Path) -> None:
        self.alice, self.bob = MemberOf(folder, "alice"), MemberOf(folder, "bob")
        self.alice.founds(self.bob)
        self._sequence = 1

    def frame(
        self, *, expires: Expiration | None = None, about: bytes | None = None, topic: bytes = b""
    ) -> Frame:
        return Frame(
            salt=(self._sequence).to_bytes(16, "big"),
            sender_uri=self.bob.device.user_uri,
            room_uri=self.bob.record.room,
            expires=expires,
            in_reply_to=about,
            topic_id=topic,
        )

    def comes(self, content: MimiContent) -> bytes:
        """Bob says it and alice reads it; return its id."""
        self._sequence += 1
        encoded = encode(content)
        self.alice.reads(message(self._sequence, self.bob.seals_content(encoded)))
        uri = self.bob.device.user_uri
        return message_id(encoded, sender_uri=uri, room_uri=self.bob.record.room)

    def sweeps(self) -> None:
        with self.alice.changes.change() as change:
            sweep(change)

    @property
    def lines(self) -> list[Message]:
        return self.alice.heard()


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


@pytest.mark.parametrize("expires", [Expiration(relative=False, time=0), Expiration(relative=True, time=1)])
def test_that_a_timer_was_set_stays_to_be_seen(pair: Pair, expires: Expiration) -> None:
    """Nobody turns disappearing on or off and leaves no trace of it."""
    pair.comes(write.timer(60, pair.frame(expires=expires)))
    pair.sweeps()
    (line,) = pair.lines
    assert (line.text, line.kind, line.expires) == (
        "(messages disappear 1 minute after they are read from now on)",
        MessageKind.TEXT,
        0,
    )
    assert pair.alice.record.expires_after == 60


def test_a_timers_line_is_neither_changed_nor_withdrawn(pair: Pair) -> None:
    timer = pair.comes(write.timer(0, pair.frame()))
    pair.comes(framed(text_part("good morning"), pair.frame(), replaces=timer))
    pair.comes(write.withdrawal(timer, pair.frame()))

    assert [line.text for line in pair.lines] == ["(messages stay from now on)"]
    codes = pair.alice.store.rows("SELECT code FROM message WHERE state = 'not_shown'")
    assert codes == [("not_changeable",), ("not_changeable",)]


def test_a_timer_that_leaves_no_time_to_read_leaves_a_little(pair: Pair) -> None:
    pair.comes(write.timer(1, pair.frame()))
    assert pair.alice.record.expires_after == 5
    assert "5 seconds" in pair.lines[0].text


def test_what_is_to_disappear_is_not_exported_before_it_is_read_either(pair: Pair) -> None:
    pair.comes(framed(text_part("soon gone"), pair.frame(expires=Expiration(relative=True, time=60))))
    (line,) = pair.lines
    assert (line.lifetime, line.expires) == (60, 0)
    assert not is_exported(line)


@pytest.mark.parametrize("topic", [b"lunch", b"\xff" * 40])
def test_a_change_moves_nobodys_topic(pair: Pair, topic: bytes) -> None:
    """Whoever writes there from then on would land elsewhere, at everybody."""
    first = pair.comes(framed(text_part("soup?"), pair.frame(topic=topic)))
    thread = pair.lines[0].thread
    pair.comes(framed(text_part("fish?"), pair.frame(topic=b"elsewhere"), replaces=first))
    db, room = pair.alice.store.db, pair.alice.record.id
    assert (pair.lines[0].text, pair.lines[0].thread) == ("fish?", thread)
    assert topic_of(db, room, thread) == topic

    pair.comes(write.withdrawal(first, pair.frame()))
    assert topic_of(db, room, thread) == topic, "also when all that was said there is gone"


def test_a_topic_of_before_its_id_was_kept_is_told_by_what_was_said_in_it(pair: Pair) -> None:
    topic = b"\xff" * 40
    first = pair.comes(framed(text_part("soup?"), pair.frame(topic=topic)))
    pair.comes(framed(text_part("bread?"), pair.frame(topic=topic)))
    thread = pair.lines[0].thread
    pair.comes(framed(text_part("fish?"), pair.frame(topic=b"elsewhere"), replaces=first))
    with pair.alice.changes.change() as change:
        change.db.execute("DELETE FROM topic")
    assert topic_of(pair.alice.store.db, pair.alice.record.id, thread) == topic


def kept(pair: Pair) -> list[tuple[str, str, int, int]]:
    rows = pair.alice.store.rows("SELECT code, text, expires, deleted FROM message WHERE hidden = 1")
    return [(code, text, expires, deleted) for code, text, expires, deleted in rows]


def test_what_is_kept_and_not_shown_goes_in_its_time_and_untold(pair: Pair) -> None:
    """L-04: nobody reads it, so its time runs at once."""
    with pair.alice.changes.change() as change:
        records.update(change.db, pair.alice.record.id, state=Standing.LEFT)
    pair.comes(framed(text_part("too late"), pair.frame(expires=Expiration(relative=True, time=60))))
    assert kept(pair) == [("left", "too late", NOW + 60, 0)]

    pair.alice.now = NOW + 60
    pair.alice.events.clear()
    pair.sweeps()
    assert kept(pair) == [("", "", 0, 1)]
    assert pair.alice.events == []


def test_what_is_kept_and_not_shown_can_be_withdrawn_by_its_author(pair: Pair) -> None:
    with pair.alice.changes.change() as change:
        records.update(change.db, pair.alice.record.id, state=Standing.LEFT)
    first = pair.comes(framed(text_part("canary"), pair.frame()))
    with pair.alice.changes.change() as change:
        records.update(change.db, pair.alice.record.id, state=Standing.JOINED)
    pair.alice.events.clear()
    pair.comes(write.withdrawal(first, pair.frame()))
    assert kept(pair) == [("left", "", 0, 1)]
    assert pair.alice.events == []


def test_what_somebody_tried_with_anothers_message_goes_in_its_time_too(pair: Pair) -> None:
    with pair.alice.changes.change() as change:
        line = queue_text(change, pair.alice.device, pair.alice.record, "mine", now=NOW, key=None)
    late = pair.frame(expires=Expiration(relative=True, time=60))
    pair.comes(framed(text_part("his"), late, replaces=bytes.fromhex(line.id)))
    assert kept(pair) == [("not_author", "(changed) his", NOW + 60, 0)]


def test_q_06_a_change_of_what_is_not_here_has_a_line_of_its_own(pair: Pair) -> None:
    """Of a message from before we joined, for example: nobody speaks past those who came later."""
    for number in range(33):
        nowhere = b"\x01" + number.to_bytes(31, "big")
        pair.comes(framed(text_part(f"number {number}"), pair.frame(), replaces=nowhere))
    assert [line.text for line in pair.lines] == [f"(changed) number {number}" for number in range(33)]
    assert pair.lines[0].reply_to == ""


def test_the_next_change_stands_in_the_same_line_and_a_withdrawal_takes_it_back(pair: Pair) -> None:
    nowhere = b"\x01" + bytes(31)
    for words in ("one", "two"):
        pair.comes(framed(text_part(words), pair.frame(), replaces=nowhere))
    (line,) = pair.lines
    assert (line.text, line.edited) == ("two", NOW)
    pair.comes(write.withdrawal(nowhere, pair.frame()))
    (line,) = pair.lines
    assert (line.text, line.deleted) == ("", True)


def test_the_line_of_a_change_goes_when_its_message_comes(pair: Pair) -> None:
    late = framed(text_part("first"), pair.frame())
    uri, room = pair.bob.device.user_uri, pair.bob.record.room
    target = message_id(encode(late), sender_uri=uri, room_uri=room)
    pair.comes(
        framed(text_part("second"), pair.frame(expires=Expiration(relative=True, time=60)), replaces=target)
    )
    assert [(line.text, line.lifetime) for line in pair.lines] == [("(changed) second", 60)]
    pair.comes(late)
    (line,) = pair.lines
    assert (line.id, line.text, line.edited) == (target.hex(), "second", NOW)
    assert pair.alice.store.value("SELECT count(*) FROM message WHERE hidden = 0") == 1


def test_of_ours_from_another_device_time_runs_from_when_it_was_sent(pair: Pair) -> None:
    pair.alice.reader.device = dataclasses.replace(pair.alice.device, user="bob")
    pair.comes(framed(text_part("from there"), pair.frame(expires=Expiration(relative=True, time=60))))
    (line,) = pair.lines
    assert (line.own, line.expires) == (True, NOW + 60)
