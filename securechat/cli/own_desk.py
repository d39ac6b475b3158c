"""The desk of a one-shot that opens the account itself (see `desk.py`)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from securechat.cli.accounts import opened_client
from securechat.cli.desk import Desk
from securechat.cli.options import Account
from securechat.client.client import Client
from securechat.client.events import Conversation, Explanation, Message


class OwnDesk:
    """A client of our own."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def send(self, to: str, text: str, *, key: str | None, seconds: float) -> Message:
        message = await self._client.send(to, text, key=key)
        try:
            return await self._client.acknowledged(message.local_id, seconds)
        except TimeoutError:
            return message

    async def messages(self) -> AsyncIterator[Message]:
        told: set[int] = set()
        while True:
            waiting = self._client.unprinted(100)
            news = [message for message in waiting if message.local_id not in told]
            told = {message.local_id for message in waiting}
            for message in news:
                yield message
            if not news:
                await self._client.changed()

    async def caught_up(self) -> None:
        await self._client.caught_up()

    async def printed(self, message: Message) -> None:
        self._client.mark_printed([message.local_id])

    async def upgrade(self, name: str) -> Conversation:
        return await self._client.upgrade(name)

    async def conversations(self) -> list[Conversation]:
        return self._client.conversations()

    async def why(self, name: str | None) -> list[Explanation]:
        return self._client.why(name)


@asynccontextmanager
async def own_desk(account: Account, password: str) -> AsyncIterator[Desk]:
    async with opened_client(account, password) as client:
        yield OwnDesk(client)
