"""Changes of msgpack values: byte by byte nearly every change of a frame is no msgpack any more.

Half of what the fuzzer tries on frames is made here: a value is read without its types, one place in it is
changed, and it is packed again.
"""

import random
from collections.abc import Callable
from typing import Any, Final

import msgspec

EDGES: Final[tuple[Any, ...]] = (
    *(None, True, 0, 1, -1, 1.5, float("nan"), 2**31, 2**32, 2**53, 2**63 - 1, 2**64 - 1, -(2**63)),
    *("", "x", "x" * 65, "\u202e", "alice", "bob", "goodbye", "request", "response", "delivered"),
    *(b"", b"x", bytes(16), bytes(32), bytes(64), bytes(65 * 1024)),
    *([], {}, [0], [[]], [1, 1], {"type": "ping"}, [b"x"] * 600),
)


def change(data: bytes, most: int, seed: int, otherwise: Callable[[bytes, int], bytes]) -> bytes:
    """Return ``data`` changed, at most ``most`` bytes long; ``otherwise`` changes it byte by byte."""
    chosen = random.Random(seed)
    try:
        value = msgspec.msgpack.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return otherwise(data, most)
    if chosen.random() < 0.5:
        return otherwise(data, most)
    for _ in range(chosen.randint(1, 3)):
        value = _changed(value, chosen)
    packed = msgspec.msgpack.encode(value)
    return packed if len(packed) <= most else data


def _changed(value: Any, chosen: random.Random) -> Any:
    """Return a value with one place changed: itself, or a place inside."""
    if chosen.random() < 0.2:
        value = None
    match value:
        case dict() if value:
            return _changed_map(value, chosen)
        case list() if value:
            return _changed_list(value, chosen)
        case bytes():
            return _changed_bytes(value, chosen)
        case int():
            return max(-(2**63), min(2**64 - 1, value + chosen.choice((-1, 1, 256, 2**32))))
        case _:
            return chosen.choice(EDGES)


def _changed_map(value: dict[Any, Any], chosen: random.Random) -> dict[Any, Any]:
    key = chosen.choice(list(value))
    match chosen.randrange(6):
        case 0:
            return {k: v for k, v in value.items() if k != key}
        case 1:
            return value | {"unknown": value[key]}
        case _:
            return value | {key: _changed(value[key], chosen)}


def _changed_list(value: list[Any], chosen: random.Random) -> list[Any]:
    place = chosen.randrange(len(value))
    match chosen.randrange(5):
        case 0:
            return value[:place] + value[place + 1 :]
        case 1:
            return (value + [value[place]] * 3)[:1000]
        case _:
            return [*value[:place], _changed(value[place], chosen), *value[place + 1 :]]


def _changed_bytes(value: bytes, chosen: random.Random) -> bytes:
    """What lies inside is often msgpack itself."""
    try:
        inside = msgspec.msgpack.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return value[: chosen.randrange(len(value) + 1)] + chosen.choice((b"", b"x", bytes(33)))
    return msgspec.msgpack.encode(_changed(inside, chosen))
