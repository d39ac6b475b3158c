"""A group is stored in two parts and comes back as it was; what is broken does not come back."""

from collections.abc import Mapping
from typing import TypeVar

import msgspec
import pytest

from securechat.mls.codec import decode, encode
from securechat.mls.errors import DecodeError, SecretError, UsageError
from securechat.mls.framing import GroupSecrets, Member, PathSecret
from securechat.mls.group import Group
from securechat.mls.joining import FirstEpoch
from securechat.mls.key_package import KeyPackageBundle
from securechat.mls.psk import ExternalPsk, ResumptionPsk
from securechat.mls.public_group import PublicGroup
from securechat.mls.ratchet_tree import RatchetTree, changed_nodes
from securechat.mls.secret_tree import Ratchet
from securechat.mls.staging import CommitPlan, Committer, StagedCommit, _Staged
from tests.mls.people import (
    accept,
    bundle_of,
    everybody_follows,
    group_of,
    hear_each_other,
    identity,
    restarted,
    state_of,
)


def test_a_group_comes_back_as_it_was() -> None:
    alice, bob, carol = group_of("alice", "bob", "carol")
    accept(bob.propose_update(), [alice, bob, carol])
    bob.decrypt(alice.encrypt(b"one"))
    again = restarted(bob)
    assert state_of(again) == state_of(bob)
    assert (again.epoch, again.own_leaf, again.pending) == (bob.epoch, bob.own_leaf, bob.pending)
    hear_each_other([restarted(alice), again, restarted(carol)])


def test_messages_change_the_small_part_only() -> None:
    alice, bob = group_of("alice", "bob")
    epoch, secrets = state_of(bob)
    message = alice.encrypt(b"hello")
    bob.decrypt(message)
    assert bob.epoch_bytes() == epoch
    assert bob.secrets_bytes() != secrets
    assert len(bob.secrets_bytes()) < 400


def test_proposals_change_the_other_part_only() -> None:
    alice, bob = group_of("alice", "bob")
    epoch, secrets = state_of(bob)
    accept(alice.propose_update(), [bob])
    assert bob.secrets_bytes() == secrets
    assert bob.epoch_bytes() != epoch


def test_generations_go_on_after_a_restart() -> None:
    """M-11: neither the sender's count nor the receiver's memory starts anew."""
    alice, bob = group_of("alice", "bob")
    first = alice.encrypt(b"one")
    bob.decrypt(first)
    alice, bob = restarted(alice), restarted(bob)
    assert alice.own_generation == 1
    assert bob.decrypt(alice.encrypt(b"two")).generation == 1
    with pytest.raises(SecretError) as refused:
        bob.decrypt(first)
    assert refused.value.rule == "generation-used"


def test_used_keys_are_not_in_what_is_stored() -> None:
    """M-11: who steals the stored state afterwards cannot read what was read."""
    alice, bob = group_of("alice", "bob")
    found = bob._now.secrets.find_next(alice.own_leaf, Ratchet.APPLICATION)
    bob.decrypt(alice.encrypt(b"hello"))
    stored = bob.epoch_bytes() + bob.secrets_bytes()
    assert found.key not in stored
    assert found.nonce not in stored


def test_the_tree_can_be_kept_apart() -> None:
    alice, bob = group_of("alice", "bob")
    small = bob.epoch_bytes_without_tree()
    assert len(small) < len(bob.epoch_bytes()) - len(bob.tree_bytes()) + 8
    tree = RatchetTree.from_rows(bob.suite, bob.public.tree.rows())
    again = Group.from_bytes(small, bob.secrets_bytes(), bob.identity, tree=tree)
    hear_each_other([alice, again])
    with pytest.raises(UsageError):
        Group.from_bytes(small, bob.secrets_bytes(), bob.identity)
    other = group_of("carol", "dave")[0].public.tree
    with pytest.raises(DecodeError):
        Group.from_bytes(small, bob.secrets_bytes(), bob.identity, tree=other)


def test_parts_of_different_moments_do_not_fit() -> None:
    alice, _ = group_of("alice", "bob")
    epoch, secrets = state_of(alice)
    alice.merge(alice.stage_commit(CommitPlan()))
    with pytest.raises(DecodeError):
        Group.from_bytes(alice.epoch_bytes(), secrets, alice.identity)
    with pytest.raises(DecodeError):
        Group.from_bytes(epoch, alice.secrets_bytes(), alice.identity)
    with pytest.raises(DecodeError):
        Group.from_bytes(secrets, epoch, alice.identity)


