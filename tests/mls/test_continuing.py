"""Groups that go on as others, both sides of it (RFC 9420 sections 11.2 and 11.3)."""

import pytest

from securechat.mls.cipher_suite import SUITES, CipherSuite
from securechat.mls.continuing import Continuation, branch, reinitialise
from securechat.mls.credential import BasicCredential
from securechat.mls.errors import RuleError, UsageError, ValidationError
from securechat.mls.extensions import Extension
from securechat.mls.group import Group
from securechat.mls.key_package import Identity, KeyPackageBundle
from securechat.mls.proposals import ReInit
from securechat.mls.psk import ResumptionPsk, ResumptionPSKUsage
from securechat.mls.staging import CommitPlan
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

PSK_REINIT = ResumptionPSKUsage.REINIT


def closed(*names: str, suite: int = 3, extension: bytes = b"new") -> list[Group]:
    """A group that the last of them has asked to reinitialise, and the first has closed."""
    groups = group_of(*names)
    asked = ReInit(b"new tea", 1, suite, (Extension(0xF001, extension),))
    accept(groups[-1].propose(asked), groups)
    everybody_follows(groups[0].stage_commit(CommitPlan()), groups[0], groups[1:])
    return [restarted(group) for group in groups]


def bundles_of(groups: list[Group]) -> list[KeyPackageBundle]:
    return [bundle_of(group.identity) for group in groups]


def entered(
    begun: Continuation,
    others: list[Group],
    bundles: list[KeyPackageBundle],
    who: list[Identity] | None = None,
) -> list[Group]:
    """Let the others take the Welcome."""
    begun.group.merge(begun.staged)
    assert begun.staged.welcome is not None
    tree = begun.group.tree_bytes()
    people = who or [group.identity for group in others]
    return [begun.group] + [
        Group.join(begun.staged.welcome, bundle, person, tree=tree, origin=old).group
        for old, bundle, person in zip(others, bundles, people, strict=True)
    ]


def refused_by(joiner: Group, begun: Continuation, bundle: KeyPackageBundle) -> RuleError:
    before = state_of(joiner)
    with pytest.raises(RuleError) as raised:
        entered(begun, [joiner], [bundle])
    assert state_of(joiner) == before
    return raised.value


def test_anybody_begins_the_group_that_a_reinit_asked_for() -> None:
    """The one who asked, the one who committed and the one who begins are three people (11.2)."""
    alice, bob, carol = closed("alice", "bob", "carol")
    bundles = bundles_of([alice, carol])
    begun = reinitialise(bob, [bundle.key_package for bundle in bundles])
    groups = entered(begun, [alice, carol], bundles)
    assert {group.group_id for group in groups} == {b"new tea"}
    assert groups[0].state.context.extensions == (Extension(0xF001, b"new"),)
    hear_each_other(groups)


@pytest.mark.parametrize("suite", [SUITES[5], SUITES[7]], ids=lambda suite: suite.name)
def test_a_reinit_moves_everybody_to_another_suite(suite: CipherSuite) -> None:
    alice, bob = closed("alice", "bob", suite=suite.number)
    new_alice, new_bob = identity("alice", suite), identity("bob", suite)
    bundle = bundle_of(new_bob, suite)
    begun = reinitialise(alice, [bundle.key_package], identity=new_alice)
    groups = entered(begun, [bob], [bundle], [new_bob])
    assert {group.suite for group in groups} == {suite}
    hear_each_other(groups)


def test_a_group_that_was_not_closed_is_not_begun_anew() -> None:
    alice, bob = group_of("alice", "bob")
    with pytest.raises(UsageError):
        reinitialise(alice, [bundle_of(bob.identity).key_package])


