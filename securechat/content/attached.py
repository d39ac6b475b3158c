"""A file in a message, and the small picture of it that its sender made.

The file is an external part. With a thumbnail it is the first of two parts that belong together
(`PROCESS_ALL`); the second is a PNG file in the message itself, its disposition the draft's ``preview``.
"""

from typing import Final

from msgspec import Struct

from securechat.content.mimi import PREVIEW, PROCESS_ALL, ExternalPart, MultiPart, Part, SinglePart

THUMBNAIL_TYPE: Final = "image/png"
MAX_THUMBNAIL: Final = 4096
"""Bytes: twice what we make. A larger one is not looked at; the file is there all the same."""


class AttachedFile(Struct, frozen=True):
    """A file, and its thumbnail: what somebody says is one, empty if nobody says so."""

    part: ExternalPart
    thumbnail: bytes = b""


def with_thumbnail(part: ExternalPart, thumbnail: bytes) -> Part:
    """Return what is sent of a file; with no thumbnail the part is all."""
    if not thumbnail:
        return part
    return MultiPart(PROCESS_ALL, (part, SinglePart(THUMBNAIL_TYPE, thumbnail, PREVIEW)))


def attached_file(part: Part) -> AttachedFile | None:
    """Return the file that a message's part is; None if it is something else, or more than one file."""
    match part:
        case ExternalPart():
            return AttachedFile(part)
        case MultiPart(semantics, (ExternalPart() as file, SinglePart(content_type, content, disposition))):
            if semantics != PROCESS_ALL or disposition != PREVIEW:
                return None
            is_one = content_type == THUMBNAIL_TYPE and len(content) <= MAX_THUMBNAIL
            return AttachedFile(file, content if is_one else b"")
        case _:
            return None
