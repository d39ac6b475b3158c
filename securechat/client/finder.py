"""The part of `Client` that finds what was said, and keeps what a person sets for a conversation.

Nothing here needs the server: it reads the store, and writes what is of this machine alone.
"""

from datetime import date
from typing import Final

from securechat.client import finding, history, marks, records
from securechat.client.compose import fold_name
from securechat.client.engine import Engine
from securechat.client.errors import Forbidden
from securechat.client.events import DeviceInfo, Message, Notify
from securechat.client.exported import Header, Said
from securechat.client.importing import bring_in
from securechat.client.marks import NOTIFY
from securechat.client.people import credential_of
from securechat.client.verbs import Verbs

MAX_DRAFT: Final = 64 * 1024
"""Code points of a draft: as many as any message has."""


class Finder:
    """Search, days, bookmarks, drafts, settings and devices of one account; `Client` is one."""

    _engine: Engine
    _verbs: Verbs

    def search(
        self, words: str, *, conversation: str | None = None, limit: int = 50, before: int = 0
    ) -> list[Message]:
        """Return the messages that have all these words, the newest first.

        :param words: in any order and script, of either case; the last may be the beginning of a word, and
            what stands in double quotes is looked for as it stands
        :param before: only what is older than the message of this local id; 0 for all
        :raises UnknownConversation: there is none of this name
        """
        where = None if conversation is None else self._verbs.record(conversation).id
        return self._messages(
            finding.search(self._engine.store.db, words, conversation=where, limit=limit, before=before)
        )

    def at_date(self, name: str, day: date) -> int:
        """Return the local id of the first message of a day or after it; 0 if there is none."""
        return finding.first_since(self._engine.store.db, self._verbs.record(name).id, day)

    def bookmark(self, message: str | int, *, on: bool = True) -> Message:
        """Keep a message in mind, or no longer.

        :param message: its MIMI id in hex, or at least six digits of its beginning, or its local id
        :raises UnknownMessage: there is none, or several begin like this
        """
        with self._engine.changes.change() as change:
            found = finding.local_id(change.db, message)
            finding.bookmark(change.db, found, on=on, now=change.now)
        return history.message(self._engine.store.db, found)

    def bookmarks(self, limit: int = 100) -> list[Message]:
        """Return the messages that are kept in mind, the newest first."""
        return self._messages(finding.bookmarks(self._engine.store.db, limit))

    def mentions(self, limit: int = 100) -> list[Message]:
        """Return the messages of others that name us, the newest first."""
        return self._messages(finding.mentions(self._engine.store.db, limit))

    def set_draft(self, name: str, text: str) -> None:
        """Keep what was typed and not sent, also where no conversation is yet; empty for nothing."""
        folded, typed = fold_name(name), text[:MAX_DRAFT].encode("utf-8", "replace").decode()
        with self._engine.changes.change() as change:
            record = records.by_name(change.db, folded)
            if record is None:
                marks.set_loose_draft(change.db, folded, typed)
            else:
                marks.set_draft(change.db, record.id, typed)

    def draft(self, name: str) -> str:
        """Return what was typed in a conversation and not sent."""
        db, folded = self._engine.store.db, fold_name(name)
        record = records.by_name(db, folded)
        return marks.loose_draft(db, folded) if record is None else marks.marks(db, record.id).draft

    def set_notify(self, name: str, how: Notify) -> None:
        """Say what of a conversation makes itself heard: ``all``, ``mentions`` or ``mute``.

        :raises Forbidden: there is no such setting
        """
        if how not in NOTIFY:
            raise Forbidden("bad_request", f"notify is one of {', '.join(NOTIFY)}")
        with self._engine.changes.change() as change:
            marks.set_notify(change.db, self._verbs.record(name).id, how)

    def devices(self, name: str | None = None) -> list[DeviceInfo]:
        """Return whose devices read along, of one conversation or of all; this device is always among them.

        :raises UnknownConversation: there is none of this name
        """
        engine = self._engine
        db, ours = engine.store.db, engine.device
        read: dict[tuple[str, str], list[str]] = {(ours.user, ours.client): []}
        for record in records.every(db) if name is None else [self._verbs.record(name)]:
            public = engine.groups.public(db, record.id)
            for _, leaf in public.tree.leaves() if public is not None else ():
                credential = credential_of(leaf)
                read.setdefault((credential.user_name, credential.client_id), []).append(record.name)
        return [
            DeviceInfo(
                user=user,
                device=client,
                own=user == ours.user,
                this=client == ours.client,
                conversations=tuple(names),
            )
            for (user, client), names in sorted(read.items())
        ]

    def bring_in(self, header: Header, batch: list[Said]) -> int:
        """Take messages from a file, oldest first, before everything that is here; return how many were new.

        A long file comes in batches, the last of it first.

        :raises NotImported: they are of another account, or nobody could have written them
        """
        with self._engine.changes.change() as change:
            return bring_in(change, self._engine.device, header, batch)

    def _messages(self, local_ids: list[int]) -> list[Message]:
        return history.messages(self._engine.store.db, local_ids)
