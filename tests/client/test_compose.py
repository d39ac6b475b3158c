"""From what is typed to what is stored."""

from pathlib import Path

import pytest

from securechat.client import records
from securechat.client.change import Changes
from securechat.client.compose import (
    MAX_CONTENT,
    MAX_TEXT,
    Around,
    conversation_for,
    fold_name,
    queue_text,
)
from securechat.client.errors import Forbidden, NotAMember, UnknownConversation
from securechat.client.events import Kind, Message, Standing
from securechat.client.work import PADDING
from securechat.content.message import shown_text
from securechat.content.mimi import decode, message_id
from securechat.names import NameRefused
from securechat.protocol.limits import MAX_BODY
from tests.client.parts import NOW, a_device, a_store, changes_of

ALICE = a_device("alice")


@pytest.fixture
def changes(tmp_path: Path) -> Changes:
    return changes_of(a_store(tmp_path))


def queue(
    changes: Changes,
    text: str,
    *,
    state: Standing = Standing.JOINED,
    around: Around = Around(),  # noqa: B008 (frozen)
) -> Message:
    with changes.change() as change:
        record = records.insert(change.db, name="#team", kind=Kind.ROOM, state=state, room="mimi://x/r/team")
        return queue_text(change, ALICE, record, text, now=NOW, key=None, around=around)


@pytest.mark.parametrize(
    ("typed", "name"), [("@Bob", "@bob"), ("bob", "@bob"), ("#Team", "#team"), ("#Straße", "#strasse")]
)
def test_names_are_folded(typed: str, name: str) -> None:
    assert fold_name(typed) == name


@pytest.mark.parametrize("typed", ["", "@", "#", "@b b", "#a b", "@\u0430lice", "#\x1b[2J"])
def test_what_can_be_no_name_is_refused(typed: str) -> None:
    with pytest.raises(NameRefused):
        fold_name(typed)


def test_a_direct_conversation_begins_with_the_first_word(changes: Changes) -> None:
    with changes.change() as change:
        record = conversation_for(change, ALICE, "@bob")
        again = conversation_for(change, ALICE, "@bob")

    assert (record.state, record.peer, record.kind) == (Standing.OPENING, "bob", Kind.DIRECT)
    assert again.id == record.id


def test_both_sides_mean_the_same_room(changes: Changes) -> None:
    assert ALICE.direct_room("bob") == a_device("bob").direct_room("alice")
    assert ALICE.direct_room("bob") != ALICE.direct_room("carol")


def test_a_room_does_not_begin_by_being_addressed(changes: Changes) -> None:
    with pytest.raises(UnknownConversation), changes.change() as change:
        conversation_for(change, ALICE, "#team")


def test_nobody_writes_to_oneself(changes: Changes) -> None:
    with pytest.raises(Forbidden), changes.change() as change:
        conversation_for(change, ALICE, "@alice")


def test_what_is_stored_is_mimi_content_with_its_id(changes: Changes) -> None:
    message = queue(changes, "hello\nthere")

    content = changes.store.value("SELECT content FROM message")
    assert shown_text(decode(content)) == "hello\nthere"
    computed = message_id(content, sender_uri=ALICE.user_uri, room_uri="mimi://x/r/team")
    assert message.id == computed.hex()


def test_two_equal_texts_are_two_messages(changes: Changes) -> None:
    first = queue(changes, "again")
    with changes.change() as change:
        record = records.by_id(change.db, 1)
        second = queue_text(change, ALICE, record, "again", now=NOW, key=None)

    assert first.id != second.id


@pytest.mark.parametrize("text", ["", " ", "\n\t", "x" * 70_000])
def test_nothing_and_too_much_are_refused(changes: Changes, text: str) -> None:
    with pytest.raises(Forbidden):
        queue(changes, text)
    assert changes.store.value("SELECT count(*) FROM message") == 0


@pytest.mark.parametrize("size", [60_500, 61_440])
def test_what_would_not_fit_with_its_topic_is_refused_before_it_is_stored(
    changes: Changes, size: int
) -> None:
    """Somebody may have begun a topic with a very long id: an answer there must not stop the account."""
    far = Around(topic_id=b"\xff" * 4096)
    with pytest.raises(Forbidden, match="too long"):
        queue(changes, "x" * size, around=far)
    assert changes.store.value("SELECT count(*) FROM message") == 0
    queue(changes, "x" * MAX_TEXT)


def test_the_largest_content_fits_the_largest_bucket_sealed() -> None:
    whole = MAX_CONTENT + 64 + 16  # a signature, and lengths
    assert whole + PADDING(whole) < MAX_BODY


@pytest.mark.parametrize("state", [Standing.INVITED, Standing.LEFT, Standing.REMOVED])
def test_only_members_write(changes: Changes, state: Standing) -> None:
    with pytest.raises(NotAMember):
        queue(changes, "hello", state=state)
