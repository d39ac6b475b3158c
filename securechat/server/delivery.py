"""The log's daily work: append a message, read on, acknowledge (rules.md A).

Everything that decides (epoch, head, membership, who may speak) is read in the transaction that
writes. A client sees the entries start..end of each of its stays and nothing else.
"""

from functools import lru_cache
from typing import Any, Final

import apsw
from msgspec.structs import replace

from securechat.mls.codec import read_varint
from securechat.mls.errors import DecodeError
from securechat.mls.framing import ContentType, PrivateMessage, encode_message
from securechat.mls.nodes import Epoch
from securechat.protocol.limits import MAX_ENTRIES
from securechat.protocol.messages import (
    Appended,
    Entries,
    Entry,
    Fetch,
    FetchInbox,
    Gap,
    GroupStatus,
    InboxEntries,
    InboxEntry,
    SendMessage,
    Sync,
    Synced,
)
from securechat.server import unread
from securechat.server.errors import Refusal
from securechat.server.groups import Groups
from securechat.server.quota import Quota
from securechat.server.store.transaction import Transaction
from securechat.server.values import Caller, Clock, Decision, GroupPush, carried_of

_SEALED_FIELDS: Final = 3
"""authenticated_data, encrypted_sender_data and ciphertext: vectors, one byte each where empty."""

ANSWER_BYTES: Final = 192 * 1024
"""What entries of one answer may carry: with their fields they stay below a frame's 256 KiB."""

SYNC_PAGE: Final = 1_000

_STAY: Final = """
SELECT c.id, m.start, coalesce(m."end", c.head) FROM member m
JOIN conversation c ON c.id = m.conversation
WHERE c.group_id = ? AND m.client = ? ORDER BY m.start <= ? DESC, m.start DESC LIMIT 1
"""

_ENTRIES: Final = """
SELECT e.sequence, e.kind, e.epoch, c.name, e.time, e.body, e.blob, e.size, e.offered, e.digest FROM entry e
JOIN client c ON c.id = e.client
WHERE e.conversation = ? AND e.sequence BETWEEN ? AND ? ORDER BY e.sequence LIMIT ?
"""

_STAYS: Final = """
SELECT c.group_id, c.epoch, c.head, c.handshake_head, m.start, m.cursor, coalesce(m."end", 0)
FROM member m JOIN conversation c ON c.id = m.conversation
WHERE m.client = ? AND c.group_id > ? AND (m."end" IS NULL OR m.cursor < m."end")
ORDER BY c.group_id, m.start LIMIT ?
"""

_RESTORED: Final = """
SELECT r.head FROM conversation g JOIN restore r ON r.conversation = g.id AND r.ended = :incarnation
WHERE g.group_id = :group
"""
"""Of an incarnation that is none of ours (another copy was restored meanwhile) nothing is known."""

_INBOX: Final = """
SELECT i.sequence, g.group_id, i.epoch, i.start, c.name, i.body, i.blob, i.size, i.time FROM inbox i
JOIN conversation g ON g.id = i.conversation JOIN client c ON c.id = i.sender
WHERE i.client = ? AND i.sequence >= ? ORDER BY i.sequence LIMIT ?
"""

_ACK: Final = """
UPDATE member SET cursor = :sequence
WHERE client = :client
AND conversation = (SELECT id FROM conversation WHERE group_id = :group AND head >= :sequence)
AND cursor < :sequence AND start <= :sequence AND ("end" IS NULL OR :sequence <= "end")
"""


