"""What a front end needs of an account, whoever holds it.

Full screen, line mode, one-shots and bots are written against `Face` and nothing else. There are two:
`own_face` of a `Client` in the same process, and the one that `forwarding.connected` gives, which
goes through the socket of the process that holds the account.

A verb here is the verb of `Client` with the same name and parameters; all are awaited. Its signature
is also the socket's method of that name: the parameters are its ``params``, what it returns its
``result`` (`calls.py`). To let every front end use another verb of `Client`, write its signature here.
"""

import functools
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import date
from typing import Annotated, Any, Final, Protocol, cast

from msgspec import Meta

from securechat.client.archive_status import ArchiveStatus
from securechat.client.events import (
    Contact,
    Conversation,
    DeviceInfo,
    Event,
    Explanation,
    Fingerprint,
    KeyLog,
    LinkOffer,
    Message,
    Notify,
    OwnDevice,
    Revocation,
    Status,
    Transfer,
)
from securechat.client.exported import Header, Said

MAX_WAIT: Final = 3600.0
"""Seconds that a call may wait for the server."""

Limit = Annotated[int, Meta(ge=1, le=1000)]
LocalId = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]
Place = Annotated[int, Meta(ge=-(1 << 62), le=(1 << 63) - 1)]
"""In a history; below zero is what was imported."""
Code = Annotated[str, Meta(max_length=1024)]
Password = Annotated[str, Meta(max_length=4096)]
LocalIds = Annotated[list[LocalId], Meta(max_length=1000)]
Seconds = Annotated[float, Meta(ge=0, le=MAX_WAIT)]


