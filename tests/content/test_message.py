"""What a line of text says of a message."""

import pytest

from securechat.content.message import shown_text, text_message
from securechat.content.mimi import (
    CHOOSE_ONE,
    PROCESS_ALL,
    REACTION,
    SINGLE_UNIT,
    ExternalPart,
    MimiContent,
    MultiPart,
    NullPart,
    Part,
    SinglePart,
    UnknownPart,
    decode,
)
from tests.content.examples import find_examples

SALT = bytes(16)
HTML = SinglePart("text/html;charset=utf-8", b"<b>hi</b>")
PLAIN = SinglePart("text/plain", b"hi")
VIDEO = ExternalPart("video/mp4", "https://h", 0, 9, 1, b"", b"", b"", 1, b"", "", "big.mp4")


@pytest.mark.parametrize(
    ("part", "shown"),
    [
        (PLAIN, "hi"),
        (SinglePart('Text/Markdown; Variant=GFM-MIMI; charset="UTF-8"', b"*hi*"), "*hi*"),
        (SinglePart("text/plain", b"\xff"), "\ufffd"),
        (
            SinglePart("text/plain;charset=utf-16", b"hi"),
            "(text/plain;charset=utf-16, 2 bytes: this version cannot show it)",
        ),
        (SinglePart("text/plain", "❤".encode(), REACTION), "(reacts with ❤)"),
        (HTML, "(text/html;charset=utf-8, 9 bytes: this version cannot show it)"),
        (VIDEO, "(an attachment, video/mp4: big.mp4; this version cannot open it)"),
        (UnknownPart(9, ()), "(a part of a kind that this version cannot show)"),
        (NullPart(), "(an empty message)"),
        (MultiPart(CHOOSE_ONE, (HTML, PLAIN)), "hi"),
        (
            MultiPart(CHOOSE_ONE, (HTML, VIDEO)),
            "(text/html;charset=utf-8, 9 bytes: this version cannot show it)",
        ),
        (MultiPart(SINGLE_UNIT, (HTML, PLAIN)), "(a message of several parts that this version cannot show)"),
        (MultiPart(SINGLE_UNIT, (PLAIN, PLAIN)), "hi\nhi"),
        (
            MultiPart(PROCESS_ALL, (PLAIN, VIDEO)),
            "hi\n(an attachment, video/mp4: big.mp4; this version cannot open it)",
        ),
    ],
)
def test_a_part_is_shown_or_named(part: Part, shown: str) -> None:
    assert shown_text(MimiContent(SALT, part)) == shown


def test_changes_of_earlier_messages_say_so() -> None:
    earlier = b"\x01" + bytes(31)
    assert shown_text(MimiContent(SALT, NullPart(), replaces=earlier)) == "(withdraws an earlier message)"
    assert shown_text(MimiContent(SALT, PLAIN, replaces=earlier)) == "(changed) hi"


def test_a_text_with_half_a_character_can_be_sent() -> None:
    content = text_message("a\ud83d", SALT, sender_uri="mimi://h/u/a", room_uri="mimi://h/r/r")
    assert shown_text(content) == "a?"


@pytest.mark.skipif(not find_examples(), reason="the draft's examples are not beside the project")
def test_every_example_of_the_draft_shows_something() -> None:
    shown = [shown_text(decode(path.read_bytes())) for path in find_examples()]
    assert all(shown)
