"""Found messages as a list to choose from."""

from collections.abc import Sequence

from securechat.client.doubt import doubt
from securechat.client.events import Message
from securechat.locale.catalogue import told
from securechat.tui.dialogs import Choice
from securechat.tui.message_lines import clock
from securechat.tui.paint import Line, Role, line
from securechat.tui.summary import summary
from securechat.tui.wrap import clean


def choices(messages: Sequence[Message], wanted: str = "") -> list[Choice]:
    """Found messages as a list to choose from; each is known by its number and its conversation."""
    letters = wanted.strip().lower()
    return [
        Choice(f"{one.local_id} {one.conversation}", _line(one))
        for one in messages
        if letters in summary(one).lower() or letters in one.sender
    ]


def _line(one: Message) -> Line:
    where = "" if one.conversation.startswith("@") else f"{clean(one.conversation)} "
    word = doubt(one.verified)
    return line(
        (f"{clock(one.timestamp)} {where}@{clean(one.sender)}", Role.DIM),
        (f" ! {told(word)}" if word else "", Role.WARN),
        (": ", Role.DIM),
        summary(one),
    )
