"""What the screen needs of the client, and what crosses between the two: frozen values only.

A verb may answer at once or later (`Maybe`): the library's own client does both, one that speaks to
another process only the latter.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import date
from typing import Any, Protocol, TypeAlias, TypeVar

from msgspec import Struct

from securechat.client.events import (
    Conversation,
    Event,
    LinkOffer,
    Message,
    OwnDevice,
    Revocation,
    Status,
    Transfer,
)

Found = TypeVar("Found")
Maybe: TypeAlias = Found | Awaitable[Found]


class Backend(Protocol):
    """An open account."""

    def events(self) -> Maybe[AsyncIterator[Event]]: ...
    def status(self) -> Maybe[Status]: ...
    def conversations(self) -> Maybe[list[Conversation]]: ...
    def timeline(
        self, name: str, *, before: int = 0, after: int = 0, limit: int = 100
    ) -> Maybe[list[Message]]: ...
    def at_date(self, name: str, day: date) -> Maybe[int]: ...
    def search(
        self, words: str, *, conversation: str | None = None, limit: int = 50, before: int = 0
    ) -> Maybe[list[Message]]: ...
    def send(self, to: str, text: str, *, reply_to: str = "", thread: str = "") -> Maybe[Message]: ...
    def edit(self, to: str, id: str, text: str) -> Maybe[Message]: ...  # noqa: A002 - the client's name
    def delete(self, to: str, id: str) -> Maybe[Message]: ...  # noqa: A002
    def react(self, to: str, id: str, text: str, *, on: bool = True) -> Maybe[Message]: ...  # noqa: A002
    def typing(self, to: str, on: bool) -> Maybe[Any]: ...  # noqa: FBT001 - the client's name
    def mark_read(self, to: str, id: str) -> Maybe[Any]: ...  # noqa: A002
    def mark_shown(self, local_ids: list[int]) -> Maybe[Any]: ...
    def fetch_file(self, id: str, *, to: str = "") -> Maybe[str]: ...  # noqa: A002
    def mentions(self, limit: int = 100) -> Maybe[list[Message]]: ...
    def draft(self, name: str) -> Maybe[str]: ...
    def set_draft(self, name: str, text: str) -> Maybe[Any]: ...
    def bookmark(self, message: str, *, on: bool = True) -> Maybe[Any]: ...
    def bookmarks(self) -> Maybe[list[Message]]: ...
    def transfers(self) -> Maybe[list[Transfer]]: ...
    def cancel_transfer(self, number: int) -> Maybe[Transfer]: ...
    def link_offer(self, code: str) -> Maybe[LinkOffer]: ...
    def approve_link(self, number: int, password: str) -> Maybe[LinkOffer]: ...
    def decline_link(self, number: int) -> Maybe[Any]: ...
    def own_devices(self) -> Maybe[list[OwnDevice]]: ...
    def revoke_device(self, device: str, password: str) -> Maybe[Revocation]: ...


class Commander(Protocol):
    """Does slash commands: what they say comes by the `Tell` it was made with."""

    async def take(self, line: str, target: str) -> str:
        """Do what a line says in this conversation; return the conversation to go on in."""
        ...

    async def close(self) -> None:
        """End what still goes on of it."""
        ...


class Told(Struct, frozen=True):
    """A line of a command's answer."""

    text: str


class Asked(Struct, frozen=True):
    """The worker asks the person: whether to trust a server. Answered with `Bridge.answer`."""

    question: str


Tell = Callable[[str], None]
Confirm = Callable[[str], Awaitable[bool]]
News = Event | Told | Asked


class Opened(Protocol):
    """How an account is opened, in the worker's thread, with a password that was asked for before."""

    def __call__(self, password: str, confirm: Confirm) -> AbstractAsyncContextManager[Backend]: ...


class Commanded(Protocol):
    """How its commander is made."""

    def __call__(self, client: Backend, tell: Tell) -> Commander: ...