class Face(Protocol):
    """The verbs of an account. What each does and raises is said at `Client`.

    Over the socket a refusal is `HolderRefused` with the exit code of what was raised there (a
    `TimeoutError` stays one), and the end of the holder `HolderLeft`.
    """

    async def events(self) -> AsyncIterator[Event]:
        """What happens from now on; begins with whether there is a connection.

        In the process that holds the account, its first caller also hears what happened since `open`.
        """
        ...

    async def send(
        self, to: str, text: str, *, key: str | None = None, reply_to: str = "", thread: str = ""
    ) -> Message: ...
    async def edit(self, to: str, id: str, text: str) -> Message: ...  # noqa: A002 - Client's
    async def delete(self, to: str, id: str) -> Message: ...  # noqa: A002 - Client's
    async def react(self, to: str, id: str, text: str, *, on: bool = True) -> Message: ...  # noqa: A002
    async def poll(self, to: str, question: str, options: Sequence[str]) -> Message: ...
    async def vote(self, to: str, id: str, numbers: Sequence[int]) -> Message: ...  # noqa: A002
    async def close_poll(self, to: str, id: str) -> Message: ...  # noqa: A002 - Client's
    async def typing(self, to: str, on: bool) -> bool: ...  # noqa: FBT001 - Client's
    async def mark_read(self, to: str, id: str) -> None: ...  # noqa: A002 - Client's
    async def set_receipts(
        self, *, read: bool | None = None, typing: bool | None = None, delivery: bool | None = None
    ) -> None: ...
    async def receipts(self) -> dict[str, bool]: ...
    async def set_expiry(self, to: str, seconds: int) -> Message: ...
    async def timeline(
        self,
        name: str,
        *,
        before: Place = 0,
        after: Place = 0,
        limit: Limit = 100,
        thread: str | None = None,
    ) -> list[Message]: ...
    async def said_since(self, local_id: LocalId, limit: Limit = 100) -> list[Message]: ...
    async def send_file(
        self, to: str, path: str, *, caption: str = "", thumbnail: bool | None = None
    ) -> Message: ...
    async def fetch_file(self, id: str, *, to: str = "") -> str: ...  # noqa: A002 - Client's
    async def thumbnails(self, *, on: bool | None = None) -> bool: ...
    async def transfers(self) -> list[Transfer]: ...
    async def cancel_transfer(self, number: LocalId) -> Transfer: ...
    async def acknowledged(self, local_id: LocalId, timeout: Seconds) -> Message: ...  # noqa: ASYNC109 - Client's
    async def drained(self, timeout: Seconds) -> bool: ...  # noqa: ASYNC109 - Client's
    async def caught_up(self) -> None: ...

    async def conversations(self) -> list[Conversation]: ...
    async def conversation(self, name: str) -> Conversation: ...
    async def messages(self, name: str, limit: Limit = 50) -> list[Message]: ...
    async def fingerprint(self, name: str) -> Fingerprint: ...
    async def why(self, name: str | None = None) -> list[Explanation]: ...
    async def status(self) -> Status: ...

    async def search(
        self, words: str, *, conversation: str | None = None, limit: Limit = 50, before: Place = 0
    ) -> list[Message]: ...
    async def at_date(self, name: str, day: date) -> int: ...
    async def bookmark(self, message: str | int, *, on: bool = True) -> Message: ...
    async def bookmarks(self, limit: Limit = 100) -> list[Message]: ...
    async def mentions(self, limit: Limit = 100) -> list[Message]: ...
    async def draft(self, name: str) -> str: ...
    async def set_draft(self, name: str, text: str) -> None: ...
    async def set_notify(self, name: str, how: Notify) -> None: ...
    async def set_verified(self, user: str, number: str) -> None: ...
    async def clear_verified(self, user: str) -> None: ...
    async def compare_code(self, user: str, code: str) -> None: ...
    async def set_compared(self, name: str, user: str, digits: str) -> None: ...
    async def contacts(self) -> list[Contact]: ...
    async def contact(self, user: str) -> Contact: ...
    async def key_log(self) -> KeyLog: ...
    async def devices(self, name: str | None = None) -> list[DeviceInfo]: ...
    async def own_devices(self) -> list[OwnDevice]: ...
    async def rename_device(self, device: str, name: str) -> OwnDevice: ...
    async def revoke_device(self, device: str, password: Password) -> Revocation: ...
    async def link_offer(self, code: Code) -> LinkOffer: ...
    async def approve_link(self, number: LocalId, password: Password) -> LinkOffer: ...
    async def decline_link(self, number: LocalId) -> None: ...
    async def bring_in(self, header: Header, batch: list[Said]) -> int: ...
    async def archive(self, *, on: bool | None = None) -> ArchiveStatus: ...

    async def create_room(
        self, name: str, *, announcement: bool = False, topic: str = "", history: int = 0
    ) -> Conversation: ...
    async def room_history(self, name: str, *, last: int | None = None) -> int: ...
    async def invite(self, room: str, user: str) -> None: ...
    async def remove(self, room: str, user: str) -> None: ...
    async def join(self, room: str) -> None: ...
    async def leave(self, room: str) -> None: ...
    async def upgrade(self, name: str) -> Conversation: ...
    async def accept_identity(self, user: str, digits: str) -> None: ...
    async def release(self, name: str) -> None: ...

    async def unprinted(self, limit: Limit) -> list[Message]: ...
    async def mark_printed(self, local_ids: LocalIds) -> None: ...
    async def unshown(self, limit: Limit) -> list[Message]: ...
    async def mark_shown(self, local_ids: LocalIds) -> None: ...


VERBS: Final = tuple(name for name in vars(Face) if not name.startswith("_") and name != "events")
"""Every verb, in the order above."""


class Host(Protocol):
    """Who has the verbs: `Client`, or in tests something that behaves like it."""

    def events(self, *, late: bool = False) -> AsyncIterator[Event]: ...


def own_face(host: Host, *, late: bool = False) -> Face:
    """The face of a client in this process.

    :param late: for a front end other than the one that opened it: see `Client.events`
    """
    return cast(Face, _OwnFace(host, late=late))


class _OwnFace:
    """Hands each verb on. That `Client` has every one of `Face` as it stands there is a test."""

    def __init__(self, host: Host, *, late: bool) -> None:
        self._host = host
        self._late = late

    async def events(self) -> AsyncIterator[Event]:
        return self._host.events(late=True) if self._late else self._host.events()

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        if name not in VERBS:
            raise AttributeError(name)
        return functools.partial(_done, getattr(self._host, name))


async def _done(verb: Callable[..., Any], *arguments: object, **named: object) -> Any:  # noqa: ANN401 - any verb's
    found = verb(*arguments, **named)
    return await found if inspect.isawaitable(found) else found
