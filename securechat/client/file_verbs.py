"""The part of `Client` that sends files and fetches them."""

import asyncio
import contextlib
from pathlib import Path

from securechat.client import transfers
from securechat.client.attachments import Attachments
from securechat.client.compose import conversation_for, fold_name
from securechat.client.engine import Engine
from securechat.client.errors import ClientError, Forbidden, NoFile, UnknownMessage
from securechat.client.events import Message, Standing, Transfer
from securechat.client.file_message import check_may_send
from securechat.client.holds import try_again
from securechat.client.records import ConversationRecord
from securechat.client.settings import Setting, is_on, turn
from securechat.client.verbs import FIRST_LOOK_SECONDS, Verbs
from securechat.membership.room import may_speak, room_of


class FileVerbs:
    """Files of one account; `Client` is one."""

    _engine: Engine
    _verbs: Verbs
    _attachments: Attachments

    async def send_file(
        self, to: str, path: str, *, caption: str = "", thumbnail: bool | None = None
    ) -> Message:
        """Upload a file, then queue its message; `FileMoved` tells how far it is. It goes on after a restart.

        :param to: as `send`
        :param path: on the machine of the process that holds the account
        :param thumbnail: whether a small picture goes with a picture; None: as `thumbnails` says
        :raises UnknownConversation, NotAMember, Forbidden, NameRefused: nothing was uploaded
        :raises FileRefused, FileChanged, RefusedByServer: it was not sent
        """
        name = fold_name(to)
        if name.startswith("#"):
            await self._verbs.found(name)
        with self._engine.changes.change() as change:
            record = conversation_for(change, self._engine.device, name)
            check_may_send(record)
            self._check_may_speak_in(record)
            record = try_again(change, record)
        made = self.thumbnails() if thumbnail is None else thumbnail
        return await self._attachments.send(record, Path(path), caption=caption, thumbnail=made)

    def thumbnails(self, *, on: bool | None = None) -> bool:
        """Return whether small pictures go with the pictures we send; turned on or off before, if asked."""
        if on is not None:
            with self._engine.changes.change() as change:
                turn(change.db, Setting.THUMBNAILS, on=on)
        return is_on(self._engine.store.db, Setting.THUMBNAILS)

    async def fetch_file(self, id: str, *, to: str = "") -> str:  # noqa: A002 - what it is called everywhere
        """Fetch the file of a message; return where it lies. Fetched again it is where it was.

        :param id: the message's id (hex, or at least six digits of it), or its number on this machine
        :param to: the folder, the user's own for downloads if empty
        :raises UnknownMessage, NoFile, FileRefused, FileDamaged, RefusedByServer: it was not saved
        """
        try:
            transfers.attached(self._engine.store.db, id)
        except UnknownMessage:  # it may be on its way, if we just opened
            with contextlib.suppress(TimeoutError, ClientError):
                async with asyncio.timeout(FIRST_LOOK_SECONDS):
                    await self._engine.caught_up()
        return str(await self._attachments.fetch(id, Path(to) if to else None))

    def transfers(self) -> list[Transfer]:
        """Return the files on their way, in the order they were begun."""
        return self._attachments.moving()

    async def cancel_transfer(self, number: int) -> Transfer:
        """Stop a file on its way, for good; the server lets go of what it has of ours, here nothing stays.

        :raises NoTransfer: none of this number is on its way
        """
        return await self._attachments.cancel(number)

    def _file_in(self, which: str) -> bytes | None:
        """The id of a message's file at the server; None if there is no such message or file."""
        with contextlib.suppress(UnknownMessage, NoFile):
            return transfers.attached(self._engine.store.db, which).file.id
        return None

    def _check_may_speak_in(self, record: ConversationRecord) -> None:
        """Before a gigabyte goes: sealing asks again."""
        engine = self._engine
        if record.state is not Standing.JOINED or record.held:
            return
        public = engine.groups.public(engine.store.db, record.id)
        if public is not None and not may_speak(room_of(public.context), engine.device.user_uri):
            raise Forbidden("forbidden", f"only some may speak in {record.name}, and you are not among them")
