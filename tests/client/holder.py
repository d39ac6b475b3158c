"""A holder that keeps its messages in a list, and whose server acknowledges when the test says so."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from securechat.client.config import Home, ProfileFolder
from securechat.client.errors import Forbidden, UnknownConversation
from securechat.client.events import (
    Connected,
    Conversation,
    Event,
    Explanation,
    Kind,
    Message,
    MessageReceived,
    MessageState,
    Standing,
    Status,
)
from securechat.client.holder import MAX_LINE
from securechat.client.listener import Listener
from securechat.unix_socket import reachable

CONNECTED = Connected("alice", "localhost:7443", "example.org", "SHA256:x", "MLS")


def a_message(number: int, text: str = "hello", state: MessageState = MessageState.RECEIVED) -> Message:
    return Message(
        id=f"{number:064x}",
        local_id=number,
        conversation="@bob",
        sender="bob",
        own=False,
        text=text,
        timestamp=1_700_000_000,
        sequence=number,
        epoch=1,
        state=state,
        verified="known",
    )


def an_explanation(name: str, text: str = "") -> Explanation:
    return Explanation(
        conversation=name,
        state=Standing.HELD,
        epoch=1,
        code="log_altered",
        text=text,
        advice="compare",
        since=0,
        troubles=(),
    )


def a_conversation(name: str) -> Conversation:
    return Conversation(
        name=name,
        kind=Kind.ROOM,
        state=Standing.JOINED,
        epoch=1,
        suite="the better one",
        members=(),
        title="",
        topic="",
        invited_by="",
        may_speak=True,
    )


class ListHolder:
    """The part of `Client` that these tests need."""

    def __init__(self) -> None:
        self.waiting: list[Message] = []
        self.sent: list[tuple[str, str, str | None]] = []
        self.acknowledges = True
        self.explanations: list[Explanation] = []
        self.names: list[str] = []
        self.listeners: list[Listener] = []
        self.over: Exception | None = None
        self.calls = 0

    def arrive(self, *messages: Message) -> None:
        self.waiting.extend(messages)
        for message in messages:
            self.tell(MessageReceived(message))

    def tell(self, event: Event | None) -> None:
        for listener in self.listeners:
            listener.put(event)

    def events(self, *, late: bool = False) -> Listener:
        self.listeners.append(Listener([CONNECTED] if late else []))
        return self.listeners[-1]

    async def send(
        self, to: str, text: str, *, key: str | None = None, reply_to: str = "", thread: str = ""
    ) -> Message:
        del reply_to, thread
        if to == "#nowhere":
            raise UnknownConversation(to)
        if to == "#silent":
            raise Forbidden("forbidden", "only some may speak here")
        if to == "#broken":
            raise ZeroDivisionError
        self.sent.append((to, text, key))
        return a_message(len(self.sent), text, MessageState.QUEUED)

    async def send_file(
        self, to: str, path: str, *, caption: str = "", thumbnail: bool | None = None
    ) -> Message:
        del caption, thumbnail
        return await self.send(to, f"(a file: {path})")

    async def fetch_file(self, id: str, *, to: str = "") -> str:  # noqa: A002 - Client's
        return f"{to or '/saved'}/{id}"

    async def acknowledged(self, local_id: int, timeout: float) -> Message:  # noqa: ASYNC109 - Client's
        if not self.acknowledges:
            async with asyncio.timeout(timeout):
                await asyncio.Event().wait()
        return a_message(local_id, self.sent[local_id - 1][1], MessageState.SENT)

    async def drained(self, timeout: float) -> bool:  # noqa: ASYNC109 - Client's
        return timeout > 0

    async def caught_up(self) -> None:
        if self.over is not None:
            raise self.over

    def conversations(self) -> list[Conversation]:
        return [a_conversation(name) for name in self.names]

    def why(self, name: str | None = None) -> list[Explanation]:
        return [each for each in self.explanations if name in (None, each.conversation)]

    async def upgrade(self, name: str) -> Conversation:
        if name == "#nowhere":
            raise UnknownConversation(name)
        return a_conversation(name)

    def unprinted(self, limit: int) -> list[Message]:
        return self.waiting[:limit]

    def said_since(self, local_id: int, limit: int) -> list[Message]:
        return [message for message in self.waiting if message.local_id > local_id][:limit]

    def mark_printed(self, local_ids: list[int]) -> None:
        self.waiting = [message for message in self.waiting if message.local_id not in local_ids]

    def status(self) -> Status:
        self.calls += 1
        return Status(
            user="alice",
            server="localhost:7443",
            domain="example.org",
            fingerprint="",
            connected=False,
            encryption="MLS",
            conversations=0,
            queued=0,
            undecryptable=0,
            unprinted=len(self.waiting),
        )


@pytest.fixture
def profile(tmp_path: Path) -> ProfileFolder:
    profile = Home(tmp_path).profile("alice")
    profile.folder.mkdir(0o700)
    return profile


@asynccontextmanager
async def raw(profile: ProfileFolder) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to the socket that speaks bytes; the greeting was read."""
    with reachable(profile.socket) as address:
        reader, writer = await asyncio.open_unix_connection(address, limit=MAX_LINE)
    try:
        await reader.readline()
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
