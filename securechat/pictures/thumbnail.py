"""Thumbnails: made by the sender, of pixels only, and small enough to travel in the message itself."""

import os

from securechat.pictures import small_png
from securechat.pictures.decoding import NotDrawable, can_decode, decoded
from securechat.pictures.kinds import HEAD, kind_of


def thumbnail_of(descriptor: int) -> bytes:
    """Return a thumbnail of an open file; empty if it is no picture, or none that can be decoded.

    Nothing of the file but pixels is in it: no place, no camera, no date. Blocks: for threads.
    """
    os.lseek(descriptor, 0, os.SEEK_SET)
    if not kind_of(os.read(descriptor, HEAD)) or not can_decode():
        return b""
    try:
        side = small_png.SIDE
        pixels = decoded(descriptor, box=(side, side), colours=small_png.COLOURS)
        made = small_png.write(pixels)
    except (NotDrawable, ValueError):  # the file goes without one
        return b""
    return made if len(made) <= small_png.LARGEST else b""
