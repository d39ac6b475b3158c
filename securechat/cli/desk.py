"""An account as a one-shot sees it: through the process that holds it, or opened by ourselves.

The two do the same; only the second needs the password. Each is a *desk*: send, read, mark, list.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import msgspec

from securechat.cli.home import home_of
from securechat.cli.options import Account, known_password
from securechat.client.config import ProfileFolder
from securechat.client.errors import NoHolder
from securechat.client.events import Conversation, Message
from securechat.client.forwarding import Line, connected, forward
from securechat.names import fold_user


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

    async def conversations(self) -> list[Conversation]: ...


class HeldDesk:
    """Through the holder's socket."""

    def __init__(self, line: Line, profile: ProfileFolder) -> None:
        self._line = line
        self._profile = profile

    async def send(self, to: str, text: str, *, key: str | None, seconds: float) -> Message:
        params: dict[str, Any] = {"to": to, "text": text, "key": key, "timeout": seconds}
        return msgspec.convert(await self._line.call("send", params), Message)

    def messages(self) -> AsyncIterator[Message]:
        return self._line.messages()

    async def caught_up(self) -> None:
        await forward(self._profile, "caught_up", {})  # a line of its own: this one may be following

    async def printed(self, message: Message) -> None:
        await self._line.printed([message.local_id])

    async def conversations(self) -> list[Conversation]:
        answer = await self._line.call("rooms", {})
        return msgspec.convert(answer["conversations"], list[Conversation])


@asynccontextmanager
async def desk_of(account: Account) -> AsyncIterator[Desk]:
    """The account's desk: the holder's if there is one, else our own, for which the password is needed.

    :raises ClientError: neither can be had
    """
    profile = home_of(account).profile(fold_user(account.user))
    try:
        async with connected(profile) as line:
            yield HeldDesk(line, profile)
            return
    except NoHolder:
        pass
    from securechat.cli.own_desk import own_desk  # noqa: PLC0415 - half of a one-shot's time, needed by few

    async with own_desk(account, known_password(account)) as desk:
        yield desk
