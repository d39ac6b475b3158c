"""The MLS state of conversations: read once, kept in memory, saved with every use.

What changes with an epoch and what changes with every message are two rows, so that a message
costs a small write. A conversation whose secrets are lost is *followed*: its public state
goes on by the log alone, until our leaf is replaced (rules.md D).
"""

import apsw

from securechat.client.change import Change
from securechat.client.device import Device
from securechat.mls.group import Group
from securechat.mls.public_group import PublicGroup


class Groups:
    """The one place that holds live groups. A group is dropped here when its change fails."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self._groups: dict[int, Group] = {}
        self._followed: dict[int, PublicGroup] = {}

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
        self._groups[conversation] = group
        self._followed.pop(conversation, None)
        _write_epoch(change.db, conversation, group.epoch_bytes(), following=False)
        self.keep_secrets(change, conversation, group)

    def keep_secrets(self, change: Change, conversation: int, group: Group) -> None:
        """Save what a message used up."""
        change.touched.add(conversation)
        change.db.execute(
            "INSERT INTO group_secrets (conversation, secrets) VALUES (?, ?)"
            " ON CONFLICT (conversation) DO UPDATE SET secrets = excluded.secrets",
            (conversation, group.secrets_bytes()),
        )

    def follow(self, change: Change, conversation: int, public: PublicGroup) -> None:
        """Go on without secrets: they are deleted."""
        change.touched.add(conversation)
        self._groups.pop(conversation, None)
        self._followed[conversation] = public
        _write_epoch(change.db, conversation, public.to_bytes(), following=True)
        change.db.execute("DELETE FROM group_secrets WHERE conversation = ?", (conversation,))

    def drop(self, change: Change, conversation: int) -> None:
        """Delete a group's state: we are out of it, or it never came about."""
        change.touched.add(conversation)
        self.forget(conversation)
        change.db.execute("DELETE FROM group_state WHERE conversation = ?", (conversation,))
        change.db.execute("DELETE FROM group_secrets WHERE conversation = ?", (conversation,))

    def forget(self, conversation: int) -> None:
        """Drop what is in memory; the store has the truth."""
        self._groups.pop(conversation, None)
        self._followed.pop(conversation, None)

    def _load(self, db: apsw.Connection, conversation: int) -> None:
        if conversation in self._groups or conversation in self._followed:
            return
        row = db.execute(
            "SELECT s.following, s.epoch_state, k.secrets FROM group_state s"
            " LEFT JOIN group_secrets k ON k.conversation = s.conversation WHERE s.conversation = ?",
            (conversation,),
        ).fetchone()
        if row is None:
            return
        following, epoch_state, secrets = row
        if following:
            self._followed[conversation] = PublicGroup.from_bytes(epoch_state)
        else:
            self._groups[conversation] = Group.from_bytes(epoch_state, secrets, self._device.identity)


def _write_epoch(db: apsw.Connection, conversation: int, state: bytes, *, following: bool) -> None:
    db.execute(
        "INSERT INTO group_state (conversation, following, epoch_state) VALUES (?, ?, ?)"
        " ON CONFLICT (conversation)"
        " DO UPDATE SET following = excluded.following, epoch_state = excluded.epoch_state",
        (conversation, int(following), state),
    )
