"""Keeping the box "contacts" up to date: written when something in it has changed, once that has settled.

What is not written when everything is lost is lost with it, so it is also written when the account is closed.
"""

import asyncio
import contextlib
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from securechat.client import boxes, records
from securechat.client.change import Changes
from securechat.client.contact_box import (
    BOX,
    Contacts,
    fitting,
    groups_left,
    lies_there,
    may_lie_there,
    merged,
    present,
    read,
    taken_back,
    write,
)
from securechat.client.device import Device
from securechat.client.errors import ClientError, RefusedByServer
from securechat.client.events import Event, Notice
from securechat.client.notes import tell_account
from securechat.client.statements import Ask
from securechat.membership.renewal import Secrets

SETTLES: Final = 5.0
"""Seconds that a change waits for others to be written with."""

AGAIN: Final = 60.0
"""Seconds until what could not be written is tried again."""

AT_CLOSE: Final = 3.0
"""Seconds that closing the account waits for it."""

REFUSED: Final = "contacts_refused"
"""The code of the notice that the server shows another box than our devices stored."""

CUT: Final = "contacts_cut"
"""The code of the notice that the box is full; and the counter that is 1 since it was told."""

_CUT: Final = (
    "the list of your contacts that the server keeps for your devices is full: {people} people and {talks}"
    " conversations are not in it. They stay on the devices that you have; only who brings the account back"
    " without any of them meets these anew"
)

MAX_RACES: Final = 5
"""Attempts against other devices that write at the same time."""


class Secretive(Protocol):
    """What opens and seals boxes: `account_secret.SecretKeeper`."""

    async def current(self) -> Secrets: ...
    async def opened(self, box: str) -> tuple[int, bytes] | None: ...


@dataclass(slots=True)
class ContactKeeper:
    changes: Changes
    ask: Ask
    device: Device
    secrets: Secretive
    """The account's, the newest one made anew where that is due."""
    tell: Callable[[Event], None]
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    _told: str = ""
    _written: bytes = b""
    """SHA-256 of what lies at the server, as far as we wrote or read it on this connection."""
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def stir(self) -> None:
        """Something in the store has changed."""
        self._news.set()

    def online(self) -> None:
        """There is a connection, perhaps to a server that came back older: look what lies there."""
        self._written = b""
        self._news.set()

    async def run(self) -> None:
        """Write whenever there is news; for a task that ends with the account."""
        while True:
            await self._news.wait()
            await self.pause(SETTLES)
            self._news.clear()
            try:
                await self.keep()
                self._told = ""
            except ClientError as problem:
                self._say(problem)
                await self.pause(AGAIN)
                self._news.set()

    def _say(self, problem: ClientError) -> None:
        """Name a lie to the user, once until it is past; that there is no connection they know."""
        if isinstance(problem, boxes.BoxRefused) and str(problem) != self._told:
            self._told = str(problem)
            self.tell(Notice(REFUSED, self._told))

    async def close(self) -> None:
        """Write what is new, if that goes quickly."""
        if self._news.is_set():
            with contextlib.suppress(ClientError, TimeoutError):
                async with asyncio.timeout(AT_CLOSE):
                    await self.keep()

    async def keep(self) -> None:
        """Write what this device knows, if it is not what lies at the server.

        :raises ClientError: no connection, a refusal, or a box that none of our devices wrote
        """
        await self.secrets.current()  # whoever was removed has the last one: not only where there is news
        for _ in range(MAX_RACES):
            if self._digest(present(self.changes.db)) == self._written:
                return
            try:
                await self._put()
            except RefusedByServer as no:
                if no.code != "stale_box":
                    raise

    async def _put(self) -> None:
        uri = self.device.user_uri
        found = await self.secrets.opened(BOX)
        ours = present(self.changes.db)
        serial, there = (0, Contacts(0)) if found is None else (found[0], read(found[1]))
        with self.changes.store.transaction() as db:
            boxes.note_serial(db, BOX, serial)
            may_lie_there(db, ours)
        gone, taken = groups_left(self.changes.db), taken_back(self.changes.db, ours)
        content = ours if found is None else merged(ours, there, gone=gone, taken_back=taken)
        if found is None or write(content) != write(there):
            data = write(content)
            secrets = await self.secrets.current()
            await boxes.put(self.ask, secrets, data, user_uri=uri, box=BOX, serial=serial + 1)
            serial += 1
        with self.changes.store.transaction() as db:
            boxes.note_serial(db, BOX, serial)
            lies_there(db, ours)
        self._tell_of_room(content)
        self._written = self._digest(ours)

    def _tell_of_room(self, content: Contacts) -> None:
        """Say that not everything fits the box: once, until it does again."""
        found = fitting(content)
        is_cut = bool(found.people_out or found.talks_out)
        if is_cut == bool(records.counter(self.changes.db, CUT)):
            return
        with self.changes.change() as change:
            records.set_counter(change.db, CUT, int(is_cut))
            if is_cut:
                tell_account(change, CUT, _CUT.format(people=found.people_out, talks=found.talks_out))

    @staticmethod
    def _digest(content: Contacts) -> bytes:
        return hashlib.sha256(write(content)).digest()
