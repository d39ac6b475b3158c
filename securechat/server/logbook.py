"""A log's book-keeping, for whoever appends handshakes: entries, stays of members, the public state.

Everything here runs in the writer's transaction, except what only reads.
"""

from dataclasses import dataclass

import apsw

from securechat.membership.reinit import Closed
from securechat.membership.room import ROOM_EXTENSION, may_speak, room_of
from securechat.mls.codec import decode, encode
from securechat.mls.commit_facts import CommitFacts
from securechat.mls.extensions import find_extension
from securechat.mls.nodes import LeafIndex, LeafNode
from securechat.mls.proposals import ReInit
from securechat.mls.public_group import PublicGroup, VerifiedCommit
from securechat.names import user_uri
from securechat.protocol.messages import Carried, CommitGroup, Entry, InboxEntry, OfferCommit
from securechat.server.blobs import claim
from securechat.server.delivery import not_yours
from securechat.server.directory import registered_client
from securechat.server.errors import Refusal
from securechat.server.groups import Groups
from securechat.server.judging import leaf_owner
from securechat.server.quota import Quota, add_stored, check_inbox
from securechat.server.values import Caller, InboxPush, columns_of


@dataclass(frozen=True, slots=True)
class Place:
    """Where a conversation stands."""

    conversation: int
    epoch: int
    head: int
    handshake_head: int


