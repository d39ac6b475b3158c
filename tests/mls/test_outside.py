"""Who is outside: proposals from there, and external commits with all they may carry (12.1.8, 12.4.3.2)."""

import pytest

from securechat.mls.errors import MLSError, SecretError, UsageError, ValidationError
from securechat.mls.extensions import Extension, ExternalSender
from securechat.mls.group import Group
from securechat.mls.outside import allow_senders, propose_externally, propose_joining
from securechat.mls.proposals import (
    Add,
    GroupContextExtensions,
    PreSharedKeyProposal,
    ProposalValue,
    ReInit,
    Remove,
    SelfRemove,
    Update,
)
from securechat.mls.psk import ExternalPsk, ResumptionPsk, ResumptionPSKUsage, fresh_psk
from securechat.mls.staging import CommitPlan
from tests.mls.people import (
    accept,
    bundle_of,
    everybody_follows,
    group_of,
    hear_each_other,
    identity,
    received,
    state_of,
)

OFFICE = identity("personnel office")
SENDERS = allow_senders(ExternalSender(OFFICE.signature_key.public, OFFICE.credential))


def from_office(group: Group, proposal: ProposalValue, index: int = 0) -> bytes:
    return propose_externally(
        proposal, OFFICE.signature_key, group_id=group.group_id, epoch=group.epoch, sender_index=index
    )


def proposed(group: Group, who: str) -> dict[str, ProposalValue]:
    """One of each kind that an external sender may propose."""
    return {
        "add": Add(bundle_of(identity(who)).key_package),
        "remove": Remove(group.own_leaf),
        "psk": PreSharedKeyProposal(fresh_psk(group.suite, ExternalPsk(b"of the house"))),
        "reinit": ReInit(b"new tea", 1, 3),
        "extensions": GroupContextExtensions((SENDERS, Extension(0xF001, b"policy"))),
    }


@pytest.mark.parametrize("kind", proposed(group_of("x")[0], "x"))
def test_a_named_sender_proposes_from_outside(kind: str) -> None:
    alice, bob, carol = group_of("alice", "bob", "carol", extensions=(SENDERS,))
    proposal = proposed(carol, "dave")[kind]
    accept(from_office(alice, proposal), [alice, bob, carol])
    staged = alice.stage_commit(CommitPlan(), psks=lambda _name: b"key")
    assert [(each.proposal, each.sender) for each in staged.facts.proposals] == [(proposal, None)]
    everybody_follows(staged, alice, [bob, carol], psks=lambda _name: b"key")
    assert carol.removed == (kind == "remove")
    assert alice.active == (kind != "reinit")


def test_a_sender_proposes_only_what_it_may() -> None:
    alice, bob = group_of("alice", "bob", extensions=(SENDERS,))
    for proposal in (SelfRemove(), Update(bob.public.tree.member(bob.own_leaf))):
        with pytest.raises(ValidationError) as raised:
            from_office(alice, proposal)
        assert raised.value.rule == "sender-proposal-type"


def test_who_is_not_named_proposes_nothing() -> None:
    alice, bob = group_of("alice", "bob", extensions=(SENDERS,))
    before = state_of(bob)
    for index, rule in ((1, "external-sender"), (0, "message-signature")):
        message = propose_externally(
            Remove(alice.own_leaf),
            identity("mallory").signature_key,
            group_id=b"tea",
            epoch=bob.epoch,
            sender_index=index,
        )
        with pytest.raises(ValidationError) as raised:
            bob.examine(message)
        assert raised.value.rule == rule
    with pytest.raises(ValidationError):
        group_of("carol")[0].examine(
            propose_externally(
                Remove(alice.own_leaf), OFFICE.signature_key, group_id=b"tea", epoch=0, sender_index=0
            )
        )
    assert state_of(bob) == before


def test_who_wants_in_asks_and_is_let_in() -> None:
    alice, bob = group_of("alice", "bob")
    carol_is = identity("carol")
    bundle = bundle_of(carol_is)
    wish = propose_joining(bundle.key_package, carol_is, group_id=alice.group_id, epoch=alice.epoch)
    accept(wish, [alice, bob])
    staged = bob.stage_commit(CommitPlan(tree_in_welcome=True))
    everybody_follows(staged, bob, [alice])
    assert staged.welcome is not None
    hear_each_other([alice, bob, Group.join(staged.welcome, bundle, carol_is).group])


def test_nobody_asks_for_another() -> None:
    bundle = bundle_of(identity("carol"))
    with pytest.raises(UsageError):
        propose_joining(bundle.key_package, identity("mallory"), group_id=b"tea", epoch=1)


def test_who_comes_from_outside_finds_the_tree_in_the_group_info() -> None:
    alice, bob = group_of("alice", "bob")
    carol_is = identity("carol")
    staged = Group.join_externally(alice.group_info(with_tree=True), None, carol_is)
    for group in (alice, bob):
        group.merge(received(group, staged.message))
    hear_each_other([alice, bob, Group.from_staged(staged, carol_is)])
    with pytest.raises(ValidationError) as raised:
        Group.join_externally(alice.group_info(), None, carol_is)
    assert raised.value.rule == "tree-missing"


def test_who_comes_back_shows_that_it_was_there() -> None:
    """12.2: an external commit may carry pre-shared keys; a resumption key proves an earlier membership."""
    alice, bob, carol = group_of("alice", "bob", "carol")
    name = ResumptionPsk(ResumptionPSKUsage.APPLICATION, b"tea", bob.epoch)
    secret = bob.psk_source()(name)
    assert secret is not None
    everybody_follows(alice.stage_commit(CommitPlan(update=True)), alice, [carol])  # bob is lost
    staged = Group.join_externally(
        carol.group_info(), carol.tree_bytes(), bob.identity, remove=bob.own_leaf, psks={name: secret}
    )
    wrong = Group.join_externally(
        carol.group_info(), carol.tree_bytes(), bob.identity, remove=bob.own_leaf, psks={name: bytes(32)}
    )
    before = state_of(alice)
    with pytest.raises(SecretError) as raised:
        received(alice, wrong.message)
    assert raised.value.rule == "confirmation-tag"
    assert state_of(alice) == before
    for group in (alice, carol):
        group.merge(received(group, staged.message))
    hear_each_other([alice, carol, Group.from_staged(staged, bob.identity)])


def test_a_key_is_proposed_and_committed_by_another() -> None:
    alice, bob = group_of("alice", "bob")
    known = {ExternalPsk(b"of the house"): bytes(32)}.get
    accept(bob.propose_psk(ExternalPsk(b"of the house")), [alice, bob])
    staged = alice.stage_commit(CommitPlan(), psks=known)  # type: ignore[arg-type]
    with pytest.raises(MLSError):
        received(bob, staged.message)
    everybody_follows(staged, alice, [bob], psks=known)  # type: ignore[arg-type]
    hear_each_other([alice, bob])


def test_who_adds_looks_at_the_time() -> None:
    """7.3: a key package that is over is not sent, by value or by reference."""
    alice, bob = group_of("alice", "bob")
    package = bundle_of(identity("carol")).key_package
    late = 2**41
    with pytest.raises(ValidationError) as raised:
        alice.stage_commit(CommitPlan(add=(package,), now=late))
    assert raised.value.rule == "lifetime"
    accept(bob.propose_add(package), [alice, bob])
    assert alice.stage_commit(CommitPlan(now=late)).facts.proposals == ()
    assert len(alice.stage_commit(CommitPlan(now=1)).facts.added) == 1
