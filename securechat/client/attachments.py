"""Files in messages: sent, and fetched when the user asks for one. Nothing is fetched by itself (U-05).

An upload is stored before its first byte goes, and goes on at the next start until its message is
queued, like any message that waits. A download goes on when it is asked for again.
"""

import asyncio
import mimetypes
import secrets
from pathlib import Path
from typing import Any, Final

from securechat.client import history, records, transfers
from securechat.client.downloading import Download, is_lost
from securechat.client.engine import Engine
from securechat.client.errors import (
    ClientError,
    Disconnected,
    FileCancelled,
    FileChanged,
    FileRefused,
    NoFile,
    RefusedByServer,
    StoreError,
)
from securechat.client.events import Message, MessageChanged, Notice, Transfer
from securechat.client.file_message import queue_file
from securechat.client.file_names import new_part, put_in_place, safe_name
from securechat.client.letting_go import LettingGo
from securechat.client.moves import Move, Moves
from securechat.client.part_file import refused
from securechat.client.part_traces import leave_trace
from securechat.client.patience import Patience
from securechat.client.private_files import make_folder
from securechat.client.records import ConversationRecord
from securechat.client.source_file import FirstSealing, Source
from securechat.client.tasks import Tasks
from securechat.client.threads import in_thread
from securechat.client.transfers import Sending
from securechat.client.uploading import Upload
from securechat.content.errors import ContentError
from securechat.content.sealed_file import (
    ID_SIZE,
    KEY_SIZE,
    MAX_DESCRIPTION,
    PREFIX_SIZE,
    PieceCipher,
    SealedFile,
)
from securechat.folders import downloads
from securechat.pictures.thumbnail import thumbnail_of
from securechat.text import sanitise

MAX_ANEW: Final = 3
"""Times that a file which changes while it is sent is begun anew."""

AT_ONCE: Final = 4
"""Uploads, and downloads, under way at once; the others wait, stored. The server takes 8 of an account."""

UNKNOWN_TYPE: Final = "application/octet-stream"