class Delivery:
    def __init__(self, groups: Groups, quota: Quota, now: Clock) -> None:
        self._groups = groups
        self._quota = quota
        self._now = now

    def send(self, transaction: Transaction, caller: Caller, body: SendMessage) -> Decision:
        """Append an application message if its sender may speak and its epoch is the log's."""
        standing = transaction.log(body.group)
        if standing is None:
            raise Refusal("no_group")
        present = self._groups.present(transaction.db, standing.conversation, standing.epoch)
        if caller.client not in present.speakers:
            if caller.client in present.clients:
                if standing.epoch != body.epoch:  # it may have been sealed when one could speak
                    raise Refusal("stale_epoch", head=standing.head)
                raise Refusal("forbidden", "you may only read here", head=standing.head)
            raise not_yours(transaction.db, caller, body.group)
        if standing.epoch != body.epoch:
            raise Refusal("stale_epoch", head=standing.head)
        check_message(body)
        now, sequence = self._now(), standing.head + 1
        self._quota.check_message(transaction, standing, caller, len(body.message), now)
        entry = Entry(sequence, "message", body.epoch, caller.name, now, body.message)
        push = GroupPush(body.group, present.clients, entry, echo=False)
        decision = Decision(Appended(sequence), (push,))
        transaction.append(standing, caller.client, now, body.message)  # last: nothing can fail after it
        return decision

    def fetch(self, db: apsw.Connection, caller: Caller, body: Fetch) -> Entries:
        """Entries from ``start`` on, as many as fit.

        What has expired is a Gap with hashes while somebody may need them, later one without.
        """
        found = db.execute(_STAY, (body.group, caller.client, body.start)).fetchone()
        if found is None:
            raise Refusal("no_group")
        conversation, first, last = found
        if body.start < first:
            raise Refusal("forbidden", "that was before you came", head=last)
        return Entries(body.group, _entries(db, conversation, body.start, last), last)

    def sync(self, db: apsw.Connection, caller: Caller, body: Sync) -> Synced:
        """Where the client's groups stand, those that it has not seen to their end among them."""
        rows: list[Any] = list(db.execute(_STAYS, (caller.client, body.after, SYNC_PAGE + 1)))
        more = len(rows) > SYNC_PAGE
        if more:
            # A group's stays stay together: the page ends before the last group. Were that all of it, a
            # client taken out and in a thousand times could never ask for what comes after: the oldest
            # stays, then, and the others once these are acknowledged.
            rows = [row for row in rows if row[0] != rows[-1][0]] or rows[:-1]
        groups = [GroupStatus(*row) for row in rows]
        (incarnation,) = db.execute("SELECT incarnation FROM server").fetchone() or (0,)
        if body.incarnation not in {0, incarnation}:
            groups = [_with_restored(db, status, body.incarnation) for status in groups]
        if unread.has_any(db, caller.client):
            groups = [_with_unread(db, caller.client, status) for status in groups]
        return Synced(groups, more)

    def fetch_inbox(self, db: apsw.Connection, caller: Caller, body: FetchInbox) -> InboxEntries:
        (head,) = db.execute("SELECT inbox_head FROM client WHERE id = ?", (caller.client,)).fetchone() or (
            0,
        )
        entries: list[InboxEntry] = []
        room = ANSWER_BYTES
        for sequence, group, epoch, start, sender, carried, blob, size, time in db.execute(
            _INBOX, (caller.client, body.start, MAX_ENTRIES)
        ):
            room -= len(carried or b"") + 192
            if room < 0 and entries:
                break
            welcome = carried_of((carried, blob, size))
            entries.append(InboxEntry(sequence, group, epoch, start, sender, welcome, time))
        return InboxEntries(entries, head)

    def acknowledge(self, db: apsw.Connection, client: int, acks: dict[bytes, int]) -> None:
        """Move cursors forward; a smaller or impossible one changes nothing."""
        for group, sequence in acks.items():
            if group:
                db.execute(_ACK, {"sequence": sequence, "client": client, "group": group})
            else:
                self._acknowledge_inbox(db, client, sequence)

    def _acknowledge_inbox(self, db: apsw.Connection, client: int, sequence: int) -> None:
        db.execute(
            "UPDATE client SET inbox_cursor = ?1 WHERE id = ?2 AND inbox_cursor < ?1 AND inbox_head >= ?1",
            (sequence, client),
        )
        if db.changes():
            # A Welcome opens a group once; whoever has it needs the server's copy no more.
            db.execute("DELETE FROM inbox WHERE client = ? AND sequence <= ?", (client, sequence))


