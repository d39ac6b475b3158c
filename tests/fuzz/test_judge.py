"""The judge is worth nothing unless it finds what is planted (M-01)."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from securechat.mls.codec import Opaque, WireStruct, decode, encode
from securechat.mls.errors import DecodeError
from tests.fuzz.judge import MAX_SECONDS, Fault, Target, allowed, behave, check


class Note(WireStruct, frozen=True):
    text: Opaque


SEED = encode(Note(b"hello"))


def target(read: Callable[[bytes], Any], write: Callable[[Any], bytes] | None = encode) -> Target:
    return Target("planted", read, (DecodeError,), lambda: (SEED,), write)


def note(data: bytes) -> Note:
    return decode(Note, data)


def test_m_01_an_honest_decoder_passes() -> None:
    assert behave(target(note), SEED)
    assert not behave(target(note), SEED + b"!")
    check(target(note), SEED)


def test_m_01_an_error_that_is_not_documented_is_found() -> None:
    def read(data: bytes) -> Note:
        return {SEED[:-1]: note(data)}[data]

    with pytest.raises(Fault, match=f"raises KeyError.*{SEED.hex()}"):
        behave(target(read), SEED)


def test_m_01_too_deep_a_recursion_is_found() -> None:
    def read(data: bytes) -> Note:
        return read(data)

    with pytest.raises(Fault, match="raises RecursionError"):
        behave(target(read), SEED)


def test_m_01_a_slow_decoder_is_found() -> None:
    def read(data: bytes) -> Note:
        begun = time.thread_time()
        while time.thread_time() - begun <= MAX_SECONDS:
            pass
        return note(data)

    with pytest.raises(Fault, match=r"takes \d+ ms"):
        check(target(read), SEED)


def test_m_01_a_decoder_that_keeps_room_for_what_is_promised_is_found() -> None:
    def read(data: bytes) -> Note:
        bytearray(allowed(target(note), data) + 1)
        return note(data)

    with pytest.raises(Fault, match="bytes of memory"):
        check(target(read), SEED)


def test_m_01_bytes_that_are_read_and_lost_are_found() -> None:
    def read(data: bytes) -> Note:
        return note(data[:6])

    with pytest.raises(Fault, match="another encoding"):
        behave(target(read), SEED + b"!")


def test_m_01_a_value_that_cannot_be_encoded_is_found() -> None:
    def write(value: Note) -> bytes:
        raise ValueError(value.text)

    with pytest.raises(Fault, match="does not encode: ValueError"):
        behave(target(note, write), SEED)


def test_m_01_a_value_that_does_not_come_back_is_found() -> None:
    def read(data: bytes) -> Note:
        return Note(note(data).text + b"!")

    loose = Target("planted", read, (DecodeError,), lambda: (SEED,), encode, canonical=False)
    with pytest.raises(Fault, match="another encoding"):
        behave(loose, SEED)
