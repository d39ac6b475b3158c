"""How a group ends for us: a ReInit closes it, or we are removed (M-02, M-11; RFC 9420 section 12.4.2)."""

import gc
from collections.abc import Callable
from functools import partial
from types import FunctionType, ModuleType

import pytest

from securechat.mls.commit import Commit
from securechat.mls.errors import UsageError, ValidationError
from securechat.mls.group import Group
from securechat.mls.key_schedule import EpochSecrets
from securechat.mls.nodes import LeafIndex
from securechat.mls.proposals import ReInit, Remove
from securechat.mls.psk import no_psks
from securechat.mls.public_group import PublicGroup
from securechat.mls.staging import CommitPlan, stage_commit
from tests.mls.forge import Forger
from tests.mls.people import everybody_follows, group_of, received, restarted, state_of


def closed_group() -> tuple[Group, Group]:
    """Alice and bob after a ReInit."""
    alice, bob = group_of("alice", "bob")
    everybody_follows(alice.stage_commit(CommitPlan(reinit=ReInit(b"new tea", 1, 3))), alice, [bob])
    return alice, bob


def commit_of(group: Group) -> bytes:
    """A commit, right but for the group's being closed."""
    return stage_commit(
        group.state, group.identity, CommitPlan(update=True), pending=(), psks=no_psks
    ).message


ALICE = Remove(LeafIndex(0))
SAID: dict[str, Callable[[Group], bytes]] = {
    "a commit": commit_of,
    "a commit in private": lambda evil: Forger(evil).private(Commit((), None)),
    "a proposal": lambda evil: Forger(evil).public(ALICE),
    "a proposal in private": lambda evil: Forger(evil).private(ALICE),
    "a message": lambda evil: Forger(evil).private(b"one more thing"),
}


@pytest.mark.parametrize("say", SAID.values(), ids=SAID)
def test_nothing_more_is_taken_in_a_group_that_a_reinit_has_closed(say: Callable[[Group], bytes]) -> None:
    """Who goes on in it opens it again, and the group that was announced is nobody's."""
    alice, evil = closed_group()
    message = say(evil)
    for listener in (alice, restarted(alice)):
        before = state_of(listener)
        for take in (listener.examine, listener.decrypt):
            if take == listener.decrypt and say is not SAID["a message"]:
                continue
            with pytest.raises(ValidationError) as refused:
                take(message)
            assert (refused.value.rule, refused.value.clause) == ("group-closed", "12.4.2")
        assert state_of(listener) == before
        assert not listener.active


def test_who_follows_without_secrets_sees_that_a_group_is_closed() -> None:
    alice, evil = closed_group()
    commit, proposal = commit_of(evil), Forger(evil).public(ALICE)
    for group in (alice.public, PublicGroup.from_bytes(alice.public.to_bytes())):
        for verify in (partial(group.verify_commit, commit, []), partial(group.verify_proposal, proposal)):
            with pytest.raises(ValidationError) as refused:
                verify()
            assert refused.value.rule == "group-closed"


def test_messages_of_before_a_reinit_can_still_be_read() -> None:
    alice, bob = group_of("alice", "bob")
    alice.keep_past_epochs(1)
    late = bob.encrypt(b"before it was closed")
    everybody_follows(bob.stage_commit(CommitPlan(reinit=ReInit(b"new tea", 1, 3))), bob, [alice])
    assert alice.decrypt(late).content == b"before it was closed"


def test_who_is_removed_keeps_no_secret_of_the_group() -> None:
    """Section 12.4.2: it deletes the group's state, and cannot be asked for what it knew."""
    alice, bob, carol = group_of("alice", "bob", "carol")
    carol.keep_past_epochs(2)
    everybody_follows(bob.stage_commit(CommitPlan(update=True)), bob, [alice, carol])
    carol.decrypt(alice.encrypt(b"soon you will be gone"))
    carol.propose_update()
    secrets = {
        *(getattr(carol.state.secrets, name) for name in EpochSecrets.__struct_fields__),
        *(pair.private for pair in carol.state.private.keys.values()),
        *carol._now.secrets._nodes.values(),
        *(chain.secret for chain in carol._now.secrets._chains.values()),
        *(own.encryption_key.private for own in carol._now.own_updates.values()),
        *carol._now.resumption.values(),
        carol._now.past[0].reading.sender_data_secret,
    }
    assert secrets <= held_by(carol)
    carol.merge(received(carol, alice.stage_commit(CommitPlan(remove=(carol.own_leaf,))).message))
    assert not secrets & held_by(carol)
    for ask in (carol.psk_source, lambda: carol.epoch_authenticator, lambda: carol.export("tea", b"", 32)):
        with pytest.raises(UsageError):
            ask()


def held_by(group: Group) -> set[bytes]:
    """All byte strings that can be reached from a group."""
    seen: dict[int, object] = {}
    ahead: list[object] = [group]
    while ahead:
        each = ahead.pop()
        if id(each) not in seen and not isinstance(each, type | ModuleType | FunctionType):
            seen[id(each)] = each
            ahead += gc.get_referents(each)
    return {each for each in seen.values() if isinstance(each, bytes)}
