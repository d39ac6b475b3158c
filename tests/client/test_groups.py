"""MLS state in rows: what is written is what changed, and it is all that is needed (C-07, M-11)."""

from types import SimpleNamespace
from typing import cast

import apsw
import pytest

from securechat.client.change import Change
from securechat.client.device import Device
from securechat.client.groups import Groups
from securechat.client.store import migrate
from securechat.mls.errors import SecretError
from securechat.mls.group import Group
from securechat.mls.public_group import PublicGroup
from securechat.mls.secret_tree import Ratchet
from securechat.mls.staging import CommitPlan
from tests.mls.people import everybody_follows, group_of, hear_each_other, received, state_of


class Kept:
    """A conversation's group in a store, as one run of a client after another sees it."""

    def __init__(self, group: Group) -> None:
        self.db = apsw.Connection(":memory:")
        migrate(self.db)
        self.db.execute(
            "INSERT INTO conversation (id, name, kind, state, room, peer, cursor, epoch)"
            " VALUES (1, '@bob', 'direct', 'joined', 'mimi://example.org/r/1', 'bob', 7, 2)"
        )
        self.group = group
        self.groups = self.another_run()

    def another_run(self) -> Groups:
        return Groups(cast("Device", SimpleNamespace(identity=self.group.identity)))

    def keep(self) -> int:
        """Save the group; return how many rows that took."""
        before = self.db.total_changes()
        self.groups.keep(Change(self.db), 1, self.group)
        return self.db.total_changes() - before

    def keep_secrets(self) -> int:
        before = self.db.total_changes()
        self.groups.keep_secrets(Change(self.db), 1, self.group)
        return self.db.total_changes() - before

    def read(self) -> Group:
        found = self.another_run().group(self.db, 1)
        assert found is not None
        return found

    def go_on(self) -> None:
        """The client is started anew."""
        self.groups = self.another_run()
        found = self.groups.group(self.db, 1)
        assert found is not None
        self.group = found


def test_c_07_after_every_message_and_commit_all_is_there() -> None:
    members = group_of("alice", "bob", "carol", "dave", "erin")
    bob = Kept(members[1])
    bob.keep()
    for number, committer in enumerate(members * 2):
        for speaker in members:
            if speaker is not members[1]:
                bob.group.decrypt(speaker.encrypt(b"hello"))
                bob.keep_secrets()
        bob.group.encrypt(b"hello")
        bob.keep_secrets()
        assert state_of(bob.read()) == state_of(bob.group)
        if number % 3 == 0:
            bob.go_on()
            members[1] = bob.group
        others = [group for group in members if group.own_leaf != committer.own_leaf]
        now = bob.group if committer.own_leaf == bob.group.own_leaf else committer
        everybody_follows(now.stage_commit(CommitPlan(update=True)), now, others)
        bob.keep()
        assert state_of(bob.read()) == state_of(bob.group)
    hear_each_other([members[0], bob.read()])


def test_what_is_written_is_what_changed() -> None:
    members = group_of(*(f"member {number}" for number in range(64)))
    bob = Kept(members[1])
    assert bob.keep() > 64
    bob.group.decrypt(members[0].encrypt(b"first"))
    assert bob.keep_secrets() <= 2 * 6 + 4  # the way down to alice's chain
    bob.group.decrypt(members[0].encrypt(b"second"))
    assert bob.keep_secrets() == 1
    bob.group.merge(received(bob.group, members[0].stage_commit(CommitPlan(update=True)).message))
    assert bob.keep() <= 7 + 1 + 20  # a path, the epoch, the old secrets go


def test_m_11_a_used_key_is_in_no_row() -> None:
    alice, bob = group_of("alice", "bob")
    kept = Kept(bob)
    kept.keep()
    message = alice.encrypt(b"hello")
    found = bob._now.secrets.find_next(alice.own_leaf, Ratchet.APPLICATION)
    bob.decrypt(message)
    kept.keep_secrets()
    rows = b"".join(data for (data,) in kept.db.execute("SELECT secrets FROM group_secrets"))
    assert found.key not in rows
    with pytest.raises(SecretError):
        kept.read().decrypt(message)


def test_c_07_what_was_stored_in_one_piece_is_read_and_goes_on_in_rows() -> None:
    """Of before migration 0006: the tree within the epoch, the secrets in one row."""
    alice, bob = group_of("alice", "bob")
    kept = Kept(bob)
    kept.db.execute("INSERT INTO group_state VALUES (1, 0, ?)", (bob.epoch_bytes(),))
    kept.db.execute("INSERT INTO group_secrets VALUES (1, -2, ?)", (bob.secrets_bytes(),))
    kept.go_on()
    kept.group.decrypt(alice.encrypt(b"hello"))
    kept.keep_secrets()
    assert state_of(kept.read()) == state_of(kept.group)
    kept.go_on()
    kept.keep()
    assert kept.db.execute("SELECT count(*) FROM group_node").get == 3
    assert state_of(kept.read()) == state_of(kept.group)


def test_a_group_that_is_only_followed_is_in_rows_too() -> None:
    alice, bob = group_of("alice", "bob")
    kept = Kept(bob)
    kept.keep()
    kept.groups.follow(Change(kept.db), 1, bob.public)
    assert kept.db.execute("SELECT count(*) FROM group_secrets").get == 0
    verified = bob.public.verify_commit(alice.stage_commit(CommitPlan(update=True)).message, ())
    kept.groups.follow(Change(kept.db), 1, bob.public.apply(verified))
    again = kept.another_run()
    assert again.public(kept.db, 1) == verified.following
    assert again.follows(kept.db, 1)
    kept.db.execute("UPDATE group_state SET epoch_state = ?", (verified.following.to_bytes(),))
    kept.db.execute("DELETE FROM group_node")
    assert kept.another_run().public(kept.db, 1) == PublicGroup.from_bytes(verified.following.to_bytes())


def test_a_group_that_is_dropped_leaves_no_row() -> None:
    kept = Kept(group_of("alice", "bob")[1])
    kept.keep()
    kept.groups.drop(Change(kept.db), 1)
    for table in ("group_state", "group_node", "group_secrets"):
        assert kept.db.execute(f"SELECT count(*) FROM {table}").get == 0  # noqa: S608 - our own names
    assert kept.another_run().group(kept.db, 1) is None


def test_another_group_in_the_same_conversation_is_written_anew() -> None:
    """A direct conversation may begin again: nothing of the old group's rows stays."""
    kept = Kept(group_of("alice", "bob", "carol", "dave")[1])
    kept.keep()
    other = group_of("alice", "bob", group_id=b"again")
    kept.group = other[1]
    kept.keep()
    assert state_of(kept.read()) == state_of(kept.group)
    hear_each_other([other[0], kept.read()])