class Attachments:
    """Uploads and downloads of one account, each a task of its own."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._tasks = Tasks(self._failed)
        self._uploading = asyncio.Semaphore(AT_ONCE)
        self._downloading = asyncio.Semaphore(AT_ONCE)
        self._sent: set[asyncio.Future[Message]] = set()
        self._fetched: dict[int, tuple[Path, asyncio.Future[Path]]] = {}
        self._moves = Moves(engine.tell)

    def start(self) -> None:
        """Go on with what an earlier process had begun to send."""
        db = self._engine.store.db
        for sending in transfers.all_sending(db):
            move = self._move_up(records.by_id(db, sending.conversation), sending.path)
            move.task = self._tasks.spawn(self._send(move, sending, awaited=False), "upload")
        letting_go = LettingGo(self._engine, self._connection)
        self._tasks.spawn(letting_go.files(), "deleting files")
        self._tasks.spawn(letting_go.parts(), "removing parts")

    async def close(self) -> None:
        """Stop; whoever waits for a file is told. Uploads go on at the next start."""
        await self._tasks.close()
        for sent in tuple(self._sent):
            _end(sent)
        for _, fetched in tuple(self._fetched.values()):
            _end(fetched)

    async def send(
        self, record: ConversationRecord, path: Path, *, caption: str = "", thumbnail: bool = True
    ) -> Message:
        """Upload a file; return its message once that is queued. Who stops waiting does not stop it.

        :param thumbnail: whether one goes with it, if it is a picture
        :raises FileRefused, RefusedByServer: it was not sent
        """
        caption = caption.encode("utf-8", "replace").decode()  # what a terminal gave may be no text
        if len(caption.encode()) > MAX_DESCRIPTION:
            raise FileRefused(f"the caption is too long: it has at most {MAX_DESCRIPTION // 1024} KiB")
        move = self._move_up(record, path)
        move.task = self._tasks.spawn(
            self._begin(move, record.id, _absolute(path), caption, thumbnail=thumbnail), "upload"
        )
        return await asyncio.shield(move.outcome)

    async def fetch(self, which: str, to: Path | None = None) -> Path:
        """Fetch the file of a message; return where it lies. What was fetched before is not fetched again.

        :param which: the message's id (hex, or at least six digits of it) or its number here
        :param to: the folder; the user's folder for downloads if None
        :raises UnknownMessage, FileRefused, FileDamaged, RefusedByServer: it was not saved
        """
        found = transfers.attached(self._engine.store.db, which)
        folder = downloads() if to is None else _absolute(to)
        while (under_way := self._fetched.get(found.message)) is not None:
            elsewhere, begun = under_way
            if elsewhere == folder:
                return await asyncio.shield(begun)
            await asyncio.wait([begun])  # one folder after the other: there is one part
            if isinstance(ended := begun.exception(), Disconnected):
                raise ended
        known = transfers.fetching(self._engine.store.db, found.message)
        if known is not None and _is_there(known.path, folder, found.file.size):
            assert known.path is not None  # noqa: S101 - see above
            return known.path
        begun = asyncio.get_running_loop().create_future()
        self._fetched[found.message] = (folder, begun)
        begun.add_done_callback(lambda done: done.cancelled() or done.exception())
        room = history.message(self._engine.store.db, found.message).conversation
        move = self._moves.begin(sanitise(safe_name(found.file.name)), room, begun, sending=False)
        move.task = self._tasks.spawn(self._fetch(move, found.message, found.file, folder), "download")
        return await asyncio.shield(begun)

    def moving(self) -> list[Transfer]:
        """Return the files on their way, in the order they were begun."""
        return self._moves.all()

    async def cancel(self, number: int) -> Transfer:
        """Stop a file for good; return how far it was.

        Of one of ours the server is told to let go of what it has, as soon as it can be told. Of one that was
        fetched nothing stays here.

        :raises NoTransfer: none of this number is on its way
        """
        move = self._moves.find(number)
        await move.cancel()
        if move.stored is not None:
            with self._engine.changes.change() as change:
                transfers.forget_sending(change.db, move.stored.id)
                transfers.let_go(change.db, move.stored.file)
        for message, (_, begun) in tuple(self._fetched.items()):
            if begun is move.outcome:  # it was stopped before its first step
                del self._fetched[message]
        return move.about

    def let_go(self, file: bytes) -> None:
        """Have the server delete a file of ours, as soon as it can be told."""
        with self._engine.changes.change() as change:
            transfers.let_go(change.db, file)

    # Sending.

    async def _seal(self, conversation: int, path: Path, caption: str, *, thumbnail: bool) -> Sending:
        """Go through a file once, under a new key; and, if it is a picture, make a small one of it."""
        source = await in_thread(Source.open, path)
        try:
            key, prefix = secrets.token_bytes(KEY_SIZE), secrets.token_bytes(PREFIX_SIZE)
            first = FirstSealing(source, PieceCipher(key, prefix, source.size))
            while await in_thread(first.step):
                pass
            small = await in_thread(thumbnail_of, source.descriptor) if thumbnail else b""
        finally:
            await in_thread(source.close)
        return Sending(
            id=0,
            conversation=conversation,
            path=path,
            caption=caption,
            file=secrets.token_bytes(ID_SIZE),
            key=key,
            prefix=prefix,
            size=source.size,
            tags=first.tags,
            digest=first.digest,
            thumbnail=small,
        )

    def _move_up(self, record: ConversationRecord, path: Path) -> Move:
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._sent.add(future)
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        future.add_done_callback(self._sent.discard)
        return self._moves.begin(sanitise(path.name), record.name, future, sending=True)

    async def _begin(
        self, move: Move, conversation: int, path: Path, caption: str, *, thumbnail: bool
    ) -> None:
        """Seal a file for the first time, store that, and send it."""
        try:
            sealed = await self._seal(conversation, path, caption, thumbnail=thumbnail)
            with self._engine.changes.change() as change:
                sending = transfers.add_sending(change.db, sealed)
        except ClientError as error:
            move.outcome.set_exception(error)
        else:
            await self._send(move, sending, awaited=True)
        finally:
            _end(move.outcome)
            move.end()

    async def _send(self, move: Move, sending: Sending, *, awaited: bool) -> None:
        anew, future = 0, move.outcome
        try:
            while not future.done():
                move.stored = sending
                try:
                    async with self._uploading:
                        future.set_result(await self._upload(move, sending))
                except FileChanged:
                    anew += 1
                    if anew > MAX_ANEW:
                        raise
                    sending = await self._seal_anew(sending)
        except (Disconnected, StoreError) as error:  # it stays stored, and goes on at the next start
            future.set_exception(error)
        except ClientError as error:
            self._give_up(sending, error, awaited=awaited)
            future.set_exception(error)
        except ContentError as problem:
            refusal = FileRefused(f"the file cannot be told of in a message: {problem}")
            self._give_up(sending, refusal, awaited=awaited)
            future.set_exception(refusal)
        finally:
            _end(future)
            move.end()

    async def _upload(self, move: Move, sending: Sending) -> Message:
        upload = Upload(self._engine.ask, sending, move.progress)
        return self._queue(sending, await upload.run(Patience(self._connection)))

    async def _seal_anew(self, old: Sending) -> Sending:
        """The file has changed: nothing of it ever goes under the old key again."""
        pictured = bool(old.thumbnail)
        sealed = await self._seal(old.conversation, old.path, old.caption, thumbnail=pictured)
        with self._engine.changes.change() as change:
            new = transfers.add_sending(change.db, sealed)
            transfers.forget_sending(change.db, old.id)
            transfers.let_go(change.db, old.file)
        return new

    def _queue(self, sending: Sending, expires: int) -> Message:
        """All of it is at the server: the message is queued in the change that forgets the upload."""
        engine = self._engine
        name = safe_name(sending.path.name)
        file = SealedFile(
            id=sending.file,
            key=sending.key,
            prefix=sending.prefix,
            size=sending.size,
            digest=sending.digest,
            name=name,
            content_type=mimetypes.guess_type(name)[0] or UNKNOWN_TYPE,
            description=sending.caption,
            expires=expires,
        )
        with engine.changes.change() as change:
            record = records.by_id(change.db, sending.conversation)
            message = queue_file(
                change,
                engine.device,
                record,
                file,
                now=int(engine.clock()),
                thumbnail=sending.thumbnail,
            )
            transfers.note_sent(change.db, message.local_id, file.id)
            transfers.forget_sending(change.db, sending.id)
            change.wake(record.id)
        return message

    def _give_up(self, sending: Sending, error: ClientError, *, awaited: bool) -> None:
        with self._engine.changes.change() as change:
            transfers.forget_sending(change.db, sending.id)
            transfers.let_go(change.db, sending.file)
            if not awaited:
                change.tell(Notice("file_refused", f"{sanitise(sending.path.name)} was not sent: {error}"))

    # Fetching.

    async def _fetch(self, move: Move, message: int, file: SealedFile, folder: Path) -> None:
        future = move.outcome
        try:
            async with self._downloading:
                path = await self._download(move, message, file, folder)
        except ClientError as error:
            if not future.done():
                future.set_exception(error)
        except asyncio.CancelledError:
            if _is_cancelled(future):
                self._drop_part(message)
            raise
        else:
            if not future.done():
                future.set_result(path)
        finally:
            self._fetched.pop(message, None)
            _end(future)
            move.end()

    async def _download(self, move: Move, message: int, file: SealedFile, folder: Path) -> Path:
        name = safe_name(file.name)
        try:
            part = await self._part(message, folder)
            await Download(self._engine.ask, file, part, move.progress).run(Patience(self._connection))
            self._check_is_wanted(message, part)
            path = await in_thread(put_in_place, part, folder, name)
        except OSError as problem:
            raise refused(problem) from None
        except RefusedByServer as error:
            if is_lost(error):
                self._drop_part(message)
            raise
        with self._engine.changes.change() as change:
            transfers.note_fetched(change.db, message, path)
            change.tell(MessageChanged(history.message(change.db, message)))
        return path

    async def _part(self, message: int, folder: Path) -> Path:
        """Where the file grows: where it did before, if that is in the same folder."""
        known = transfers.fetching(self._engine.store.db, message)
        await in_thread(_make_downloads, folder)
        if known is not None and known.part is not None and known.part.parent == folder:
            return known.part
        part = new_part(folder)
        await in_thread(leave_trace, self._engine.store.folder, part)
        with self._engine.changes.change() as change:
            transfers.note_fetching(change.db, message, part)
        return part

    def _check_is_wanted(self, message: int, part: Path) -> None:
        """Save nothing of a message that was withdrawn, or has disappeared, while its file came."""
        known = transfers.fetching(self._engine.store.db, message)
        if known is None or known.part != part:
            raise NoFile("the message was withdrawn, or has disappeared, before its file was here")

    def _drop_part(self, message: int) -> None:
        with self._engine.changes.change() as change:
            transfers.forget_fetching(change.db, message)
            change.tell(MessageChanged(history.message(change.db, message)))

    # Both.

    async def _connection(self) -> None:
        """Wait for one; Disconnected, with the reason, if the session has ended for good."""
        try:
            while self._engine.connected is None:
                await self._engine.changed()
        except ClientError as over:
            raise Disconnected(str(over)) from over

    def _failed(self, error: Exception) -> None:
        text = str(error) if isinstance(error, ClientError) else "something failed here; it is in the log"
        if not isinstance(error, Disconnected):
            self._engine.tell(Notice("internal", sanitise(text)))


def _end(future: "asyncio.Future[Any]") -> None:
    """Whoever waits for what is over must not wait for ever."""
    if not future.done():
        future.set_exception(Disconnected("the account was closed here; what was stored of the file goes on"))


def _is_cancelled(future: "asyncio.Future[Any]") -> bool:
    return future.done() and isinstance(future.exception(), FileCancelled)


def _absolute(path: Path) -> Path:
    return path.absolute()


def _make_downloads(folder: Path) -> None:
    """Make the folder where it is missing; one that is there is the user's, as it is."""
    if not folder.is_dir():
        make_folder(folder)


def _is_there(path: Path | None, folder: Path, size: int) -> bool:
    if path is None or path.parent != folder:
        return False
    try:
        return path.is_file() and not path.is_symlink() and path.stat().st_size == size
    except OSError:
        return False
