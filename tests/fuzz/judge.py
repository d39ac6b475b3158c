"""What a decoder of ours may do with any bytes (M-01), and who finds out that it did something else.

The only ends are a value or a documented error; a value encodes to the bytes it came from (or, where
one value has several encodings, to bytes that give it again); and it takes at most ``MAX_SECONDS`` of
CPU and ``MAX_FACTOR`` times the input and ``MAX_SPARE`` of memory.
"""

import gc
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

MAX_SECONDS: Final = 0.05
MAX_FACTOR: Final = 10
MAX_SPARE: Final = 1 << 20

TRIES: Final = 5
"""A machine that is busy with something else makes the first measurement too long, not all of them."""


class Fault(AssertionError):
    """A decoder did what it may not do; the text says which, what, and with which bytes."""


def as_it_is(data: bytes) -> bytes:
    return data


@dataclass(frozen=True, slots=True)
class Target:
    """A decoder, what it is documented to raise, and what its values must do."""

    name: str
    decode: Callable[[Any], Any]
    errors: tuple[type[Exception], ...]
    seeds: Callable[[], tuple[bytes, ...]]
    encode: Callable[[Any], bytes] | None = None
    """None where a value does not hold all of its bytes."""
    canonical: bool = True
    """Whether a value has one encoding only."""
    craft: Callable[[bytes], Any] = as_it_is
    """Makes what is decoded of the fuzzer's bytes: seals or signs it, say; raises ``NotCraftable``."""
    packed: bool = False
    """Whether inputs are msgpack, which the fuzzer had better change as such."""
    buffer: int = 0
    """Bytes that reading takes whatever is read: that of a file's longest allowed length."""


class NotCraftable(Exception):
    """Nothing to decode can be made of these bytes."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one decoding took; ``peak`` is the bytes above what was there before."""

    seconds: float
    peak: int

    @property
    def text(self) -> str:
        return f"{self.seconds * 1000:.1f} ms, {self.peak / 1024:.0f} KiB"


def behave(target: Target, data: bytes) -> bool:
    """Run one input; say whether it decoded. Fault if it ended in another way than it may."""
    try:
        given = target.craft(data)
    except NotCraftable:
        return False
    try:
        value = target.decode(given)
    except target.errors:
        return False
    except Exception as error:
        raise Fault(_told(target, data, f"raises {type(error).__name__}: {error}")) from error
    if target.encode is not None:
        _check_encoding(target, data, given, value)
    return True


def _check_encoding(target: Target, data: bytes, given: object, value: object) -> None:
    assert target.encode is not None
    try:
        encoded = target.encode(value)
        if target.canonical:
            same = encoded == given
        else:
            again = target.decode(encoded)
            same = target.encode(again) == encoded
    except Exception as error:
        raise Fault(
            _told(target, data, f"decodes but does not encode: {type(error).__name__}: {error}")
        ) from error
    if not same:
        raise Fault(_told(target, data, "decodes to a value with another encoding"))


def measure(target: Target, data: bytes) -> Cost:
    """What decoding takes, without the making of the input: the least CPU time of some tries, the peak."""
    try:
        given = target.craft(data)
    except NotCraftable:
        return Cost(0.0, 0)
    seconds = min_seconds(target, given)
    gc.collect(0)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        _decoded(target, given)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return Cost(seconds, peak - before)


def min_seconds(target: Target, given: object) -> float:
    least = MAX_SECONDS * 1000
    for _ in range(TRIES):
        begun = time.thread_time()
        _decoded(target, given)
        least = min(least, time.thread_time() - begun)
        if least < MAX_SECONDS / 2:
            break
    return least


def _decoded(target: Target, given: object) -> object:
    try:
        return target.decode(given)
    except target.errors:
        return None


def check(target: Target, data: bytes) -> Cost:
    """All that M-01 asks of one input. Fault names what is not so."""
    behave(target, data)
    cost = measure(target, data)
    if cost.seconds > MAX_SECONDS:
        raise Fault(_told(target, data, f"takes {cost.seconds * 1000:.0f} ms"))
    if cost.peak > allowed(target, data):
        most = allowed(target, data)
        raise Fault(_told(target, data, f"takes {cost.peak} bytes of memory, {most} are allowed"))
    return cost


def allowed(target: Target, data: bytes) -> int:
    """How much memory a decoder may take for an input."""
    return MAX_FACTOR * len(data) + MAX_SPARE + target.buffer


def _told(target: Target, data: bytes, what: str) -> str:
    shown = data.hex() if len(data) <= 2048 else f"{data[:256].hex()}... ({len(data)} bytes)"
    return f"{target.name} {what}; the input: {shown}"
