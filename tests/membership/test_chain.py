"""The log's chain: what a receiver finds out about a log that was doctored."""

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from securechat.membership.chain import MAX_ENDS, LogChain, LogEnd, LogMark, read_mark


def chain_of(entries: list[bytes], start: bytes = bytes(32)) -> tuple[LogChain, list[bytes]]:
    """Return the chain over entries, and its value after each."""
    chain = LogChain.start(start)
    history = [chain.value]
    for entry in entries:
        chain = chain.add(hashlib.sha256(entry).digest())
        history.append(chain.value)
    return chain, history


def test_a_mark_has_these_bytes() -> None:
    chain, _ = chain_of([b"commit", b"hello"])
    first = hashlib.sha256(bytes(32) + hashlib.sha256(b"commit").digest()).digest()
    second = hashlib.sha256(first + hashlib.sha256(b"hello").digest()).digest()

    assert chain.mark.to_bytes() == b"\0\0\0\2" + second[:16]
    assert read_mark(chain.mark.to_bytes()) == LogMark(2, second[:16])


def test_the_first_epoch_begins_with_an_empty_hash() -> None:
    assert LogChain.start(b"").mark == LogMark(0, bytes(16))


entries = st.lists(st.binary(max_size=8), max_size=8)


def agrees(mark: LogMark, history: list[bytes]) -> bool:
    return mark.count < len(history) and history[mark.count] == mark.value


@given(entries, st.data())
def test_what_both_saw_agrees_wherever_the_sender_stood(log: list[bytes], data: st.DataObject) -> None:
    seen = data.draw(st.integers(0, len(log)))
    assert agrees(chain_of(log[:seen])[0].mark, chain_of(log)[1])


@given(entries.filter(bool), st.data())
def test_a_withheld_or_changed_entry_is_found(log: list[bytes], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(log) - 1))
    mark = chain_of(log)[0].mark

    assert not agrees(mark, chain_of(log[:place] + log[place + 1 :])[1])
    assert not agrees(mark, chain_of([*log[:place], log[place] + b"!", *log[place + 1 :]])[1])


def test_reordered_entries_are_found() -> None:
    assert not agrees(chain_of([b"a", b"b"])[0].mark, chain_of([b"b", b"a"])[1])


def test_another_epoch_is_another_chain() -> None:
    assert not agrees(chain_of([b"a"])[0].mark, chain_of([b"a"], start=b"\1" * 32)[1])


def test_a_mark_may_speak_of_earlier_epochs() -> None:
    mark = LogMark(2, b"v" * 16, (LogEnd(b"", 5, b"w" * 16), LogEnd(b"old", 4, b"x" * 16)))
    ends = b"\0" + (5).to_bytes(8) + b"w" * 16 + b"\3old" + (4).to_bytes(8) + b"x" * 16

    assert mark.to_bytes() == b"\0\0\0\2" + b"v" * 16 + bytes([len(ends)]) + ends
    assert read_mark(mark.to_bytes()) == mark
    assert read_mark(mark.to_bytes() + b"\0") is None


def test_a_mark_has_one_encoding_and_so_many_epochs() -> None:
    """M-01."""
    assert read_mark(LogMark(2, bytes(16)).to_bytes() + b"\0") is None
    end = LogEnd(b"", 5, bytes(16))
    assert read_mark(LogMark(2, bytes(16), (end,) * MAX_ENDS).to_bytes()) is not None
    assert read_mark(LogMark(2, bytes(16), (end,) * (MAX_ENDS + 1)).to_bytes()) is None


@given(st.binary(max_size=24).filter(lambda data: len(data) != 20))
def test_a_message_without_a_mark_is_told_apart(data: bytes) -> None:
    assert read_mark(data) is None
