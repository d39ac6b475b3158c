"""U-05: thumbnails are read without a decoder, and what is not one of ours is not shown."""

import random
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.pictures import small_png
from securechat.pictures.pixels import Pixels

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER = struct.pack(">IIBBBBB", 2, 2, 8, 3, 0, 0, 0)
PALETTE = bytes(range(6))
ROWS = b"\0\0\1" + b"\0\1\0"
SMALL = Pixels(2, 2, PALETTE + PALETTE[3:] + PALETTE[:3])


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def a_thumbnail(
    header: bytes = HEADER, palette: bytes = PALETTE, rows: bytes = ROWS, end: bytes = b"", more: bytes = b""
) -> bytes:
    parts = (chunk(b"IHDR", header), chunk(b"PLTE", palette), chunk(b"IDAT", zlib.compress(rows)), more)
    return SIGNATURE + b"".join(parts) + chunk(b"IEND", end)


def noise(width: int, height: int, *, seed: int = 1) -> Pixels:
    """What is hardest to compress: every pixel any of the colours there may be."""
    made = random.Random(seed)
    colours = [made.randbytes(3) for _ in range(small_png.COLOURS)]
    return Pixels(width, height, b"".join(made.choice(colours) for _ in range(width * height)))


@pytest.mark.parametrize("size", [(1, 1), (48, 36), (36, 48), (48, 1), (64, 2)])
def test_what_is_written_is_read_back(size: tuple[int, int]) -> None:
    assert small_png.read(small_png.write(noise(*size))) == noise(*size)


def test_however_hard_it_is_to_compress_it_is_small() -> None:
    side = small_png.SIDE
    assert len(small_png.write(noise(side, side))) <= small_png.LARGEST <= small_png.MAX_BYTES


def test_there_is_nothing_in_it_but_pixels() -> None:
    written = small_png.write(noise(4, 4))
    assert [written.count(name) for name in (b"IHDR", b"PLTE", b"IDAT", b"IEND")] == [1, 1, 1, 1]
    assert len(written) < 200


def test_what_is_larger_or_more_colourful_is_not_written() -> None:
    many = Pixels(small_png.COLOURS + 1, 1, b"".join(bytes([at] * 3) for at in range(small_png.COLOURS + 1)))
    for pixels in (Pixels(65, 1, bytes(65 * 3)), many, Pixels(0, 0, b"")):
        with pytest.raises(ValueError, match="no thumbnail"):
            small_png.write(pixels)


def test_one_made_by_hand_is_read() -> None:
    assert small_png.read(a_thumbnail()) == SMALL


HOSTILE = {
    "nothing": b"",
    "a name only": SIGNATURE,
    "another kind": b"GIF89a" + bytes(40),
    "cut off": a_thumbnail()[:-1],
    "a byte more": a_thumbnail() + b"\0",
    "one bit": a_thumbnail().replace(b"PLTE", b"PLTD"),
    "a wrong sum": a_thumbnail()[:-1] + b"\0",
    "a size of four gigabytes": SIGNATURE + b"\xff\xff\xff\xffIHDR" + HEADER,
    "no pixels": a_thumbnail(struct.pack(">IIBBBBB", 0, 0, 8, 3, 0, 0, 0), rows=b""),
    "far too wide": a_thumbnail(struct.pack(">IIBBBBB", 2**31, 1, 8, 3, 0, 0, 0)),
    "wider than it says": a_thumbnail(struct.pack(">IIBBBBB", 1, 2, 8, 3, 0, 0, 0)),
    "smaller than it says": a_thumbnail(struct.pack(">IIBBBBB", 64, 64, 8, 3, 0, 0, 0)),
    "interlaced": a_thumbnail(struct.pack(">IIBBBBB", 2, 2, 8, 3, 0, 0, 1)),
    "of sixteen bits": a_thumbnail(struct.pack(">IIBBBBB", 2, 2, 16, 3, 0, 0, 0)),
    "without a palette": a_thumbnail(struct.pack(">IIBBBBB", 2, 2, 8, 2, 0, 0, 0)),
    "a colour that is not there": a_thumbnail(rows=b"\0\0\2\0\1\0"),
    "an empty palette": a_thumbnail(palette=b""),
    "half a colour": a_thumbnail(palette=PALETTE[:5]),
    "a huge palette": a_thumbnail(palette=bytes(257 * 3)),
    "filtered": a_thumbnail(rows=b"\1\0\1\0\1\0"),
    "a bomb": a_thumbnail(rows=bytes(1_000_000)),
    "with words": a_thumbnail(more=chunk(b"tEXt", b"Comment\0\x1b[2J")),
    "twice": a_thumbnail(more=chunk(b"IDAT", zlib.compress(ROWS))),
    "an end with something in it": a_thumbnail(end=b"x"),
    "not compressed": SIGNATURE + chunk(b"IHDR", HEADER) + chunk(b"PLTE", PALETTE) + chunk(b"IDAT", ROWS),
    "too many bytes": a_thumbnail() + bytes(small_png.MAX_BYTES),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_u_05_what_is_no_thumbnail_of_ours_is_not_shown(name: str) -> None:
    assert small_png.read(HOSTILE[name]) is None


@given(
    st.binary(max_size=200)
    | st.builds(lambda cut, more: a_thumbnail()[:cut] + more, st.integers(0, 90), st.binary())
)
def test_u_05_any_bytes_are_a_thumbnail_or_nothing(data: bytes) -> None:
    found = small_png.read(data)
    assert found is None or len(found.rgb) == found.width * found.height * 3


@given(
    st.tuples(st.integers(0, 70), st.integers(0, 70), *(st.sampled_from([0, 0, 3, 8]) for _ in range(5))),
    st.binary(max_size=900),
    st.binary(max_size=300),
)
def test_u_05_any_parts_that_are_whole_are_a_thumbnail_or_nothing(
    header: tuple[int, ...], palette: bytes, rows: bytes
) -> None:
    found = small_png.read(a_thumbnail(struct.pack(">IIBBBBB", *header), palette, rows))
    assert found is None or len(found.rgb) == found.width * found.height * 3


@given(
    st.integers(1, 64),
    st.integers(1, 64),
    st.binary(min_size=3, max_size=90).map(lambda data: data[: len(data) // 3 * 3]),
)
def test_what_is_whole_in_all_its_parts_is_read(width: int, height: int, palette: bytes) -> None:
    pixels = [(7 * at) % (len(palette) // 3) for at in range(width * height)]
    rows = b"".join(b"\0" + bytes(pixels[at : at + width]) for at in range(0, width * height, width))
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    drawn = b"".join(palette[3 * each : 3 * each + 3] for each in pixels)
    assert small_png.read(a_thumbnail(header, palette, rows)) == Pixels(width, height, drawn)
