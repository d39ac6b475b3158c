"""Hands a room's history to who comes in, and fetches what was handed to us; both go on after a restart."""

import asyncio
import contextlib
import hashlib
import secrets
from typing import Final

from securechat.client import history, records, shared_history
from securechat.client.archive_files import SegmentGone, get_pieces, put_pieces
from securechat.client.archive_format import ArchiveDamaged
from securechat.client.compose import Written, frame_for, queue
from securechat.client.engine import Engine
from securechat.client.errors import ClientError, Disconnected, RefusedByServer, StoreError
from securechat.client.events import HistoryMoved, Notice, Standing
from securechat.client.exported import NotImported
from securechat.client.people import users_in
from securechat.client.shared_history import NotShared, Owed, Wanted
from securechat.client.tasks import Tasks
from securechat.client.threads import in_thread
from securechat.content.errors import ContentError
from securechat.content.message import sharing, sharing_text
from securechat.content.own_types import SharedHistory
from securechat.content.sealed_file import (
    ID_SIZE,
    KEY_SIZE,
    PIECE,
    PREFIX_SIZE,
    SEALED_PIECE,
    PieceCipher,
    sealed_size,
)
from securechat.protocol.messages import UNDECIDED
from securechat.text import sanitise

BATCH: Final = 100
"""Messages taken in one transaction."""

CLOSE_SECONDS: Final = 5.0
"""For which whoever leaves waits until what is owed to newcomers is handed over."""

AGAIN_SECONDS: Final = 60.0
"""Until a server is asked again that was busy."""


class HistorySharer:
    """For one account, one task."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._tasks = Tasks(self._trouble)
        self._handed = False

    def start(self) -> None:
        self._tasks.spawn(self._go_on(), "room history")

    async def close(self) -> None:
        """Hand over what is owed, if that can be done soon; the rest waits for the next start."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                while self._engine.connected is not None and self._owes():
                    await self._engine.changed()
        await self._tasks.close()

    def _owes(self) -> bool:
        """Whether something is to be handed over, or was just now and is not said yet."""
        db = self._engine.store.db
        return shared_history.owed(db) is not None or (self._handed and history.queued(db) > 0)

    async def _go_on(self) -> None:
        while True:
            try:
                did = self._engine.connected is not None and await self._step()
            except (Disconnected, StoreError):
                did = False
            except RefusedByServer as refused:
                if refused.code in UNDECIDED:
                    await asyncio.sleep(AGAIN_SECONDS)
                    continue
                self._give_up(refused)
                continue
            if not did:
                await self._engine.stirred()

    async def _step(self) -> bool:
        """Do one thing; whether there was any."""
        db = self._engine.store.db
        if (owed := shared_history.owed(db)) is not None:
            await self._hand_over(owed)
            return True
        if (wanted := shared_history.wanted(db)) is not None:
            await self._fetch(wanted)
            return True
        return False

    async def _hand_over(self, owed: Owed) -> None:
        engine = self._engine
        if self._is_still_there(owed):
            shared, pieces = await in_thread(_sealed, owed, engine.device.uri_of(owed.user))
            await put_pieces(engine.ask, shared.id, sealed_size(shared.size), pieces, kept=False)
            with engine.changes.change() as change:
                record = records.by_id(change.db, owed.conversation)
                written = Written(
                    content=sharing(shared, frame_for(engine.device, record, passing=True)),
                    kind=history.SHARED,
                    text=f"({sharing_text(shared)})",
                )
                queue(change, engine.device, record, written, now=change.now)
                shared_history.forget_owed(change.db, owed.id)
                change.wake(record.id)
            self._handed = True
            return
        with engine.changes.change() as change:
            shared_history.forget_owed(change.db, owed.id)

    def _is_still_there(self, owed: Owed) -> bool:
        db = self._engine.store.db
        record = records.by_id(db, owed.conversation)
        public = self._engine.groups.public(db, record.id)
        joined = record.state is Standing.JOINED and public is not None
        return joined and public is not None and owed.user in users_in(public.tree)

    async def _fetch(self, wanted: Wanted) -> None:
        """Take all of it or nothing: what is announced falsely is refused and said."""
        engine, shared = self._engine, wanted.shared
        record = records.by_id(engine.store.db, wanted.conversation)
        try:
            sealed = await get_pieces(engine.ask, shared.id, sealed_size(shared.size))
            content = await in_thread(_opened, shared, sealed)
            batch = await in_thread(
                shared_history.unpack, content, record, shared, by=wanted.sender, user=engine.device.user
            )
        except (ArchiveDamaged, NotImported, SegmentGone) as problem:
            text = f"{record.name}: the history that {wanted.sender} shares was not taken: {problem}"
            with engine.changes.change() as change:
                shared_history.note_done(change.db, wanted.message)
                change.tell(Notice(shared_history.REFUSED, text))
            return
        for end in range(len(batch), 0, -BATCH):
            with engine.changes.change() as change:
                some = reversed(batch[max(0, end - BATCH) : end])
                shared_history.take(change, record, some, by=wanted.sender, at=wanted.at)
            await asyncio.sleep(0)
        with engine.changes.change() as change:
            shared_history.note_done(change.db, wanted.message)
            oldest = min((said.ts for said in batch), default=0)
            change.tell(HistoryMoved(len(batch), len(batch), oldest, finished=True, conversation=record.name))

    def _give_up(self, refused: RefusedByServer) -> None:
        """The server does not take it, or does not hand it out: that is said, and asked no more."""
        with self._engine.changes.change() as change:
            if (owed := shared_history.owed(change.db)) is not None:
                shared_history.forget_owed(change.db, owed.id)
            elif (wanted := shared_history.wanted(change.db)) is not None:
                shared_history.note_done(change.db, wanted.message)
        self._trouble(refused)

    def _trouble(self, error: Exception) -> None:
        known = isinstance(error, ClientError)
        text = sanitise(str(error)) if known else "something failed here; it is in the log"
        self._engine.tell(Notice(shared_history.REFUSED, text))


def _sealed(owed: Owed, user: str) -> tuple[SharedHistory, list[bytes]]:
    """Blocks: for threads."""
    key, prefix = secrets.token_bytes(KEY_SIZE), secrets.token_bytes(PREFIX_SIZE)
    cipher = PieceCipher(key, prefix, len(owed.content))
    places = enumerate(range(0, len(owed.content), PIECE))
    pieces = [cipher.seal(number, owed.content[at : at + PIECE]) for number, at in places]
    shared = SharedHistory(
        user=user,
        count=owed.count,
        id=secrets.token_bytes(ID_SIZE),
        key=key,
        prefix=prefix,
        size=len(owed.content),
        digest=hashlib.sha256(b"".join(pieces)).digest(),
    )
    return shared, pieces


def _opened(shared: SharedHistory, sealed: bytes) -> bytes:
    """Blocks: for threads."""
    cipher = PieceCipher(shared.key, shared.prefix, shared.size)
    try:
        places = enumerate(range(0, len(sealed), SEALED_PIECE))
        content = b"".join(cipher.open(number, sealed[at : at + SEALED_PIECE]) for number, at in places)
    except ContentError:
        content = b""
    if len(content) != shared.size or hashlib.sha256(sealed).digest() != shared.digest:
        raise NotShared("the history that was handed over is damaged")
    return content
