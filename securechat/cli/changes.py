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
from securechat.locale.catalogue import mark, say

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
        gone = mark("{what} has disappeared") if over else mark("{what} is withdrawn")
        return f"* {say(gone, what=_of(after, zone))}"
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
            yield say("{user} reacts with {sign} to {what}", user=f"@{user}", sign=text, what=_quote(after))
    for text, user in had:
        if (text, user) not in has:
            yield say("{user} takes {sign} back from {what}", user=f"@{user}", sign=text, what=_quote(after))
    if before is None and has:
        said = ", ".join(say("{sign} of {user}", sign=text, user=f"@{user}") for text, user in has)
        yield say("reactions to {what}: {said}", what=_quote(after), said=said)


def _pairs(message: Message | None) -> list[tuple[str, str]]:
    reactions = message.reactions if message is not None else ()
    return [(each.text, user) for each in reactions for user in each.users]


def _votes(before: Message | None, after: Message) -> Iterable[str]:
    asked = before.poll if before is not None else None
    if after.poll is None or asked == after.poll:
        return
    if after.poll.closed and not (asked is not None and asked.closed):
        yield say("the poll {what} is closed: {counts}", what=_quote(after), counts=counts(after.poll))
    else:
        yield say("votes on {what}: {counts}", what=_quote(after), counts=counts(after.poll))


def counts(poll: Poll) -> str:
    return ", ".join(f"{each.text} {len(each.voters)}" for each in poll.options)


def _of(message: Message, zone: tzinfo | None) -> str:
    when = clock(message.timestamp, zone=zone)
    if message.own:
        return say("what you said in {name} at {time}", name=message.conversation, time=when)
    return say(
        "what {user} said in {name} at {time}",
        user=f"@{message.sender}",
        name=message.conversation,
        time=when,
    )


def _quote(message: Message) -> str:
    first = message.text.split("\n", 1)[0]
    cut = first if len(first) <= QUOTED else first[: QUOTED - 1] + "…"
    return f"@{message.sender}: {cut!r}"
