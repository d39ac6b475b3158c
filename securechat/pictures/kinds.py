"""What a file is by its first bytes: the four kinds of pictures that are ever decoded."""

from typing import Final

HEAD: Final = 12
"""Bytes that tell."""

PNG, JPEG, GIF, WEBP = "image/png", "image/jpeg", "image/gif", "image/webp"

FORMATS: Final = {PNG: "PNG", JPEG: "JPEG", GIF: "GIF", WEBP: "WEBP"}
"""Media type -> what the decoder calls it. No other decoder is ever tried."""

_BEGINNINGS: Final = (
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"\xff\xd8\xff", JPEG),
    (b"GIF87a", GIF),
    (b"GIF89a", GIF),
)


def kind_of(head: bytes) -> str:
    """Return the media type of a picture that begins like this; empty if it is none of ours."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return WEBP
    return next((kind for beginning, kind in _BEGINNINGS if head.startswith(beginning)), "")