def test_state_of_another_version_is_not_read() -> None:
    alice, _ = group_of("alice", "bob")
    epoch, secrets = state_of(alice)
    staged = alice.stage_commit(CommitPlan()).to_bytes()
    for data in (epoch, secrets, staged):
        assert data[1] == 1
    newer = b"\x02"
    with pytest.raises(DecodeError):
        Group.from_bytes(epoch[:1] + newer + epoch[2:], secrets, alice.identity)
    with pytest.raises(DecodeError):
        Group.from_bytes(epoch, secrets[:1] + newer + secrets[2:], alice.identity)
    with pytest.raises(DecodeError):
        StagedCommit.from_bytes(staged[:1] + newer + staged[2:], alice.public)


def test_broken_state_is_a_decode_error_and_nothing_else() -> None:
    alice, _ = group_of("alice", "bob")
    epoch, secrets = state_of(alice)
    for cut in range(0, len(epoch), 7):
        with pytest.raises(DecodeError):
            Group.from_bytes(epoch[:cut], secrets, alice.identity)
    for cut in range(len(secrets)):
        with pytest.raises(DecodeError):
            Group.from_bytes(epoch, secrets[:cut], alice.identity)


def test_a_group_comes_back_to_its_own_member_only() -> None:
    alice, bob = group_of("alice", "bob")
    with pytest.raises(UsageError):
        Group.from_bytes(*state_of(alice), bob.identity)


def test_a_staged_commit_comes_back_as_it_was() -> None:
    alice, bob = group_of("alice", "bob")
    accept(bob.propose_update(), [alice, bob])
    bundle = bundle_of(identity("carol"))
    known: dict[ExternalPsk | ResumptionPsk, bytes] = {ExternalPsk(b"name"): b"secret"}
    plan = CommitPlan(add=(bundle.key_package,), psks=tuple(known), new_leaf=identity("alice 2"))
    staged = alice.stage_commit(plan, psks=known.get)
    again = StagedCommit.from_bytes(staged.to_bytes(), restarted(alice).public)
    assert again == staged
    assert len(staged.to_bytes()) < 6_000
    with pytest.raises(UsageError):
        StagedCommit.from_bytes(staged.to_bytes())


def test_an_external_commit_is_stored_with_its_tree_or_is_broken() -> None:
    alice, bob = group_of("alice", "bob")
    staged = Group.join_externally(alice.group_info(), alice.tree_bytes(), bob.identity, remove=bob.own_leaf)
    stored = decode(_Staged, staged.to_bytes())
    assert stored.before is not None
    treeless = msgspec.structs.replace(stored, before=msgspec.structs.replace(stored.before, tree=b""))
    with pytest.raises(DecodeError, match="with its tree"):
        StagedCommit.from_bytes(encode(treeless))


def test_a_key_package_bundle_comes_back_as_it_was() -> None:
    bundle = bundle_of(identity("carol"))
    data = bundle.to_bytes()
    assert KeyPackageBundle.from_bytes(data) == bundle
    for broken in (data[:-1], data + b"0", b"\x02" + data[1:]):
        with pytest.raises(DecodeError):
            KeyPackageBundle.from_bytes(broken)


def test_nothing_secret_shows_in_a_repr() -> None:
    """G-01: state that is printed by mistake tells nothing."""
    alice, bob = group_of("alice", "bob")
    staged = alice.stage_commit(CommitPlan(update=True))
    bundle = bundle_of(identity("carol"))
    secrets = alice.state.secrets
    hidden = [getattr(secrets, name) for name in secrets.__struct_fields__]
    hidden += [pair.private for pair in alice.state.private.keys.values()]
    hidden += [bundle.init_key, bundle.encryption_key, alice.identity.signature_key.private]
    hidden += [staged.encryption_secret, staged.state.secrets.init_secret]
    shown = repr([alice, alice.state, alice._now, staged, bundle, alice.identity, secrets, bob.export])
    for secret in hidden:
        assert repr(secret)[2:-1] not in shown
        assert secret.hex() not in shown