def _with_restored(db: apsw.Connection, status: GroupStatus, incarnation: int) -> GroupStatus:
    found = db.execute(_RESTORED, {"group": status.group, "incarnation": incarnation}).fetchone()
    return status if found is None else replace(status, restored=found[0])


def _with_unread(db: apsw.Connection, client: int, status: GroupStatus) -> GroupStatus:
    """Of who has left nothing is told: it has no word in there any more."""
    return status if status.end else replace(status, unread=unread.runs(db, client, status.group))


def not_yours(db: apsw.Connection, caller: Caller, group: bytes) -> Refusal:
    """Why a client without a stay is refused: strangers don't learn whether a group exists."""
    was_there = db.execute(
        "SELECT 1 FROM member m JOIN conversation c ON c.id = m.conversation "
        "WHERE c.group_id = ? AND m.client = ?",
        (group, caller.client),
    ).fetchone()
    return Refusal("no_group") if was_there is None else Refusal("not_member")


def check_message(body: SendMessage) -> None:
    """A sealed application message of this group and epoch, no byte more; the rest the server can't see.

    The same as decoding it and comparing, in a quarter of the time: this is done for every message.
    """
    data = body.message
    head = _message_head(body.group, body.epoch)
    if not data.startswith(head):
        raise Refusal("refused_message", "this is no sealed application message of this group and epoch")
    position, end = len(head), len(data)
    try:
        for _ in range(_SEALED_FIELDS):
            length, position = read_varint(data, position, end)
            position += length
    except DecodeError as error:
        raise Refusal("refused_message", str(error)) from None
    if position != end:
        raise Refusal("refused_message", "the message does not end where it says")


@lru_cache(maxsize=4096)
def _message_head(group: bytes, epoch: int) -> bytes:
    """How a message of an epoch begins (RFC 9420 section 6.3): up to its authenticated data."""
    empty = encode_message(PrivateMessage(group, Epoch(epoch), ContentType.APPLICATION, b"", b"", b""))
    return empty[:-_SEALED_FIELDS]


def _entries(db: apsw.Connection, conversation: int, start: int, last: int) -> list[Entry | Gap]:
    """What is at the places from ``start`` on; those without a row are a Gap without hashes."""
    entries: list[Entry | Gap] = []
    room, left, following = ANSWER_BYTES, MAX_ENTRIES, start
    for row in db.execute(_ENTRIES, (conversation, start, last, MAX_ENTRIES)):
        room -= len(row[5] or b"") + 128
        left -= 1
        if entries and (room < 0 or len(entries) > MAX_ENTRIES - 2):
            return entries
        if row[0] > following:
            entries.append(Gap(following, row[0] - 1, []))
        _add(entries, *row)
        following = row[0] + 1
    if left and following <= last:
        entries.append(Gap(following, last, []))
    return entries


def _add(  # noqa: PLR0913, PLR0917 - the columns of a row
    entries: list[Entry | Gap],
    sequence: int,
    kind: str,
    epoch: int,
    sender: str,
    time: int,
    body: bytes | None,
    blob: bytes | None,
    size: int | None,
    offered: int,
    digest: bytes | None,
) -> None:
    if digest is None:
        entry = Entry(
            sequence, kind, epoch, sender, time, body or b"", blob or b"", size or 0, offered=bool(offered)
        )
        entries.append(entry)
    elif entries and isinstance(entries[-1], Gap) and entries[-1].hashes:
        entries[-1] = Gap(entries[-1].first, sequence, [*entries[-1].hashes, digest])
    else:
        entries.append(Gap(sequence, sequence, [digest]))
