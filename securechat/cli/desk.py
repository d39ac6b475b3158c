"""An account as a one-shot sees it: through the process that holds it, or opened by ourselves.

The two do the same; only the second needs the password. Each is a *desk*: send, read, mark, list.
"""

from collections.abc import AsyncIterator
from typing import Protocol

from securechat.client.events import Conversation, Explanation, Message


class Desk(Protocol):
    async def send(self, to: str, text: str, *, key: str | None, seconds: float) -> Message:
        """Store and send; the message comes back ``queued`` if the server's word did not come in time."""
        ...

    def messages(self) -> AsyncIterator[Message]:
        """What others sent and was not marked as printed, then what comes, without end."""
        ...

    async def caught_up(self) -> None:
        """Return once everything the server had for us is stored."""
        ...

    async def printed(self, message: Message) -> None: ...

    async def upgrade(self, name: str) -> Conversation:
        """Have a conversation go on in a better cipher suite."""
        ...

    async def conversations(self) -> list[Conversation]: ...

    async def why(self, name: str | None) -> list[Explanation]:
        """How a conversation stands and why; without a name, of all that have something to explain."""
        ...
