"""Messages as they are written, and a MIMI message as text.

Every kind of message is one function here; `saying.py` reads them again. A reference names the
*first* version of a message, also where it was edited since: so whoever misses a version still
knows which message is meant.
"""

from collections.abc import Mapping
from typing import Final

import cbor2
from msgspec import Struct

from securechat.content.errors import ContentError
from securechat.content.mentions import MARKDOWN, with_mentions
from securechat.content.mimi import (
    CHOOSE_ONE,
    REACTION,
    RENDER,
    ROOM_URI,
    SENDER_URI,
    SINGLE_UNIT,
    Expiration,
    ExternalPart,
    MimiContent,
    MultiPart,
    NullPart,
    Part,
    SinglePart,
    UnknownPart,
)
from securechat.content.own_types import (
    CLOSE_TYPE,
    POLL_TYPE,
    SHARED_TYPE,
    TIMER_TYPE,
    TYPING_TYPE,
    VOTE_TYPE,
    PollAsked,
    SharedHistory,
    encode_close,
    encode_poll,
    encode_shared,
    encode_timer,
    encode_typing,
    encode_vote,
)
from securechat.content.sealed_file import read_file_part
from securechat.content.status import STATUS_TYPE, Reported, encode_report
from securechat.names import parse_user_uri
from securechat.sizes import size_text

PLAIN_TEXT: Final = "text/plain;charset=utf-8"

UNSPECIFIED: Final = 0
"""The disposition of what is not for eyes."""

_SHOWN_TYPES: Final = frozenset({"text/plain", "text/markdown"})
_CHARSETS: Final = frozenset({"", "utf-8", "us-ascii"})


class Frame(Struct, frozen=True, kw_only=True):
    """What stands around every message. ``salt`` is 16 random bytes, new for each."""

    salt: bytes
    sender_uri: str
    room_uri: str
    in_reply_to: bytes | None = None
    topic_id: bytes = b""
    expires: Expiration | None = None


def framed(part: Part, frame: Frame, *, replaces: bytes | None = None) -> MimiContent:
    """Return a message of this part."""
    return MimiContent(
        salt=frame.salt,
        replaces=replaces,
        topic_id=frame.topic_id,
        expires=frame.expires,
        in_reply_to=frame.in_reply_to,
        extensions=((SENDER_URI, cbor2.dumps(frame.sender_uri)), (ROOM_URI, cbor2.dumps(frame.room_uri))),
        part=part,
    )


def text_message(
    text: str, salt: bytes, *, sender_uri: str, room_uri: str, in_reply_to: bytes | None = None
) -> MimiContent:
    """Return a message of one plain text part."""
    frame = Frame(salt=salt, sender_uri=sender_uri, room_uri=room_uri, in_reply_to=in_reply_to)
    return framed(text_part(text), frame)


def text_part(text: str, people: Mapping[str, str] | None = None) -> SinglePart:
    """Return a text as it is sent: Markdown if it names one of these people (name -> URI), else plain."""
    markdown = with_mentions(text, people or {})
    if markdown is not None:
        return SinglePart(MARKDOWN, markdown.encode("utf-8", "replace"))
    return SinglePart(PLAIN_TEXT, text.encode("utf-8", "replace"))


def withdrawal(target: bytes, frame: Frame, *, disposition: int = RENDER) -> MimiContent:
    """Return what withdraws a message, or a reaction (its disposition is `REACTION` then)."""
    return framed(NullPart(disposition), frame, replaces=target)


def reaction(text: str, frame: Frame) -> MimiContent:
    """Return a reaction to what the frame replies to."""
    return framed(SinglePart(PLAIN_TEXT, text.encode(), REACTION), frame)


def poll(asked: PollAsked, frame: Frame) -> MimiContent:
    lines = [asked.question, *(f"{number}. {text}" for number, text in enumerate(asked.options, 1))]
    return framed(_with_text(POLL_TYPE, encode_poll(asked), "\n".join(lines)), frame)


def vote(numbers: tuple[int, ...], frame: Frame) -> MimiContent:
    """Return a vote in the poll that the frame replies to."""
    said = "votes for " + ", ".join(map(str, numbers)) if numbers else "takes the vote back"
    return framed(_with_text(VOTE_TYPE, encode_vote(numbers), f"({said})"), frame)


