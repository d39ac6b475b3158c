"""Public group states in the database: one row per node, so a commit writes O(log n) of them.

A parsed state is kept in memory beside the bytes it was stored as: an accelerator, never the
truth. It is used only where the caller's transaction reads those same bytes.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import apsw

from securechat.mls.cipher_suite import cipher_suite
from securechat.mls.codec import Opaque, Uint8, WireStruct, decode, encode
from securechat.mls.errors import MLSError
from securechat.mls.group_context import GroupContext
from securechat.mls.nodes import NodeIndex
from securechat.mls.public_group import PublicGroup
from securechat.mls.ratchet_tree import RatchetTree, bytes_of_rows, changed_nodes
from securechat.server.errors import StoreFailed

KEPT_LEAVES: Final = 50_000
"""Leaves of all states kept in memory, ``LEAF_BYTES`` each."""

LEAF_BYTES: Final = 2 * 1024
"""About: parsed, with its share of the nodes above it."""

KEPT_CLIENTS: Final = 200_000
"""Clients in the lists of who is in which group, about 100 bytes each."""

MAX_FORGOTTEN: Final = 4_096
"""Old nodes that a commit takes away on its way: as many as it can leave behind; retention has the rest."""

VERSION: Final = 1


class _PublicState(WireStruct, frozen=True):
    version: Uint8
    context: GroupContext
    interim_transcript_hash: Opaque
    confirmation_tag: Opaque


@dataclass(frozen=True, slots=True)
class Present:
    """The clients in a group during one epoch, and those of them that may speak."""

    clients: tuple[int, ...]
    speakers: frozenset[int]


class Groups:
    """Loads, keeps and writes public states; used from the writer's and the readers' threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._states: OrderedDict[int, tuple[bytes, PublicGroup]] = OrderedDict()
        self._leaves = 0
        self._present: OrderedDict[int, tuple[int, Present]] = OrderedDict()
        self._clients = 0

    def load(self, db: apsw.Connection, conversation: int) -> PublicGroup:
        """The state of the epoch that the database has now."""
        found = db.execute(
            "SELECT epoch, public_state FROM epoch_state WHERE conversation = ?", (conversation,)
        ).fetchone()
        if found is None:
            raise StoreFailed(f"conversation {conversation} has no state")
        epoch, data = found
        with self._lock:
            kept = self._states.get(conversation)
            if kept is not None and kept[0] == data:  # the same context and transcript: the same tree
                self._states.move_to_end(conversation)
                return kept[1]
        # Over a damaged state nothing is judged (C-05): honest members would refuse what we let through.
        try:
            stored = decode(_PublicState, data)
            suite = cipher_suite(stored.context.cipher_suite)
            tree = RatchetTree.from_rows(suite, _tree_rows(db, conversation, epoch))
        except MLSError as error:
            raise StoreFailed(f"the state of conversation {conversation} is damaged: {error}") from None
        if tree.tree_hash() != stored.context.tree_hash:
            raise StoreFailed(f"the tree of conversation {conversation} is damaged: it has another hash")
        closed = db.execute("SELECT 1 FROM succession WHERE conversation = ?", (conversation,)).fetchone()
        group = PublicGroup(
            stored.context,
            tree,
            stored.interim_transcript_hash,
            stored.confirmation_tag,
            closed=closed is not None,
        )
        self._keep(conversation, data, group)
        return group

    def write(
        self, db: apsw.Connection, conversation: int, group: PublicGroup, old: RatchetTree | None
    ) -> int:
        """Store the state of a new epoch: the nodes that differ, and what is not the tree.

        Return by how many bytes it is larger than the old one.
        """
        epoch, grown = group.context.epoch, 0
        changes = group.tree.rows() if old is None else changed_nodes(old, group.tree)
        for node, body in changes:
            if old is not None:
                grown -= _size(
                    db,
                    "UPDATE tree_node SET until = ? WHERE conversation = ? AND node = ? AND until IS NULL "
                    "RETURNING length(body)",
                    (epoch, conversation, node),
                )
            if body is not None:
                grown += len(body)
                db.execute(
                    "INSERT INTO tree_node (conversation, node, since, body) VALUES (?, ?, ?, ?)",
                    (conversation, node, epoch, body),
                )
        forget_trees(db, conversation, MAX_FORGOTTEN)
        grown -= _size(
            db, "SELECT length(public_state) FROM epoch_state WHERE conversation = ?", (conversation,)
        )
        state = _PublicState(VERSION, group.context, group.interim_transcript_hash, group.confirmation_tag)
        data = encode(state)
        db.execute(
            "INSERT INTO epoch_state (conversation, epoch, public_state) VALUES (?, ?, ?) "
            "ON CONFLICT (conversation) "
            "DO UPDATE SET epoch = excluded.epoch, public_state = excluded.public_state",
            (conversation, epoch, data),
        )
        self._keep(conversation, data, group)
        return grown + len(data)

    def undone(self) -> None:
        """A transaction was not written: forget who was in which epoch."""
        self._present.clear()
        self._clients = 0

    def present(self, db: apsw.Connection, conversation: int, epoch: int) -> Present:
        """Who is in the group during an epoch that was read in this transaction.

        For the writer's thread, and last in a job: what may still be undone must not be kept.
        """
        kept = self._present.get(conversation)
        if kept is not None and kept[0] == epoch:
            return kept[1]
        rows: list[Any] = db.execute(
            'SELECT client, may_speak FROM member WHERE conversation = ? AND "end" IS NULL',
            (conversation,),
        ).fetchall()
        speakers = frozenset(client for client, may_speak in rows if may_speak)
        present = Present(tuple(client for client, _ in rows), speakers)
        if kept is not None:
            self._clients -= len(kept[1].clients)
        self._clients += len(present.clients)
        self._present[conversation] = (epoch, present)  # of the epochs of a group, one
        while self._clients > KEPT_CLIENTS and len(self._present) > 1:
            _, (_, dropped) = self._present.popitem(last=False)
            self._clients -= len(dropped.clients)
        return present

    def _keep(self, conversation: int, data: bytes, group: PublicGroup) -> None:
        with self._lock:
            before = self._states.pop(conversation, None)
            self._leaves += _weight(data, group) - (0 if before is None else _weight(*before))
            self._states[conversation] = (data, group)
            while self._leaves > KEPT_LEAVES and len(self._states) > 1:
                _, dropped = self._states.popitem(last=False)
                self._leaves -= _weight(*dropped)


