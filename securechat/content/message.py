"""A text as a MIMI message, and a MIMI message as text."""

from typing import Final

import cbor2

from securechat.content.errors import ContentError
from securechat.content.mimi import (
    CHOOSE_ONE,
    REACTION,
    ROOM_URI,
    SENDER_URI,
    SINGLE_UNIT,
    ExternalPart,
    MimiContent,
    MultiPart,
    NullPart,
    Part,
    SinglePart,
    UnknownPart,
)
from securechat.content.sealed_file import read_file_part

PLAIN_TEXT: Final = "text/plain;charset=utf-8"

_SHOWN_TYPES: Final = frozenset({"text/plain", "text/markdown"})
_CHARSETS: Final = frozenset({"", "utf-8", "us-ascii"})


def text_message(
    text: str, salt: bytes, *, sender_uri: str, room_uri: str, in_reply_to: bytes | None = None
) -> MimiContent:
    """Return a message of one text part. ``salt`` is 16 random bytes, new for each message."""
    return MimiContent(
        salt=salt,
        in_reply_to=in_reply_to,
        extensions=((SENDER_URI, cbor2.dumps(sender_uri)), (ROOM_URI, cbor2.dumps(room_uri))),
        part=SinglePart(PLAIN_TEXT, text.encode("utf-8", "replace")),
    )


def shown_text(content: MimiContent) -> str:
    """Return what a line of text can say of a message, in the sender's words: not yet sanitised.

    What this version cannot show is named, never left out.
    """
    if content.replaces is not None and isinstance(content.part, NullPart):
        return "(withdraws an earlier message)"
    text = _shown(content.part)
    return f"(changed) {text}" if content.replaces is not None else text


def _shown(part: Part) -> str:
    match part:
        case NullPart():
            return "(an empty message)"
        case SinglePart():
            return _shown_single(part)
        case ExternalPart():
            return file_text(part)
        case UnknownPart():
            return "(a part of a kind that this version cannot show)"
        case MultiPart():
            return _shown_several(part)


def file_text(part: ExternalPart) -> str:
    """Return a line that stands for a file, and below it what its sender says of it."""
    try:
        size = _bytes_text(read_file_part(part).size)
    except ContentError:
        name = part.filename or part.description or "without a name"
        return f"(an attachment, {part.content_type}: {name}; this version cannot open it)"
    line = f"(a file: {part.filename or 'without a name'}, {size})"
    return f"{line}\n{part.description}" if part.description else line


def _bytes_text(count: int) -> str:
    amount = float(count)
    for unit in ("bytes", "KiB", "MiB"):
        if amount < 1024:
            return f"{count} bytes" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"


def _shown_several(part: MultiPart) -> str:
    if part.semantics == CHOOSE_ONE:
        return _shown(next(filter(_can_show, part.parts), part.parts[0]))
    if part.semantics == SINGLE_UNIT and not all(map(_can_show, part.parts)):
        return "(a message of several parts that this version cannot show)"
    return "\n".join(map(_shown, part.parts))


def _shown_single(part: SinglePart) -> str:
    if not _can_show(part):
        return f"({part.content_type}, {len(part.content)} bytes: this version cannot show it)"
    text = part.content.decode("utf-8", "replace")
    return f"(reacts with {text})" if part.disposition == REACTION else text


def _can_show(part: Part) -> bool:
    match part:
        case SinglePart():
            media_type, charset = _media_type(part.content_type)
            return media_type in _SHOWN_TYPES and charset in _CHARSETS
        case MultiPart(semantics, parts):
            return (all if semantics == SINGLE_UNIT else any)(map(_can_show, parts))
        case _:
            return False


def _media_type(content_type: str) -> tuple[str, str]:
    """Return the type and its charset, in lower case (RFC 2045, section 5.1)."""
    media_type, *parameters = content_type.lower().split(";")
    pairs = dict(parameter.partition("=")[::2] for parameter in parameters)
    found = {name.strip(): value.strip().strip('"') for name, value in pairs.items()}
    return media_type.strip(), found.get("charset", "")
