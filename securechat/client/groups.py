"""The MLS state of conversations: read once, kept in memory, saved with every use.

It lies in three tables: what changes with an epoch, the nodes of the tree, and the message
secrets. What a message or a commit has changed is written, not all there is: one or two rows of
secrets, or the nodes of a path. A conversation whose secrets are lost is *followed*: its public
state goes on by the log alone, until our leaf is replaced (rules.md D).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

import apsw

from securechat.client import epoch_codes
from securechat.client.change import Change
from securechat.client.device import Device
from securechat.mls.group import Group
from securechat.mls.nodes import NodeIndex
from securechat.mls.public_group import PublicGroup
from securechat.mls.ratchet_tree import RatchetTree, changed_nodes

_WHOLE: Final = -2
"""The row of secrets that were stored in one piece, before there were rows (migration 0006)."""


@dataclass(frozen=True, slots=True)
class _Stored:
    """What the rows of a conversation hold now, so that only what has changed since is written."""

    tree: RatchetTree | None = None
    """None where there are no rows for it yet."""
    group: Group | None = None
    """Whose secrets; None where they are lost, or in one piece."""
    epoch: int = -1


class Groups:
    """The one place that holds live groups. A group is dropped here when its change fails."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._groups: dict[int, Group] = {}
        self._followed: dict[int, PublicGroup] = {}
        self._stored: dict[int, _Stored] = {}

    def group(self, db: apsw.Connection, conversation: int) -> Group | None:
        """Return the group if we hold its secrets."""
        self._load(db, conversation)
        return self._groups.get(conversation)

    def public(self, db: apsw.Connection, conversation: int) -> PublicGroup | None:
        """Return what is known in public, whether we hold the secrets or only follow."""
        self._load(db, conversation)
        group = self._groups.get(conversation)
        return group.public if group is not None else self._followed.get(conversation)

    def follows(self, db: apsw.Connection, conversation: int) -> bool:
        self._load(db, conversation)
        return conversation in self._followed

    def keep(self, change: Change, conversation: int, group: Group) -> None:
        """Save a group in a new epoch, or with other pending proposals."""
        change.touched.add(conversation)
        self._groups[conversation] = group
        self._followed.pop(conversation, None)
        _write_epoch(change.db, conversation, group.epoch_bytes_without_tree(), following=False)
        self._keep_tree(change.db, conversation, group.public.tree)
        epoch_codes.keep(change.db, conversation, group)
        self.keep_secrets(change, conversation, group)

    def keep_secrets(self, change: Change, conversation: int, group: Group) -> None:
        """Save what messages have used up."""
        change.touched.add(conversation)
        stored = self._stored.get(conversation, _Stored())
        if stored.group is group and stored.epoch == group.epoch:
            _write_secrets(change.db, conversation, group.changed_secret_rows().items())
            return
        _delete(change.db, conversation, "group_secrets")
        _write_secrets(change.db, conversation, group.secret_rows().items())
        self._stored[conversation] = replace(stored, group=group, epoch=group.epoch)

    def follow(self, change: Change, conversation: int, public: PublicGroup) -> None:
        """Go on without secrets: they are deleted."""
        change.touched.add(conversation)
        self._groups.pop(conversation, None)
        self._followed[conversation] = public
        _write_epoch(change.db, conversation, public.to_bytes(with_tree=False), following=True)
        self._keep_tree(change.db, conversation, public.tree)
        _delete(change.db, conversation, "group_secrets")
        self._stored[conversation] = _Stored(public.tree)

    def drop(self, change: Change, conversation: int) -> None:
        """Delete a group's state: we are out of it, or it never came about."""
        change.touched.add(conversation)
        self.forget(conversation)
        for table in ("group_state", "group_node", "group_secrets"):
            _delete(change.db, conversation, table)

    def forget(self, conversation: int) -> None:
        """Drop what is in memory; the store has the truth."""
        self._groups.pop(conversation, None)
        self._followed.pop(conversation, None)
        self._stored.pop(conversation, None)

    def _keep_tree(self, db: apsw.Connection, conversation: int, tree: RatchetTree) -> None:
        stored = self._stored.get(conversation, _Stored())
        if stored.tree is None:
            _delete(db, conversation, "group_node")
            _write_nodes(db, conversation, tree.rows())
        else:
            _write_nodes(db, conversation, changed_nodes(stored.tree, tree))
        self._stored[conversation] = replace(stored, tree=tree)

    def _load(self, db: apsw.Connection, conversation: int) -> None:
        if conversation in self._groups or conversation in self._followed:
            return
        row = db.execute(
            "SELECT following, epoch_state FROM group_state WHERE conversation = ?", (conversation,)
        ).fetchone()
        if row is None:
            return
        following, epoch_state = row
        nodes = {
            NodeIndex(node): data
            for node, data in db.execute(
                "SELECT node, data FROM group_node WHERE conversation = ?", (conversation,)
            )
        }
        if following:
            public = PublicGroup.from_bytes(epoch_state, nodes)
            self._followed[conversation] = public
            self._stored[conversation] = _Stored(public.tree if nodes else None)
            return
        secrets: dict[int, bytes] = dict(
            db.execute("SELECT row, secrets FROM group_secrets WHERE conversation = ?", (conversation,))
        )
        whole = secrets.get(_WHOLE)
        group = Group.from_bytes(
            epoch_state, secrets if whole is None else whole, self._device.identity, tree=nodes or None
        )
        self._groups[conversation] = group
        self._stored[conversation] = _Stored(
            group.public.tree if nodes else None, group if whole is None else None, group.epoch
        )


def _write_epoch(db: apsw.Connection, conversation: int, state: bytes, *, following: bool) -> None:
    db.execute(
        "INSERT INTO group_state (conversation, following, epoch_state) VALUES (?, ?, ?)"
        " ON CONFLICT (conversation)"
        " DO UPDATE SET following = excluded.following, epoch_state = excluded.epoch_state",
        (conversation, int(following), state),
    )


def _write_nodes(
    db: apsw.Connection, conversation: int, rows: Iterable[tuple[NodeIndex, bytes | None]]
) -> None:
    for node, data in rows:
        if data is None:
            db.execute("DELETE FROM group_node WHERE conversation = ? AND node = ?", (conversation, node))
        else:
            db.execute("INSERT OR REPLACE INTO group_node VALUES (?, ?, ?)", (conversation, node, data))


def _write_secrets(db: apsw.Connection, conversation: int, rows: Iterable[tuple[int, bytes | None]]) -> None:
    for row, secrets in rows:
        if secrets is None:
            db.execute("DELETE FROM group_secrets WHERE conversation = ? AND row = ?", (conversation, row))
        else:
            db.execute("INSERT OR REPLACE INTO group_secrets VALUES (?, ?, ?)", (conversation, row, secrets))


def _delete(db: apsw.Connection, conversation: int, table: str) -> None:
    db.execute(f"DELETE FROM {table} WHERE conversation = ?", (conversation,))  # noqa: S608 - our own names
