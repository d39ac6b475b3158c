"""What a message says: one of a few kinds, each a value (`message.py` writes them).

Reading never fails and never leaves anything out: what looks like one of the kinds below and is
malformed, too large or of a later version is `Words`, that is what a line of text can say of it.
"""

import unicodedata
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from securechat.content.attached import attached_file
from securechat.content.errors import ContentError
from securechat.content.mentions import without_links
from securechat.content.message import can_show, chosen, plain_type, shown_part
from securechat.content.mimi import (
    CHOOSE_ONE,
    PROCESS_ALL,
    REACTION,
    ExternalPart,
    MimiContent,
    MultiPart,
    NullPart,
    Part,
    SinglePart,
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
    decode_close,
    decode_poll,
    decode_shared,
    decode_timer,
    decode_typing,
    decode_vote,
)
from securechat.content.status import STATUS_TYPE, Reported, decode_report
from securechat.text import sanitise

MAX_REACTION: Final = 32
"""Bytes: the longest sequence of emoji that is one sign has 35, of which none is in use as a reaction."""

MAX_REACTIONS_AT_ONCE: Final = 8

MAX_BESIDE: Final = 4096
"""Bytes of extensions beside a file or a poll: what its message says is read again whenever it is shown."""

MAX_CHOICES: Final = 8
"""Parts that one poll may be given as, for the same reason."""

_JOINER: Final = "\N{ZERO WIDTH JOINER}"
_HANGS_ON: Final = frozenset({"Mn", "Mc", "Me"})
_SKIN: Final = range(0x1F3FB, 0x1F400)
_LETTERS_OF_FLAGS: Final = range(0x1F1E6, 0x1F200)
_TAGS: Final = range(0xE0020, 0xE0080)


class Words(Struct, frozen=True):
    """Something to read, not yet sanitised. ``people`` are the URIs of those it names."""

    text: str
    people: frozenset[str] = frozenset()


class Asks(Struct, frozen=True):
    """A poll."""

    poll: PollAsked


class Hands(Struct, frozen=True):
    """A file that lies elsewhere."""

    part: ExternalPart
    text: str


class SetsTimer(Struct, frozen=True):
    """From now on messages disappear so many seconds after they are read; 0: they stay."""

    seconds: int


class Shares(Struct, frozen=True):
    """Somebody who came in is handed what was said before."""

    shared: SharedHistory


class Changes(Struct, frozen=True):
    """Other words in the place of an earlier message's."""

    target: bytes
    words: Words


class Withdraws(Struct, frozen=True):
    """An earlier message, or a reaction, is taken back."""

    target: bytes


class Reacts(Struct, frozen=True):
    """``instead_of`` is an earlier reaction that these take the place of."""

    target: bytes
    texts: tuple[str, ...]
    instead_of: bytes | None = None


class Votes(Struct, frozen=True):
    """The options one is for, counted from 1."""

    target: bytes
    numbers: tuple[int, ...]


class Closes(Struct, frozen=True):
    """A poll takes no more votes."""

    target: bytes


class Reports(Struct, frozen=True):
    reported: Reported


class Types(Struct, frozen=True):
    on: bool


Shown = Words | Asks | Hands | SetsTimer | Shares
"""What has a place of its own among the messages."""

About = Changes | Withdraws | Reacts | Votes | Closes
"""What changes how an earlier message stands."""

Passing = Reports | Types
"""What is taken note of and not kept."""

Said = Shown | About | Passing


def said(content: MimiContent, *, domain: str) -> Said:
    """Return what a message says. People of ``domain`` are named as we name them."""
    for read in _READERS:
        try:
            found = read(content)
        except ContentError:
            break  # it is meant to be of a kind and is none: what can be said of it is
        if found is not None:
            return found
    if content.replaces is not None:
        return Changes(content.replaces, _words(content.part, domain))
    if (file := attached_file(content.part)) is not None and _is_light(content):
        return Hands(file.part, shown_part(file.part))
    return _words(content.part, domain)


def shown_as(shown: Words | Asks | Hands) -> str:
    """Return the line of text that stands for it: not yet sanitised."""
    match shown:
        case Asks(poll):
            return poll.question
        case _:
            return shown.text


def is_reaction(text: str) -> bool:
    """Whether a text is one sign that can be shown as it is."""
    safe = 1 <= len(text.encode("utf-8", "replace")) <= MAX_REACTION and sanitise(text) == text
    return safe and not text.isspace() and _signs(text) == 1


def _words(part: Part, domain: str) -> Words:
    chosen = _chosen_text(part)
    if chosen is not None and plain_type(chosen.content_type) == "text/markdown":
        mentioning = without_links(chosen.content.decode("utf-8", "replace"), domain)
        return Words(mentioning.text, mentioning.people)
    return Words(shown_part(part))