class Logbook:
    def __init__(self, groups: Groups, domain: str, quota: Quota) -> None:
        self._groups = groups
        self._domain = domain
        self._quota = quota

    def place(self, db: apsw.Connection, group: bytes) -> Place | None:
        found = db.execute(
            "SELECT id, epoch, head, handshake_head FROM conversation WHERE group_id = ?", (group,)
        ).fetchone()
        return None if found is None else Place(*found)

    def public(self, db: apsw.Connection, place: Place) -> PublicGroup:
        """The state of the epoch that the log is in."""
        return self._groups.load(db, place.conversation)

    def pending(self, db: apsw.Connection, place: Place) -> list[bytes]:
        """The proposals of the present epoch, in the log's order."""
        rows = db.execute(
            "SELECT e.body FROM pending p JOIN entry e ON e.conversation = p.conversation "
            "AND e.sequence = p.sequence WHERE p.conversation = ? ORDER BY p.sequence",
            (place.conversation,),
        )
        return [message for (message,) in rows]

    def present(self, db: apsw.Connection, place: Place) -> tuple[int, ...]:
        """The clients that are in the group now."""
        rows = db.execute(
            'SELECT client FROM member WHERE conversation = ? AND "end" IS NULL', (place.conversation,)
        )
        return tuple(client for (client,) in rows)

    def has_leaf(self, db: apsw.Connection, caller: Caller, place: Place) -> bool:
        """Whether the caller's user is in the group, with whichever client."""
        found = db.execute(
            "SELECT 1 FROM member m JOIN client c ON c.id = m.client "
            'WHERE m.conversation = ? AND m."end" IS NULL AND c.account = ? LIMIT 1',
            (place.conversation, caller.account),
        ).fetchone()
        return found is not None

    def must_be_member(self, db: apsw.Connection, caller: Caller, place: Place, group: bytes) -> None:
        found = db.execute(
            'SELECT 1 FROM member WHERE conversation = ? AND client = ? AND "end" IS NULL',
            (place.conversation, caller.client),
        ).fetchone()
        if found is None:
            raise not_yours(db, caller, group)

    def client(self, db: apsw.Connection, leaf: LeafNode) -> int:
        """The client of a leaf, as this server knows it."""
        client = registered_client(db, leaf)
        if client is None:
            raise Refusal("refused_commit", "a leaf has not the keys its client is registered with here")
        return client

    def must_be_open(self, db: apsw.Connection, place: Place) -> None:
        """Refuse what comes after a ReInit: it was the log's last entry (RFC 9420 section 12.4.2)."""
        found = db.execute("SELECT 1 FROM succession WHERE conversation = ?", (place.conversation,))
        if found.fetchone() is not None:
            raise Refusal("refused_commit", "this group goes on as another", head=place.head)

    def is_announced(self, db: apsw.Connection, group: bytes) -> bool:
        """Whether another group goes on as this one."""
        return db.execute("SELECT 1 FROM succession WHERE group_id = ?", (group,)).fetchone() is not None

    def closed_by(self, db: apsw.Connection, successor: bytes) -> Closed | None:
        """The group whose ReInit has announced a group id."""
        found = db.execute(
            "SELECT conversation, reinit FROM succession WHERE group_id = ?", (successor,)
        ).fetchone()
        if found is None:
            return None
        conversation, reinit = found
        return Closed(self._groups.load(db, conversation), decode(ReInit, reinit))

    def append(self, db: apsw.Connection, place: Place, entry: Entry, client: int) -> None:
        """Put an entry into the log and count it; moving the log's head is the caller's business.

        :raises Refusal: ``quota``
        """
        carried = Carried(entry.body, entry.blob, entry.size)
        columns = columns_of(carried)
        self._quota.count_handshake(db, client, _bytes_of(carried))
        db.execute(
            "INSERT INTO entry "
            "(conversation, sequence, kind, epoch, client, time, body, blob, size, offered) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                place.conversation,
                entry.sequence,
                entry.kind,
                entry.epoch,
                client,
                entry.time,
                *columns,
                entry.offered,
            ),
        )

    def append_commit(
        self, db: apsw.Connection, place: Place, entry: Entry, verified: VerifiedCommit, client: int
    ) -> list[int]:
        """Append a commit and all that it changes; return the clients that were added."""
        facts, following = verified.facts, verified.following
        self.append(db, place, entry, client)
        db.execute(
            "UPDATE conversation SET epoch = ?1, head = ?2, handshake_head = ?2 WHERE id = ?3",
            (following.context.epoch, entry.sequence, place.conversation),
        )
        db.execute("DELETE FROM pending WHERE conversation = ?", (place.conversation,))
        grown = self._groups.write(db, place.conversation, following, facts.old_tree)
        # Whoever is to go can go, and whoever is here can renew its keys, whatever else lies here.
        may_refuse = bool(facts.added) or _has_new_policy(facts)
        self._quota.count_state(db, place.conversation, grown, may_refuse=may_refuse)
        added = self._move_members(db, place, facts, entry.sequence)
        for each in facts.proposals:
            if isinstance(each.proposal, ReInit):
                self._close(db, place, each.proposal)
        return added

    def _close(self, db: apsw.Connection, place: Place, reinit: ReInit) -> None:
        """Keep as what the group goes on; from now on nobody may speak in it."""
        taken = (
            "SELECT 1 FROM conversation WHERE group_id = ?1 "
            "UNION SELECT 1 FROM succession WHERE group_id = ?1"
        )
        if db.execute(taken, (reinit.group_id,)).fetchone() is not None:
            raise Refusal("refused_commit", "the group that it goes on as is there already")
        row = (place.conversation, reinit.group_id, encode(reinit))
        db.execute("INSERT INTO succession (conversation, group_id, reinit) VALUES (?, ?, ?)", row)
        db.execute(
            'UPDATE member SET may_speak = 0 WHERE conversation = ? AND "end" IS NULL', (place.conversation,)
        )

    def set_group_info(
        self, db: apsw.Connection, caller: Caller, place: Place, carried: Carried | None
    ) -> None:
        """Keep the GroupInfo by which devices join; None: there is none of this epoch."""
        columns = (None, None, None) if carried is None else columns_of(carried)
        giver, size = db.execute(
            "SELECT giver, coalesce(size, length(body), 0) FROM epoch_state WHERE conversation = ?",
            (place.conversation,),
        ).fetchone() or (None, 0)
        if giver is not None:
            add_stored(db, giver, -size)
        if carried is not None:
            claim(db, caller, carried)
            self._quota.count_handshake(db, caller.client, _bytes_of(carried))
        db.execute(
            "UPDATE epoch_state SET body = ?, blob = ?, size = ?, giver = ? WHERE conversation = ?",
            (*columns, None if carried is None else caller.client, place.conversation),
        )

    def invite(
        self,
        db: apsw.Connection,
        caller: Caller,
        body: CommitGroup | OfferCommit,
        place: Place,
        entry: Entry,
        newcomers: list[int],
    ) -> tuple[InboxPush, ...]:
        """Put the Welcome that came with a commit, its ``entry``, into the inboxes of those it added."""
        if body.welcome is None:
            return ()
        pushes = []
        epoch, start = place.epoch + 1, entry.sequence + 1
        for client in newcomers:
            check_inbox(db, caller, client)
            (head,) = db.execute(
                "UPDATE client SET inbox_head = inbox_head + 1 WHERE id = ? RETURNING inbox_head", (client,)
            ).fetchone() or (0,)
            db.execute(
                "INSERT INTO inbox "
                "(client, sequence, conversation, epoch, start, sender, body, blob, size, time) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    client,
                    head,
                    place.conversation,
                    epoch,
                    start,
                    caller.client,
                    *columns_of(body.welcome),
                    entry.time,
                ),
            )
            told = InboxEntry(head, body.group, epoch, start, caller.name, body.welcome, entry.time)
            pushes.append(InboxPush(client, told))
        return tuple(pushes)

    def add_stay(
        self, db: apsw.Connection, place: Place, client: int, leaf: LeafIndex, *, speaks: bool, start: int
    ) -> None:
        db.execute(
            "INSERT INTO member (conversation, client, leaf, may_speak, start, cursor) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (place.conversation, client, leaf, speaks, start, start - 1),
        )

    def _move_members(
        self, db: apsw.Connection, place: Place, facts: CommitFacts, sequence: int
    ) -> list[int]:
        """End and begin stays as the tree did; return the clients that were added."""
        ended = 'UPDATE member SET "end" = ? WHERE conversation = ? AND leaf = ? AND "end" IS NULL'
        for removed in facts.removed:
            db.execute(ended, (sequence, place.conversation, removed.leaf_index))
        room = room_of(facts.new_context)
        entering = [(added.leaf_index, added.leaf_node) for added in facts.added]
        if facts.external:
            entering.append((facts.committer, facts.committer_leaf))
        clients = [self.client(db, leaf) for _, leaf in entering]
        for (index, leaf), client in zip(entering, clients, strict=True):
            speaks = may_speak(room, user_uri(self._domain, leaf_owner(leaf)[0]))
            self.add_stay(db, place, client, index, speaks=speaks, start=sequence + 1)
        if _has_new_policy(facts):
            self._refresh_speakers(db, place, facts)
        return clients[: len(facts.added)]

    def _refresh_speakers(self, db: apsw.Connection, place: Place, facts: CommitFacts) -> None:
        room = room_of(facts.new_context)
        for index, leaf in facts.new_tree.leaves():
            speaks = may_speak(room, user_uri(self._domain, leaf_owner(leaf)[0]))
            db.execute(
                "UPDATE member SET may_speak = ?1 WHERE conversation = ?2 AND leaf = ?3 "
                'AND "end" IS NULL AND may_speak != ?1',
                (speaks, place.conversation, index),
            )


def _bytes_of(carried: Carried) -> int:
    """What it takes on the disk: ``size`` is a blob's, as was seen when it was judged."""
    return carried.size if carried.blob else len(carried.body)


def _has_new_policy(facts: CommitFacts) -> bool:
    old, new = facts.old_context.extensions, facts.new_context.extensions
    return find_extension(old, ROOM_EXTENSION) != find_extension(new, ROOM_EXTENSION)