def closing(frame: Frame) -> MimiContent:
    """Return the end of the poll that the frame replies to."""
    return framed(_with_text(CLOSE_TYPE, encode_close(), "(closes the poll)"), frame)


def timer(seconds: int, frame: Frame) -> MimiContent:
    said = f"messages disappear {seconds} seconds after they are read" if seconds else "messages stay"
    return framed(_with_text(TIMER_TYPE, encode_timer(seconds), f"({said} from now on)"), frame)


def sharing(shared: SharedHistory, frame: Frame) -> MimiContent:
    """Return what tells everybody in a room where the history lies that a newcomer is handed."""
    return framed(_with_text(SHARED_TYPE, encode_shared(shared), f"({sharing_text(shared)})"), frame)


def sharing_text(shared: SharedHistory) -> str:
    user = parse_user_uri(shared.user).name
    return f"shares the last messages of this room with @{user}: {shared.count}"


def typing(frame: Frame, *, on: bool) -> MimiContent:
    return framed(SinglePart(TYPING_TYPE, encode_typing(on=on), UNSPECIFIED), frame)


def report(reported: Reported, frame: Frame) -> MimiContent:
    return framed(SinglePart(STATUS_TYPE, encode_report(reported), UNSPECIFIED), frame)


def shown_text(content: MimiContent) -> str:
    """Return what a line of text can say of a message, in the sender's words: not yet sanitised.

    What this version cannot show is named, never left out.
    """
    if content.replaces is not None and isinstance(content.part, NullPart):
        return "(withdraws an earlier message)"
    text = shown_part(content.part)
    return f"(changed) {text}" if content.replaces is not None else text


def shown_part(part: Part) -> str:
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


def chosen(part: MultiPart) -> Part:
    """Return which part of a choice is shown: the first that this version can show, else the first."""
    return next(filter(can_show, part.parts), part.parts[0])


def file_text(part: ExternalPart) -> str:
    """Return a line that stands for a file, and below it what its sender says of it."""
    filename = " ".join(part.filename.split())  # the line ends where we end it
    try:
        size = size_text(read_file_part(part).size)
    except ContentError:
        name = filename or part.description or "without a name"
        return f"(an attachment, {part.content_type}: {name}; this version cannot open it)"
    line = f"(a file: {filename or 'without a name'}, {size})"
    return f"{line}\n{part.description}" if part.description else line


def plain_type(content_type: str) -> str:
    """Return a media type without its parameters, in lower case (RFC 2045, section 5.1)."""
    return _media_type(content_type)[0]


def _with_text(content_type: str, content: bytes, text: str) -> MultiPart:
    """Return a part of ours, and what everybody else reads instead."""
    parts = (SinglePart(content_type, content), SinglePart(PLAIN_TEXT, text.encode("utf-8", "replace")))
    return MultiPart(CHOOSE_ONE, parts)


def _shown_several(part: MultiPart) -> str:
    if part.semantics == CHOOSE_ONE:
        return shown_part(chosen(part))
    if part.semantics == SINGLE_UNIT and not all(map(can_show, part.parts)):
        return "(a message of several parts that this version cannot show)"
    return "\n".join(map(shown_part, part.parts))


def _shown_single(part: SinglePart) -> str:
    if not can_show(part):
        return f"({part.content_type}, {len(part.content)} bytes: this version cannot show it)"
    text = part.content.decode("utf-8", "replace")
    return f"(reacts with {text})" if part.disposition == REACTION else text


def can_show(part: Part) -> bool:
    """Whether this version shows what a part holds, rather than naming it."""
    match part:
        case SinglePart():
            media_type, charset = _media_type(part.content_type)
            return media_type in _SHOWN_TYPES and charset in _CHARSETS
        case MultiPart(semantics, parts):
            return (all if semantics == SINGLE_UNIT else any)(map(can_show, parts))
        case _:
            return False


def _media_type(content_type: str) -> tuple[str, str]:
    """Return the type and its charset, in lower case (RFC 2045, section 5.1)."""
    media_type, *parameters = content_type.lower().split(";")
    pairs = dict(parameter.partition("=")[::2] for parameter in parameters)
    found = {name.strip(): value.strip().strip('"') for name, value in pairs.items()}
    return media_type.strip(), found.get("charset", "")
