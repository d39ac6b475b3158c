"""What somebody is writing for one conversation, as a value."""

from msgspec import Struct

from securechat.client.commands import Say, read_line
from securechat.client.events import Message


class Draft(Struct, frozen=True):
    """What is written for one conversation. ``text`` of the open one is what the composer has."""

    text: str = ""
    editing: Message | None = None
    answering: Message | None = None
    aside: tuple[str, ...] = ()
    """What waits while something else is written: the draft under a change, what was refused."""

    @property
    def kept(self) -> str:
        """What the store keeps of it; the words of a change are in the message."""
        words = "" if self.editing is not None else self.text
        return "\n".join(part for part in (*self.aside, words) if part)

    @property
    def is_empty(self) -> bool:
        """Whether nobody is in the middle of it; something may wait."""
        return not self.text and self.editing is None and self.answering is None


def addressed(typed: str, here: str) -> tuple[str, str]:
    """Return to whom a draft goes that is written in a conversation, and what it says.

    ``@bob: words`` goes to bob wherever one is; ``@bob words`` in a conversation is said in it.
    """
    typed, meant = typed.strip(), read_line(typed)
    if not isinstance(meant, Say):
        return here, typed
    if meant.target and (typed.startswith(f"{meant.target}:") or not here):
        return meant.target, meant.text
    return here, meant.text if typed.startswith("//") else typed
