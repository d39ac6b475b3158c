"""The first bytes of a connection: a whole ClientHello, a part of one, or something else (O-01, T-03)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.server.lobby import MAX_CLIENT_HELLO, MOST, RECORD_HEADER, Opening, judge_opening


def record(length: int, kind: int = 22) -> bytes:
    return bytes([kind, 3, 1]) + length.to_bytes(2, "big") + b"\x01" * length


@pytest.mark.parametrize(
    ("data", "opening"),
    [
        (b"", Opening.SHORT),
        (b"\x16", Opening.SHORT),
        (record(100)[:-1], Opening.SHORT),
        (record(100), Opening.WHOLE),
        (record(100) + b"more", Opening.WHOLE),
        (record(MAX_CLIENT_HELLO), Opening.WHOLE),
        (record(MAX_CLIENT_HELLO + 1)[:RECORD_HEADER], Opening.WRONG),
        (b"G", Opening.WRONG),
        (record(100, kind=23)[:1], Opening.WRONG),
        (b"\x80\x2e\x01\x00\x02", Opening.WRONG),
    ],
)
def test_the_first_bytes_are_judged(data: bytes, opening: Opening) -> None:
    assert judge_opening(data) is opening


@given(st.binary(min_size=1, max_size=300), st.lists(st.integers(1, 50), max_size=40))
def test_o_01_however_it_is_cut_the_verdict_comes_and_stays(data: bytes, cuts: list[int]) -> None:
    """A verdict is never taken back, and nobody has to keep more than a record for it."""
    seen: list[Opening] = []
    end = 0
    for cut in [*cuts, len(data)]:
        end = min(len(data), end + cut)
        seen.append(judge_opening(data[:end]))
    decided = [opening for opening in seen if opening is not Opening.SHORT]
    assert seen == [Opening.SHORT] * (len(seen) - len(decided)) + decided
    assert len(set(decided)) <= 1


@given(st.binary(max_size=8))
def test_o_02_who_fills_the_space_there_is_is_no_longer_waited_for(start: bytes) -> None:
    assert judge_opening(start.ljust(MOST, b"\x00")) is not Opening.SHORT
