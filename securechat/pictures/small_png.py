"""Thumbnails: PNG files of one small kind, written and read here, so that no decoder is needed.

What a stranger sent is read by these lines and by zlib, which is told how much may come out: a
palette of at most 256 colours, a byte for each pixel, rows as they are, nothing else inside.
Whoever reads PNG reads them; what another made in some other way is not shown.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import Final

from securechat.pictures.pixels import CHANNELS, Pixels

MAX_SIDE: Final = 64
MAX_BYTES: Final = 4096
"""Of a thumbnail that is read; ours have at most `LARGEST`."""

LARGEST: Final = 2048
SIDE: Final = 48
COLOURS: Final = 32
"""48 x 48 pixels of five bits each are 1,440 bytes, however little they can be compressed."""

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_HEADER: Final = struct.Struct(">IIBBBBB")
_PALETTE: Final = (8, 3, 0, 0, 0)
"""Eight bits a pixel, into a palette; the only compression, the only filters, not interlaced."""

_ORDER: Final = (b"IHDR", b"PLTE", b"IDAT", b"IEND")


def write(pixels: Pixels) -> bytes:
    """Return a thumbnail.

    :raises ValueError: more pixels or colours than one has
    """
    colours = pixels.colours()
    palette = sorted(set(colours))
    if max(pixels.width, pixels.height) > MAX_SIDE or not 0 < len(palette) <= COLOURS:
        raise ValueError("that is no thumbnail")
    numbers = {colour: number for number, colour in enumerate(palette)}
    indices = bytes(numbers[colour] for colour in colours)
    rows = b"".join(b"\0" + indices[at : at + pixels.width] for at in range(0, len(indices), pixels.width))
    parts = (
        _HEADER.pack(pixels.width, pixels.height, *_PALETTE),
        b"".join(palette),
        zlib.compress(rows, 9),
        b"",
    )
    return _SIGNATURE + b"".join(_chunk(name, part) for name, part in zip(_ORDER, parts, strict=True))


def read(data: bytes) -> Pixels | None:
    """Return the pixels of a thumbnail; None if it is none of this kind."""
    if len(data) > MAX_BYTES or not data.startswith(_SIGNATURE):
        return None
    chunks = list(_chunks(data))
    if tuple(name for name, _ in chunks) != _ORDER:
        return None
    header, palette, packed, end = (part for _, part in chunks)
    if len(header) != _HEADER.size or end or len(palette) % CHANNELS or len(palette) > 256 * CHANNELS:
        return None
    width, height, *how = _HEADER.unpack(header)
    if tuple(how) != _PALETTE or not 0 < width <= MAX_SIDE or not 0 < height <= MAX_SIDE:
        return None
    rows = _unpacked(packed, height * (width + 1))
    indices = _indices(rows, width)
    if indices is None or CHANNELS * max(indices) >= len(palette):
        return None
    colours = [palette[at : at + CHANNELS] for at in range(0, len(palette), CHANNELS)]
    return Pixels(width, height, b"".join(map(colours.__getitem__, indices)))


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks; ends with one of no name where they do not fill the file, or one is damaged."""
    at = len(_SIGNATURE)
    while at < len(data):
        size, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 12 + size
        part, check = data[at + 8 : end - 4], data[end - 4 : end]
        if end > len(data) or check != struct.pack(">I", zlib.crc32(name + part)):
            yield b"", b""
            return
        yield name, part
        at = end


def _unpacked(packed: bytes, size: int) -> bytes:
    """Return what was compressed, if it is exactly so much; no more is ever unpacked."""
    unpacking = zlib.decompressobj()
    try:
        rows = unpacking.decompress(packed, size + 1)
    except zlib.error:
        return b""
    whole = len(rows) == size and unpacking.eof and not unpacking.unused_data
    return rows if whole else b""


def _indices(rows: bytes, width: int) -> bytes | None:
    """The pixels without the byte before each row that says how it is filtered: not at all."""
    if not rows or any(rows[:: width + 1]):
        return None
    return b"".join(rows[at + 1 : at + 1 + width] for at in range(0, len(rows), width + 1))
