"""Simple changes of bytes, seeded: what plain pytest tries where there is no atheris."""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Final

EDGES: Final = (
    b"\x00", b"\x01", b"\x3f", b"\x40\x3f", b"\x40\x40", b"\x7f\xff", b"\x80\x00\x3f\xff",
    b"\x80\x00\x40\x00", b"\xbf\xff\xff\xff", b"\xc0\x00\x00\x00", b"\xff", b"\xff\xff\xff\xff",
    b"\x01\x00\x00\x00", b"\x81",
    b"\xdd\xff\xff\xff\xff", b"[" * 64, b"\x91" * 64, b"\x9f", b"\xf9\x7e\x00", b"\r\n",
)  # fmt: skip
"""Lengths at the edges of their forms (section 2.1.2), a leaf index that is too high, heads of lists."""


def mutated(seeds: Sequence[bytes], seed: int, count: int) -> Iterator[bytes]:
    """``count`` inputs: each is a seed changed in one to four places."""
    chosen = random.Random(seed)
    for _ in range(count):
        data = chosen.choice(seeds)
        for _ in range(chosen.randint(1, 4)):
            data = chosen.choice(CHANGES)(data, chosen, seeds)
        yield data


Change = Callable[[bytes, random.Random, Sequence[bytes]], bytes]


def _cut(data: bytes, chosen: random.Random, _seeds: Sequence[bytes]) -> bytes:
    return data[: chosen.randrange(len(data) + 1)]


def _flip(data: bytes, chosen: random.Random, _seeds: Sequence[bytes]) -> bytes:
    if not data:
        return b"\x80"
    place = chosen.randrange(len(data))
    return data[:place] + bytes([data[place] ^ 1 << chosen.randrange(8)]) + data[place + 1 :]


def _put_edge(data: bytes, chosen: random.Random, _seeds: Sequence[bytes]) -> bytes:
    place, edge = chosen.randrange(len(data) + 1), chosen.choice(EDGES)
    return data[:place] + edge + data[place + chosen.choice((0, len(edge))) :]


def _repeat(data: bytes, chosen: random.Random, _seeds: Sequence[bytes]) -> bytes:
    start, stop = sorted((chosen.randrange(len(data) + 1), chosen.randrange(len(data) + 1)))
    return data[:start] + data[start:stop] * chosen.choice((0, 2, 3)) + data[stop:]


def _splice(data: bytes, chosen: random.Random, seeds: Sequence[bytes]) -> bytes:
    other = chosen.choice(seeds)
    return data[: chosen.randrange(len(data) + 1)] + other[chosen.randrange(len(other) + 1) :]


CHANGES: Final[tuple[Change, ...]] = (_cut, _flip, _flip, _put_edge, _put_edge, _repeat, _splice)
