from hypothesis import given
from hypothesis import strategies as st

from securechat.cli.stdin import MAX_LINE_BYTES, NOT_TEXT, Splitter


def split(*pieces: bytes) -> list[str]:
    splitter = Splitter()
    lines = [line for piece in pieces for line in splitter.feed(piece)]
    return [*lines, *splitter.end()]


def test_lines_end_as_they_may() -> None:
    assert split(b"one\ntwo\r\n\nlast") == ["one", "two", "", "last"]
    assert split(b"") == []


def test_what_is_no_text_is_said_to_be_none() -> None:
    assert split(b"one\n\xff\xfe\ntwo\n") == ["one", NOT_TEXT, "two"]


def test_the_longest_line_is_taken_and_a_longer_one_refused_whole() -> None:
    long = b"x" * (MAX_LINE_BYTES - 1)
    assert split(long + b"\nnext\n") == [long.decode(), "next"]
    assert split(long + b"x\nnext\n") == [NOT_TEXT, "next"]
    assert split(long, long, long, b"\nnext") == [NOT_TEXT, "next"]


@given(st.lists(st.binary(max_size=9).map(lambda piece: piece.replace(b"\r", b"\n")), max_size=20))
def test_wherever_it_is_cut_the_lines_are_the_same(pieces: list[bytes]) -> None:
    assert split(*pieces) == split(b"".join(pieces))