def test_who_commits_shows_no_secret_and_a_commit_no_tree() -> None:
    """G-01: and what is printed is short enough to be read."""
    alice, _ = group_of("alice", "bob")
    staged = alice.stage_commit(CommitPlan(update=True))
    committer = Committer(
        before=alice.public,
        context_bytes=b"",
        sender=Member(alice.own_leaf),
        message_key=alice.identity.signature_key,
        identity=alice.identity,
        membership_key=b"the membership key",
        init_secret=b"the init secret",
    )
    joined = FirstEpoch(alice.state, b"the encryption secret")
    for hidden in (b"membership key", b"init secret", b"encryption secret"):
        assert hidden.decode() not in repr([committer, joined])
    for field in ("before", "verified", "references", "state", "encryption_secret"):
        assert f"{field}=" not in repr(staged)
    assert "message_key=" not in repr(committer)


def test_structures_with_secrets_show_their_name_only() -> None:
    assert repr(PathSecret(b"hidden")) == "<PathSecret>"
    assert repr(GroupSecrets(b"hidden", PathSecret(b"hidden"), ())) == "<GroupSecrets>"


class Table:
    """A group kept in rows, as a store does it: tree, secrets and the rest of the epoch."""

    def __init__(self, group: Group) -> None:
        self.group = group
        self.nodes = dict(group.public.tree.rows())
        self.secrets = group.secret_rows()
        self.epoch = group.epoch_bytes_without_tree()

    def after_a_message(self) -> None:
        write(self.secrets, self.group.changed_secret_rows())

    def after_a_commit(self, old: RatchetTree) -> None:
        write(self.nodes, dict(changed_nodes(old, self.group.public.tree)))
        self.secrets = self.group.secret_rows()
        self.epoch = self.group.epoch_bytes_without_tree()

    def read(self) -> Group:
        return Group.from_bytes(self.epoch, self.secrets, self.group.identity, tree=self.nodes)


Key = TypeVar("Key")


def write(table: dict[Key, bytes], changes: Mapping[Key, bytes | None]) -> None:
    for key, data in changes.items():
        table.pop(key, None)
        if data is not None:
            table[key] = data


def test_a_group_kept_in_rows_comes_back_after_every_message_and_commit() -> None:
    """What is written is what changed: it must be all that is needed."""
    groups = group_of("alice", "bob", "carol", "dave")
    bob = groups[1]
    table = Table(bob)
    for committer in groups:
        for speaker in groups:
            if speaker is not bob:
                bob.decrypt(speaker.encrypt(b"hello"))
            else:
                bob.encrypt(b"hello")
            table.after_a_message()
            assert state_of(table.read()) == state_of(bob)
        old = bob.public.tree
        staged = committer.stage_commit(CommitPlan(update=True))
        everybody_follows(staged, committer, [group for group in groups if group is not committer])
        table.after_a_commit(old)
        assert state_of(table.read()) == state_of(bob)
    hear_each_other([groups[0], table.read()])


def test_rows_of_another_moment_are_refused() -> None:
    alice, bob = group_of("alice", "bob")
    table = Table(bob)
    everybody_follows(alice.stage_commit(CommitPlan(update=True)), alice, [bob])
    later = Table(bob)
    with pytest.raises(DecodeError):
        Group.from_bytes(later.epoch, table.secrets, bob.identity, tree=later.nodes)
    with pytest.raises(DecodeError):
        Group.from_bytes(later.epoch, later.secrets, bob.identity, tree=table.nodes)
    with pytest.raises(DecodeError):
        Group.from_bytes(later.epoch, {}, bob.identity, tree=later.nodes)


def test_past_epochs_are_not_kept_in_rows() -> None:
    alice, bob = group_of("alice", "bob")
    bob.keep_past_epochs(1)
    everybody_follows(alice.stage_commit(CommitPlan(update=True)), alice, [bob])
    with pytest.raises(UsageError):
        bob.secret_rows()


def test_a_followed_group_is_kept_in_rows_too() -> None:
    alice, bob = group_of("alice", "bob")
    small, rows = bob.public.to_bytes(with_tree=False), dict(bob.public.tree.rows())
    assert PublicGroup.from_bytes(small, rows) == bob.public
    everybody_follows(alice.stage_commit(CommitPlan(update=True)), alice, [bob])
    with pytest.raises(DecodeError):
        PublicGroup.from_bytes(bob.public.to_bytes(with_tree=False), rows)
