"""A file with messages is read whole and judged, whoever wrote it."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.client import exported
from securechat.client.events import (
    Conversation,
    FileInfo,
    Kind,
    Message,
    MessageKind,
    MessageState,
    Poll,
    PollOption,
    Reaction,
    Standing,
)
from securechat.client.exported import (
    LAST_SECOND,
    MAX_LINE,
    MOST_NAMES,
    NotImported,
    header_of,
    is_exported,
    judge,
    line_of,
    read_header,
    read_said,
)
from securechat.client.follow_ups import MAX_SHOWN
from securechat.text import sanitise

HEADER = {"format": "securechat-export/1", "user": "alice", "room": "@bob", "kind": "direct"}
SAID = {"type": "message", "id": "01" * 32, "from": "bob", "text": "hello", "ts": 1_800_000_000}


def as_line(value: dict[str, Any]) -> bytes:
    return msgspec.json.encode(value) + b"\n"


def a_message(**changes: Any) -> Message:
    given: dict[str, Any] = {
        "id": "01" * 32,
        "local_id": 7,
        "conversation": "@bob",
        "sender": "bob",
        "own": False,
        "text": "hello",
        "timestamp": 1_800_000_000,
        "sequence": 3,
        "epoch": 2,
        "state": MessageState.RECEIVED,
        "verified": "known",
    }
    return Message(**given | changes)


def test_what_is_written_is_read_back() -> None:
    message = a_message(
        text="ש\n<b>",
        thread="lunch",
        reply_to="01" * 32,
        edited=5,
        reactions=(Reaction("👍", ("alice",)),),
        file=FileInfo(name="a.txt", size=3, path="/home/bob/a.txt", thumbnail=b"x"),
        kind=MessageKind.FILE,
    )
    said = read_said(as_line(line_of(message)), 2)

    assert (said.id, said.sender, said.ts) == (message.id, "bob", message.timestamp)
    assert said.text == "\u2068ש\u2069\n<b>"
    assert (said.thread, said.reply_to, said.edited) == ("lunch", message.reply_to, 5)
    assert said.reactions == message.reactions
    assert said.file == FileInfo(name="a.txt", size=3)


def test_the_first_line_says_whose_conversation_it_is() -> None:
    conversation = Conversation(
        name="#team",
        kind=Kind.ROOM,
        state=Standing.JOINED,
        epoch=1,
        suite="",
        members=(),
        title="team",
        topic="lunch",
        invited_by="",
        may_speak=True,
    )
    header = header_of(conversation, user="alice", now=9)

    assert read_header(as_line(msgspec.to_builtins(header))) == header


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"format": "securechat-export/2"}, "securechat-export"),
        ({"room": "@bob\x1b[2J"}, "line 1"),
        ({"room": "bob"}, "not the name"),
        ({"room": "@Bob"}, "not the name"),
        ({"room": "#team"}, "not the name"),
        ({"kind": "room"}, "not the name"),
        ({"kind": "palace"}, "palace"),
        ({"room": ""}, "line 1"),
        ({"user": "../../etc"}, "line 1"),
        ({"user": 7}, "line 1"),
        ({"ts": -1}, "line 1"),
    ],
)
def test_a_first_line_that_nobody_wrote_is_refused_in_words(change: dict[str, Any], word: str) -> None:
    with pytest.raises(NotImported, match=word):
        read_header(as_line(HEADER | change))


@pytest.mark.parametrize(
    "change",
    [
        {"id": ""},
        {"id": "01"},
        {"id": "zz" * 32},
        {"from": "bob\n"},
        {"from": ""},
        {"from": "b" * 513},
        {"text": "x" * 200_000},
        {"ts": 1 << 60},
        {"ts": -1},
        {"ts": 1.5},
        {"kind": "nonsense"},
        {"reactions": [{"text": "x", "users": ["\x1b"]}]},
        {"reactions": [{"text": "x", "users": []}] * 65},
        {"type": "conversation"},
    ],
)
def test_a_message_that_nobody_wrote_is_refused_with_its_line(change: dict[str, Any]) -> None:
    with pytest.raises(NotImported, match="line 5"):
        read_said(as_line(SAID | change), 5)


def test_what_it_says_is_safe_to_show() -> None:
    said = read_said(
        as_line(
            SAID
            | {"text": "\x1b]52;c;x\x07", "thread": "a\u202eb", "reactions": [{"text": "\x9b", "users": []}]}
        ),
        2,
    )

    assert said.text == "\\x1b]52;c;x\\x07"
    assert said.thread == "a\\u202eb"
    assert said.reactions[0].text == "\\x9b"


@pytest.mark.parametrize(
    "line",
    [b"", b"\n", b"{", b"[]", b"\xff", b"null", b"[" * 100_000, b'{"a":' * 20_000, b" " * (MAX_LINE + 1)],
)
def test_bytes_that_are_no_line_are_refused_in_words(line: bytes) -> None:
    with pytest.raises(NotImported, match="line 2"):
        judge([as_line(HEADER), line])


@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_one_error(line: bytes) -> None:
    with pytest.raises(NotImported):
        read_said(line, 2)


def test_a_file_is_judged_to_its_end_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exported, "MAX_MESSAGES", 3)
    lines = [as_line(HEADER), *[as_line(SAID)] * 3]

    assert judge(lines)[1] == 3
    with pytest.raises(NotImported, match="line 5"):
        judge([*lines, b"{}"])
    with pytest.raises(NotImported, match="more than 3"):
        judge([*lines, as_line(SAID)])
    with pytest.raises(NotImported, match="empty"):
        judge([])


def test_what_is_to_disappear_and_placeholders_stay_here() -> None:
    assert is_exported(a_message())
    assert not is_exported(a_message(expires=1))
    assert not is_exported(a_message(lifetime=60)), "nobody has read it yet"
    assert not is_exported(a_message(kind=MessageKind.UNREADABLE))
    assert not is_exported(a_message(id=""))


ODD = st.text(st.sampled_from('ש\u05b0a\t\n\x01\u202e\U0001f600\\"'), max_size=60)
LARGEST = ["ש\n" * 21_800, "\u05b0\n" * 21_800, "\x01" * 65_000, "😀" * 16_000, '"\\' * 32_000]


@given(ODD, st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_whatever_can_be_stored_is_exported_as_it_is_read_back(text: str, when: int, edited: int) -> None:
    """No message that somebody sends, and no date that a server tells, spoils the file it is in."""
    stored = sanitise(text, multiline=True, limit=MAX_SHOWN)
    said = read_said(as_line(line_of(a_message(text=stored, timestamp=when, edited=edited))), 2)
    assert (said.text, said.ts) == (stored, min(when, LAST_SECOND))


@pytest.mark.parametrize("text", LARGEST, ids=range(len(LARGEST)))
def test_the_largest_messages_with_all_that_a_crowd_said_of_them_are_read_back(text: str) -> None:
    stored = sanitise(text, multiline=True, limit=MAX_SHOWN)
    crowd = tuple(f"u{number:031}" for number in range(1000))
    message = a_message(
        text=stored,
        reactions=tuple(Reaction(chr(0x1F400 + number), crowd) for number in range(20)),
        read_by=crowd,
        delivered_to=crowd,
    )
    said = read_said(as_line(line_of(message)), 2)
    assert said.text == stored


def test_a_poll_of_a_crowd_is_read_back() -> None:
    crowd = tuple(f"u{number:031}" for number in range(1000))
    asked = Poll("?" * 500, tuple(PollOption("o" * 200, crowd) for _ in range(20)))
    said = read_said(as_line(line_of(a_message(kind=MessageKind.POLL, poll=asked))), 2)
    assert said.poll is not None
    assert len(said.poll.options[0].voters) == MOST_NAMES
