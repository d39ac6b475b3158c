"""What the line mode says of a message that stands otherwise now: pure, from what it showed before.

Who has it and who has read it is not told line by line: `/history` shows it.
"""

import hashlib
from collections.abc import Iterable
from datetime import tzinfo
from typing import Final

from msgspec import structs

from securechat.cli.show import clock, message_text
from securechat.client.events import Message, Poll

QUOTED: Final = 40
"""Characters of a message by which it is known again."""

_DIGITS: Final = 64
"""Of a SHA-256: a text that is no longer is kept itself."""


def noted(message: Message) -> Message:
    """What is to be kept of a message that was shown, to tell how it has changed: not its long text."""
    if len(message.text) <= _DIGITS:
        return message
    return structs.replace(message, text=hashlib.sha256(message.text.encode()).hexdigest())


def changed_text(before: Message | None, after: Message, *, zone: tzinfo | None = None) -> str | None:
    """The line for a change; None if a person need not read it.

    :param before: as it was shown last, if it was
    """
    if after.deleted:
        if before is not None and before.deleted:
            return None
        over = before is not None and before.expires > 0 and not after.expires
        return f"* {_of(after, zone)} {'has disappeared' if over else 'is withdrawn'}"
    if after.edited and (before is None or _version(before) != _version(after)):
        return message_text(after, zone=zone)
    lines = [*_reactions(before, after), *_votes(before, after)]
    return "\n".join(f"* {line}" for line in lines) or None


def _version(message: Message) -> tuple[int, str]:
    return message.edited, noted(message).text


def _reactions(before: Message | None, after: Message) -> Iterable[str]:
    had, has = _pairs(before), _pairs(after)
    for text, user in has:
        if (text, user) not in had and before is not None:
            yield f"@{user} reacts with {text} to {_quote(after)}"
    for text, user in had:
        if (text, user) not in has:
            yield f"@{user} takes {text} back from {_quote(after)}"
    if before is None and has:
        said = ", ".join(f"{text} of @{user}" for text, user in has)
        yield f"reactions to {_quote(after)}: {said}"


def _pairs(message: Message | None) -> list[tuple[str, str]]:
    reactions = message.reactions if message is not None else ()
    return [(each.text, user) for each in reactions for user in each.users]


def _votes(before: Message | None, after: Message) -> Iterable[str]:
    asked = before.poll if before is not None else None
    if after.poll is None or asked == after.poll:
        return
    if after.poll.closed and not (asked is not None and asked.closed):
        yield f"the poll {_quote(after)} is closed: {counts(after.poll)}"
    else:
        yield f"votes on {_quote(after)}: {counts(after.poll)}"


def counts(poll: Poll) -> str:
    return ", ".join(f"{each.text} {len(each.voters)}" for each in poll.options)


def _of(message: Message, zone: tzinfo | None) -> str:
    sender = "you" if message.own else f"@{message.sender}"
    return f"what {sender} said in {message.conversation} at {clock(message.timestamp, zone=zone)}"


def _quote(message: Message) -> str:
    first = message.text.split("\n", 1)[0]
    cut = first if len(first) <= QUOTED else first[: QUOTED - 1] + "…"
    return f"@{message.sender}: {cut!r}"