def test_nobody_is_left_behind_by_a_reinit() -> None:
    """12.4.1 for who begins, 12.4.3.1 for who joins."""
    alice, bob, _ = closed("alice", "bob", "carol")
    bundle = bundle_of(bob.identity)
    with pytest.raises(UsageError):
        reinitialise(alice, [bundle.key_package])
    begun = reinitialise(alice, [bundle.key_package], client_of=lambda _leaf: "anybody")
    error = refused_by(bob, begun, bundle)
    assert (type(error), error.rule) == (ValidationError, "reinit-members")


def test_a_key_of_before_the_reinit_opens_nothing() -> None:
    """11.2: who was removed before a group was closed holds older keys, and sees the ReInit in the clear."""
    alice, bob, mallory = group_of("alice", "bob", "mallory")
    old = mallory.psk_source()
    epoch = mallory.epoch
    everybody_follows(alice.stage_commit(CommitPlan(remove=(mallory.own_leaf,))), alice, [bob])
    asked = ReInit(b"new tea", 1, 3)
    everybody_follows(alice.stage_commit(CommitPlan(reinit=asked)), alice, [bob])
    like_alice = Identity(
        alice.identity.credential, mallory.identity.signature_key, alice.identity.capabilities
    )
    bundle = bundle_of(bob.identity)
    fake = Group.create(like_alice, suite=alice.suite, group_id=b"new tea")
    plan = CommitPlan(add=(bundle.key_package,), psks=(ResumptionPsk(PSK_REINIT, b"tea", epoch),))
    error = refused_by(bob, Continuation(fake, fake.stage_commit(plan, psks=old)), bundle)
    assert (type(error), error.rule) == (ValidationError, "reinit-epoch")


def test_a_group_of_the_right_name_alone_continues_nothing() -> None:
    """12.4.2: after a ReInit a member waits for a Welcome that shows where it comes from."""
    _, bob = closed("alice", "bob")
    mallory = identity("mallory")
    bundle = bundle_of(bob.identity)
    fake = Group.create(
        mallory, suite=bob.suite, group_id=b"new tea", extensions=(Extension(0xF001, b"new"),)
    )
    staged = fake.stage_commit(CommitPlan(add=(bundle.key_package,)))
    error = refused_by(bob, Continuation(fake, staged), bundle)
    assert (type(error), error.rule) == (ValidationError, "origin-unlinked")


def test_some_branch_off_and_the_group_goes_on() -> None:
    alice, bob, carol = group_of("alice", "bob", "carol")
    bundle = bundle_of(carol.identity)
    begun = branch(bob, [bundle.key_package], group_id=b"tea for two")
    hear_each_other(entered(begun, [carol], [bundle]))
    hear_each_other([alice, bob, carol])


def test_a_stranger_does_not_come_into_a_branch() -> None:
    """11.3: each leaf of a branch matches one of the old group."""
    alice, bob = group_of("alice", "bob")
    bundle = bundle_of(bob.identity)
    packages = [bundle.key_package, bundle_of(identity("mallory")).key_package]
    with pytest.raises(UsageError):
        branch(alice, packages, group_id=b"three")
    begun = branch(alice, packages, group_id=b"three", client_of=lambda _leaf: "anybody")
    error = refused_by(bob, begun, bundle)
    assert (type(error), error.rule) == (ValidationError, "branch-members")


def test_what_makes_two_leaves_one_client_is_the_applications() -> None:
    alice, bob = closed("alice", "bob")
    tablet = Identity(BasicCredential(b"bob/tablet"), identity("x").signature_key, bob.identity.capabilities)
    bundle = bundle_of(tablet)

    def by_name(leaf: object) -> bytes:
        credential = getattr(leaf, "credential", None)
        assert isinstance(credential, BasicCredential)
        return credential.identity.split(b"/")[0]

    begun = reinitialise(alice, [bundle.key_package], client_of=by_name)
    begun.group.merge(begun.staged)
    assert begun.staged.welcome is not None
    tree = begun.group.tree_bytes()
    joined = Group.join(begun.staged.welcome, bundle, tablet, tree=tree, origin=bob, client_of=by_name)
    hear_each_other([begun.group, joined.group])
