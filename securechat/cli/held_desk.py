"""The desk of a one-shot that goes through the process that holds the account (see `desk.py`)."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from securechat.client.config import ProfileFolder
from securechat.client.events import Conversation, Explanation, Message
from securechat.client.forwarding import Line, forward


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

    async def upgrade(self, name: str) -> Conversation:
        return msgspec.convert(await self._line.call("upgrade", {"conversation": name}), Conversation)

    async def conversations(self) -> list[Conversation]:
        answer = await self._line.call("rooms", {})
        return msgspec.convert(answer["conversations"], list[Conversation])

    async def why(self, name: str | None) -> list[Explanation]:
        found: list[Explanation] = []
        more = True
        while more:
            after = found[-1].conversation if found else ""
            answer = await self._line.call("why", {"conversation": name, "after": after})
            part = msgspec.convert(answer["explanations"], list[Explanation])
            found += part
            more = answer["more"] and bool(part)
        return found
