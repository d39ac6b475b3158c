"""M-16: the comparer sees every difference."""

from dataclasses import replace

import pytest

from securechat.mls.cipher_suite import SUITE_3
from securechat.mls.nodes import LeafIndex
from securechat.mls.proposals import Add
from tests.interop.agreement import Disagreement, View, check_agreement
from tests.interop.members import Ours, Psks
from tests.interop.world import check_places

SAME = View(epoch=7, authenticator=b"a", tree=b"t", context=b"c", exported=b"e")


def test_members_who_hold_the_same_agree() -> None:
    assert check_agreement({"alice": SAME, "bob": SAME, "carol": SAME}) == SAME


@pytest.mark.parametrize(
    "bent",
    [
        replace(SAME, epoch=8),
        replace(SAME, authenticator=b"b"),
        replace(SAME, tree=b""),
        replace(SAME, context=b"d"),
        replace(SAME, exported=b"f"),
    ],
    ids=["epoch", "authenticator", "tree", "context", "exported"],
)
def test_one_bent_field_is_named(bent: View, request: pytest.FixtureRequest) -> None:
    with pytest.raises(Disagreement, match=f"alice and carol differ in {request.node.callspec.id}:"):
        check_agreement({"alice": SAME, "bob": SAME, "carol": bent})


def pair() -> tuple[Ours, Ours]:
    psks: Psks = {}
    alice, bob = Ours("alice", SUITE_3, psks), Ours("bob", SUITE_3, psks)
    alice.create(b"pair", ())
    offer = alice.stage([Add(bob.key_package())])
    alice.merge()
    assert offer.welcome is not None
    bob.join(offer.welcome, offer.tree, None)
    return alice, bob


def test_a_member_who_missed_a_commit_is_seen() -> None:
    alice, bob = pair()
    assert check_agreement({"alice": alice.view(), "bob": bob.view()}).epoch == 1

    offer = alice.stage([])
    alice.merge()

    with pytest.raises(Disagreement, match="differ in epoch: 2, 1"):
        check_agreement({"alice": alice.view(), "bob": bob.view()})
    bob.receive(offer.message)
    check_agreement({"alice": alice.view(), "bob": bob.view()})


def test_members_who_took_different_commits_are_seen() -> None:
    alice, bob = pair()
    for member in (alice, bob):
        member.stage([])
        member.merge()

    with pytest.raises(Disagreement, match="differ in authenticator"):
        check_agreement({"alice": alice.view(), "bob": bob.view()})


def test_a_member_at_another_leaf_is_seen() -> None:
    alice, bob = pair()
    check_places(alice.group.public.tree, {"alice": LeafIndex(0), "bob": bob.own_leaf()})

    for leaves in ({"alice": LeafIndex(1), "bob": LeafIndex(0)}, {"alice": LeafIndex(0)}):
        with pytest.raises(Disagreement, match="the tree holds"):
            check_places(alice.group.public.tree, leaves)
