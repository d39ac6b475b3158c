"""Pictures for tests, honest and hostile; made by hand where the library would refuse to."""

import io
import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from securechat.pictures.pixels import Pixels

Image = pytest.importorskip("PIL.Image", reason="there is no Pillow: pip install 'securechat[pictures]'")

RED, GREEN, BLUE = b"\xff\x00\x00", b"\x00\xff\x00", b"\x00\x00\xff"


def a_picture(kind: str, size: tuple[int, int] = (300, 200), **more: Any) -> bytes:
    """A file of this kind: its left half red, its right half blue."""
    picture = Image.new("RGB", size, "red")
    picture.paste("blue", (size[0] // 2, 0, *size))
    out = io.BytesIO()
    picture.save(out, kind, **more)
    return out.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def a_png(width: int, height: int, packed: bytes, *, more: bytes = b"") -> bytes:
    """A PNG file of this size, as it declares it, with this in it."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + more + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


@contextmanager
def opened(folder: Path, data: bytes) -> Iterator[int]:
    """A file with this in it, open; its name says nothing."""
    path = folder / "picture"
    path.write_bytes(data)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def checks(width: int, height: int) -> Pixels:
    """A small picture of some colours, no two neighbours the same."""
    colours = [bytes([at * 8, 255 - at * 8, at]) for at in range(30)]
    return Pixels(
        width,
        height,
        b"".join(colours[(7 * x + 11 * y) % 30] for y in range(height) for x in range(width)),
    )
