from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from securechat.cli.json_lines import message_json
from securechat.cli.show import Connection, clock, event_text, message_text
from securechat.client.events import (
    Connected,
    Disconnected,
    Event,
    FileInfo,
    Held,
    Invited,
    Joined,
    MembersChanged,
    Message,
    MessageReceived,
    MessageState,
    Notice,
    Released,
    Removed,
    Typing,
    Undecryptable,
)

FILE = FileInfo(name="a.txt", size=1, state="offered")
AT = int(datetime(2026, 3, 1, 14, 3, tzinfo=UTC).timestamp())


def message(text: str, *, conversation: str = "@bob", own: bool = False) -> Message:
    return Message(
        id="00" * 32,
        local_id=1,
        conversation=conversation,
        sender="alice" if own else "bob",
        own=own,
        text=text,
        timestamp=AT,
        sequence=1,
        epoch=1,
        state=MessageState.RECEIVED,
        verified="known",
    )


@pytest.mark.parametrize(
    ("said", "line"),
    [
        (message("hello"), "2026-03-01 14:03 @bob: hello"),
        (message("hello", conversation="#team"), "2026-03-01 14:03 #team @bob: hello"),
        (message("hello", own=True), "2026-03-01 14:03 @alice to @bob: hello"),
        (message("a\nb"), "2026-03-01 14:03 @bob: a\n      | b"),
        (structs.replace(message("(a file)"), file=FILE), "2026-03-01 14:03 @bob (/download 1): (a file)"),
        (
            structs.replace(message("(a file)"), file=FILE, local_id=123456, verified="changed"),
            "2026-03-01 14:03 @bob (/download 000000000000) (changed): (a file)",
        ),
        (
            structs.replace(message("(a file)", own=True), file=FILE),
            "2026-03-01 14:03 @alice to @bob: (a file)",
        ),
    ],
)
def test_a_message_is_a_time_a_sender_and_its_text(said: Message, line: str) -> None:
    assert message_text(said, zone=UTC) == line


@given(st.text())
def test_no_text_can_begin_a_line_of_its_own(text: str) -> None:
    """U-04: a message cannot imitate a system line or another sender's."""
    first, *rest = message_text(message(text), zone=UTC).split("\n")

    assert first.startswith("2026-03-01 14:03 @bob: ")
    assert all(line.startswith("      | ") for line in rest)


@given(st.integers(min_value=-(1 << 63), max_value=(1 << 63) - 1))
def test_any_timestamp_can_be_shown(seconds: int) -> None:
    """C-06: no int64 crashes the display."""
    assert ":" in clock(seconds, zone=UTC)


@pytest.mark.parametrize(
    "event",
    [
        Connected("alice", "localhost:7443", "x.securechat.invalid", "SHA256:abc", "TLS 1.3"),
        Disconnected("refused", 2.5),
        Disconnected("replaced", None),
        Invited("#team", "bob"),
        Joined("#team"),
        MembersChanged("#team", "bob", ("carol",), ("dave", "bob")),
        Removed("#team", "bob"),
        Undecryptable("#team", "bob", 3, "aead"),
        Held("#team", "commit-tag", "a commit was refused"),
        Released("#team"),
        Notice("x", "words"),
    ],
)
def test_every_other_event_is_said_in_lines_that_begin_with_a_star(event: Event) -> None:
    said = event_text(event)

    assert said is not None
    assert all(line.startswith("* ") for line in said.split("\n"))


def test_who_begins_to_type_is_said_and_who_stops_is_not() -> None:
    assert event_text(Typing("@bob", "bob", on=True)) == "* @bob types"
    assert event_text(Typing("#team", "bob", on=True)) == "* @bob types in #team"
    assert event_text(Typing("#team", "bob", on=False)) is None


def test_a_notice_has_its_code_beside_it() -> None:
    """What `why` and docs/cli.md explain is found by it."""
    assert event_text(Notice("rejoined", "you are back in #team")) == "* you are back in #team (rejoined)"


def test_who_left_and_who_was_removed_are_told_apart() -> None:
    said = event_text(MembersChanged("#team", "bob", ("carol",), ("dave", "bob")))

    assert said == "* #team: @bob added @carol; @bob left; @bob removed @dave"


def test_a_received_message_is_shown_as_data() -> None:
    said = event_text(MessageReceived(message("hi")), zone=UTC)

    assert said == "2026-03-01 14:03 @bob: hi"


def test_an_unreadable_message_is_never_hidden_and_says_why() -> None:
    """Q-06: a placeholder with sender, epoch and reason code, on a line that no text can imitate."""
    lost = structs.replace(message("it cannot be decrypted"), state=MessageState.UNREADABLE, code="aead")

    assert message_text(lost, zone=UTC) == "* 2026-03-01 14:03 @bob: it cannot be decrypted (epoch 1, aead)"


def test_a_sender_with_other_keys_than_we_knew_is_marked() -> None:
    doubtful = structs.replace(message("trust me"), verified="changed")

    assert message_text(doubtful, zone=UTC) == "2026-03-01 14:03 @bob (changed): trust me"


@pytest.mark.parametrize("verified", ["changed", "imported", "", "something of next year"])
@pytest.mark.parametrize("own", [True, False])
def test_what_is_not_known_to_be_its_senders_never_looks_like_what_is(verified: str, *, own: bool) -> None:
    """U-04: also what came from a file, and a value that this version does not know."""
    true = message("I agree to pay", own=own)
    doubtful = structs.replace(true, verified=verified)

    before, _text = message_text(doubtful, zone=UTC).split(": I agree")
    assert before.startswith("2026-03-01 14:03 @")
    assert before.endswith(")")
    assert message_text(true, zone=UTC) != message_text(doubtful, zone=UTC)


def test_a_connection_that_comes_and_goes_is_told_once_each_time() -> None:
    hello = Connected("alice", "localhost:7443", "x.securechat.invalid", "SHA256:abc", "TLS 1.3")
    connection = Connection()
    told = [
        connection.text(event)
        for event in (
            hello,
            Disconnected("gone", 0.1),
            Disconnected("still", 2.0),
            hello,
            Disconnected("over", None),
        )
    ]

    assert told == [
        event_text(hello),
        "* not connected: gone; trying again until it is back",
        None,
        "* connected again",
        "* not connected: over",
    ]


def test_q_08_a_message_of_ours_that_expired_unread_is_marked() -> None:
    expired = structs.replace(message("hello", own=True), state=MessageState.SENT, code="expired_unread")

    assert message_text(expired, zone=UTC) == (
        "2026-03-01 14:03 @alice to @bob (expired on the server before everybody had read it): hello"
    )
    assert message_json(expired, kind="sent")["code"] == "expired_unread"
    assert message_text(structs.replace(expired, own=False), zone=UTC) == "2026-03-01 14:03 @alice: hello"