def _chosen_text(part: Part) -> SinglePart | None:
    """Return the one text part that is shown of a part, if it is one."""
    if isinstance(part, MultiPart) and part.semantics == CHOOSE_ONE:
        part = chosen(part)
    text = isinstance(part, SinglePart) and part.disposition != REACTION and can_show(part)
    return part if isinstance(part, SinglePart) and text else None


def _own(content: MimiContent, content_type: str) -> bytes | None:
    """Return what stands in a part of this type: the message's own, or one of a choice."""
    part = content.part
    parts = part.parts if isinstance(part, MultiPart) and part.semantics == CHOOSE_ONE else (part,)
    for each in parts:
        if isinstance(each, SinglePart) and each.content_type == content_type:
            return each.content
    return None


def _report(content: MimiContent) -> Said | None:
    found = _own(content, STATUS_TYPE)
    return None if found is None else Reports(decode_report(found))


def _typing(content: MimiContent) -> Said | None:
    found = _own(content, TYPING_TYPE)
    return None if found is None else Types(decode_typing(found))


def _withdrawal(content: MimiContent) -> Said | None:
    if content.replaces is None or not isinstance(content.part, NullPart):
        return None
    return Withdraws(content.replaces)


def _reaction(content: MimiContent) -> Said | None:
    if content.part.disposition != REACTION or content.in_reply_to is None:
        return None
    texts = _reaction_texts(content.part)
    if not texts:
        raise ContentError("The reaction is none that can be shown as one.")
    return Reacts(content.in_reply_to, texts, content.replaces)


def _reaction_texts(part: Part) -> tuple[str, ...]:
    several = isinstance(part, MultiPart) and part.semantics == PROCESS_ALL
    parts = part.parts if isinstance(part, MultiPart) and several else (part,)
    texts = dict.fromkeys(
        each.content.decode("utf-8", "replace")
        for each in parts
        if isinstance(each, SinglePart) and plain_type(each.content_type) == "text/plain"
    )
    fit = len(texts) <= MAX_REACTIONS_AT_ONCE and all(map(is_reaction, texts))
    return tuple(texts) if fit else ()


def _vote(content: MimiContent) -> Said | None:
    found = _own(content, VOTE_TYPE)
    if found is None:
        return None
    if content.in_reply_to is None:
        raise ContentError("A vote says in which poll.")
    return Votes(content.in_reply_to, decode_vote(found))


def _closing(content: MimiContent) -> Said | None:
    found = _own(content, CLOSE_TYPE)
    if found is None:
        return None
    if content.in_reply_to is None:
        raise ContentError("The end of a poll says of which.")
    decode_close(found)
    return Closes(content.in_reply_to)


def _timer(content: MimiContent) -> Said | None:
    found = _own(content, TIMER_TYPE)
    return None if found is None else SetsTimer(decode_timer(found))


def _sharing(content: MimiContent) -> Said | None:
    found = _own(content, SHARED_TYPE)
    return None if found is None else Shares(decode_shared(found))


def _poll(content: MimiContent) -> Said | None:
    found = _own(content, POLL_TYPE)
    if found is not None and not _is_light(content):
        raise ContentError("Much else stands beside the poll.")
    return None if found is None else Asks(decode_poll(found))


def _is_light(content: MimiContent) -> bool:
    beside = sum(len(value) for _, value in content.extensions)
    parts = content.part.parts if isinstance(content.part, MultiPart) else (content.part,)
    # What lies in another part, or is of a kind we do not know, may be thousands of items.
    is_flat = all(isinstance(each, SinglePart | ExternalPart) for each in parts)
    return is_flat and beside <= MAX_BESIDE and len(parts) <= MAX_CHOICES


def _replaced(content: MimiContent) -> Said | None:
    """End the search: of what takes an earlier message's place nothing but words is taken."""
    if content.replaces is None:
        return None
    raise ContentError("It takes the place of an earlier message.")


_READERS: Final[tuple[Callable[[MimiContent], Said | None], ...]] = (
    _withdrawal,
    _reaction,
    _replaced,
    _report,
    _typing,
    _vote,
    _closing,
    _timer,
    _sharing,
    _poll,
)
"""The kinds, in the order in which they are looked for."""


def _signs(text: str) -> int:
    """Count what is seen as one sign each: roughly the grapheme clusters of UAX 29."""
    count, joined, half_a_flag = 0, False, False
    for c in text:
        if ord(c) in _LETTERS_OF_FLAGS:
            count, half_a_flag = count + (not half_a_flag), not half_a_flag
        elif c == _JOINER:
            joined = True
            continue
        elif unicodedata.category(c) not in _HANGS_ON and ord(c) not in _SKIN and ord(c) not in _TAGS:
            count += not joined
        joined = False
    return count
