"""A file and its thumbnail in one message: read back, and never in the way of the file."""

import pytest

from securechat.content.attached import MAX_THUMBNAIL, AttachedFile, attached_file, with_thumbnail
from securechat.content.message import Frame, file_text, framed
from securechat.content.mimi import (
    ATTACHMENT,
    CHOOSE_ONE,
    PREVIEW,
    PROCESS_ALL,
    SINGLE_UNIT,
    ExternalPart,
    MultiPart,
    Part,
    SinglePart,
    decode,
    encode,
)
from securechat.content.saying import Hands, Words, said

FILE = ExternalPart("image/png", "https://h", 0, 9, 1, b"", b"", b"", 1, b"", "a cat", "cat.png")
FRAME = Frame(salt=bytes(16), sender_uri="mimi://example.org/u/alice", room_uri="mimi://example.org/r/a")


def test_a_thumbnail_is_read_as_it_was_written() -> None:
    content = decode(encode(framed(with_thumbnail(FILE, b"small"), FRAME)))
    assert attached_file(content.part) == AttachedFile(FILE, b"small")
    assert said(content, domain="example.org") == Hands(FILE, file_text(FILE))


def test_without_one_a_file_is_written_as_ever() -> None:
    assert with_thumbnail(FILE, b"") is FILE
    assert attached_file(FILE) == AttachedFile(FILE)


def two(second: Part, semantics: int = PROCESS_ALL) -> MultiPart:
    return MultiPart(semantics, (FILE, second))


@pytest.mark.parametrize(
    "part",
    [
        two(SinglePart("image/png", bytes(MAX_THUMBNAIL + 1), PREVIEW)),
        two(SinglePart("image/svg+xml", b"<svg/>", PREVIEW)),
        two(SinglePart("text/html", b"<img src=https://evil>", PREVIEW)),
    ],
)
def test_u_05_what_is_no_thumbnail_takes_nothing_from_the_file(part: Part) -> None:
    assert attached_file(part) == AttachedFile(FILE)


@pytest.mark.parametrize(
    "part",
    [
        SinglePart("image/png", b"small", PREVIEW),
        two(SinglePart("image/png", b"small", ATTACHMENT)),
        two(SinglePart("image/png", b"small", PREVIEW), CHOOSE_ONE),
        two(SinglePart("image/png", b"small", PREVIEW), SINGLE_UNIT),
        two(FILE),
        MultiPart(PROCESS_ALL, (SinglePart("image/png", b"small", PREVIEW), FILE)),
        MultiPart(PROCESS_ALL, (FILE, SinglePart("image/png", b"a", PREVIEW), FILE)),
    ],
)
def test_what_is_not_one_file_is_said_in_words(part: Part) -> None:
    assert attached_file(part) is None
    assert isinstance(said(framed(part, FRAME), domain="example.org"), Words)