def _size(db: apsw.Connection, sql: str, bindings: tuple[int, ...]) -> int:
    """What a statement says of one row; 0 where there is none."""
    return sum(size for (size,) in db.execute(sql, bindings))


def _weight(data: bytes, group: PublicGroup) -> int:
    """A state in leaves: a group of one may have a policy of 64 KiB, and it is here twice."""
    return group.tree.leaf_count + 2 * len(data) // LEAF_BYTES


def tree_bytes(db: apsw.Connection, conversation: int, epoch: int) -> bytes:
    """The tree of an epoch whose rows are still there, as a newcomer reads it; whoever reads it checks it.

    :raises MLSError: the rows are no tree's
    """
    return bytes_of_rows(_tree_rows(db, conversation, epoch))


def _tree_rows(db: apsw.Connection, conversation: int, epoch: int) -> Iterator[tuple[NodeIndex, bytes]]:
    rows = db.execute(
        "SELECT node, body FROM tree_node "
        "WHERE conversation = ?1 AND since <= ?2 AND (until IS NULL OR until > ?2)",
        (conversation, epoch),
    )
    return ((NodeIndex(node), body) for node, body in rows)


def forget_trees(db: apsw.Connection, conversation: int, limit: int) -> int:
    """Let old nodes go, ``limit`` at most; those of an epoch stay while its Welcome waits to be taken."""
    (waiting,) = db.execute(
        "SELECT min(epoch) FROM inbox WHERE conversation = ?", (conversation,)
    ).fetchone() or (None,)
    oldest = "SELECT id FROM tree_node WHERE conversation = ? AND until IS NOT NULL"
    if waiting is None:
        db.execute(f"DELETE FROM tree_node WHERE id IN ({oldest} LIMIT ?)", (conversation, limit))  # noqa: S608 - a constant
    else:
        db.execute(
            f"DELETE FROM tree_node WHERE id IN ({oldest} AND until <= ? LIMIT ?)",  # noqa: S608 - a constant
            (conversation, waiting, limit),
        )
    return db.changes()
