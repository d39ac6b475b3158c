"""What ts-mls does against RFC 9420 is really so, and our library refuses it by name (M-02, M-16).

A test here that fails says that ts-mls has mended it: then the script may do more.
"""

from collections.abc import Sequence
from random import Random

import pytest

from securechat.mls.cipher_suite import SUITE_3
from securechat.mls.errors import SecretError, ValidationError
from securechat.mls.nodes import LeafIndex
from securechat.mls.proposals import GroupContextExtensions, PreSharedKeyProposal, ProposalValue, Remove
from securechat.mls.psk import ResumptionPsk, ResumptionPSKUsage, fresh_psk
from tests.interop import quirks
from tests.interop.agreement import check_agreement
from tests.interop.members import Member, Ours
from tests.interop.node import INSTALL_SECONDS
from tests.interop.peer import Peer, PeerRefused
from tests.interop.steps import private_extension
from tests.interop.world import World

pytestmark = pytest.mark.timeout(60 + 2 * INSTALL_SECONDS)  # npm may take its time before the first begins


def group_of(peer: Peer, *kinds: str) -> World:
    """Return a group with members of these kinds, ``o`` ours and ``t`` theirs, at leaves 0, 1, 2 ..."""
    world = World(peer, SUITE_3, Random(1))
    world.begin(b"quirks", ours_first=kinds[0] == "o")
    first = world.members[0]
    assert ["o" if member.ours else "t" for member in world.members] == list(kinds[:2])
    for kind in kinds[2:]:
        assert world.commit(first, [world.invite(ours=kind == "o")])
    return world


def renew(world: World, *members: Member) -> None:
    for member in members:
        assert world.commit(member, [])


def removals(*leaves: int) -> list[ProposalValue]:
    return [Remove(LeafIndex(leaf)) for leaf in leaves]


def refused_by_us(world: World, committer: Member, values: Sequence[ProposalValue]) -> str:
    offer = committer.stage(values, private=False, tree_inside=False)
    committer.drop()
    with pytest.raises(ValidationError) as caught:
        world.witness.look(offer.message)
    return caught.value.rule


def test_ts_mls_renews_extensions_without_a_path(peer: Peer) -> None:
    world = group_of(peer, "t", "o")
    value = GroupContextExtensions(private_extension(world))

    assert not quirks.commits_soundly(peer.major, [value])
    assert refused_by_us(world, world.members[0], [value]) == "path-required"


def test_ts_mls_2_removes_one_member_without_a_path(peer: Peer) -> None:
    world = group_of(peer, "t", "o", "o")
    value = Remove(LeafIndex(2))

    if quirks.commits_soundly(peer.major, [value]):
        assert peer.major == "1"
        assert world.commit(world.members[0], [value])
    else:
        assert refused_by_us(world, world.members[0], [value]) == "path-required"


def test_ts_mls_does_not_join_every_valid_tree(peer: Peer) -> None:
    world = group_of(peer, "o", "t", "o", "o", "o", "o", "o")
    ours = world.ours()
    renew(world, *world.members)
    assert world.commit(ours[0], [Remove(LeafIndex(4))])
    renew(world, world.at(LeafIndex(5)), world.at(LeafIndex(6)))
    assert world.commit(ours[0], [world.invite(ours=True)])
    renew(world, ours[0])
    assert not quirks.reads_tree(world.tree)

    theirs, mine = world.newcomer(ours=False), world.newcomer(ours=True)
    info = ours[0].group_info(tree_inside=True)
    assert isinstance(mine, Ours)
    mine.join_externally(info, None, None)  # the tree is valid
    with pytest.raises(PeerRefused, match="must list leaf node in its unmerged_leaves"):
        theirs.join_externally(info, None, None)


def test_ts_mls_goes_too_far_where_half_of_the_tree_is_empty(peer: Peer) -> None:
    world = group_of(peer, "o", "t", "o", "o", "o", "o", "t")
    committer, ours, theirs = (world.at(LeafIndex(leaf)) for leaf in (4, 5, 6))

    offer = committer.stage(removals(0, 1, 2, 3), private=False, tree_inside=False)
    committer.merge()
    ours.receive(offer.message)

    check_agreement({"committer": committer.view(), "ours": ours.view()})
    assert isinstance(ours, Ours)
    assert not quirks.derives_commit_secret(ours.group.public.tree)
    with pytest.raises(PeerRefused, match="confirmation tag"):
        theirs.receive(offer.message)


def test_ts_mls_encrypts_a_path_for_the_old_extensions(peer: Peer) -> None:
    world = group_of(peer, "t", "o", "o", "o")
    values = [*removals(2, 3), GroupContextExtensions(private_extension(world))]

    assert not quirks.commits_soundly(peer.major, values)
    offer = world.members[0].stage(values, private=False, tree_inside=False)
    with pytest.raises(SecretError) as caught:
        world.witness.receive(offer.message)
    assert caught.value.rule == "hpke-open"


def test_ts_mls_2_encrypts_a_path_to_the_leaf_that_it_removes(peer: Peer) -> None:
    """It counts the newcomer in, and takes the key that stood at its leaf before: the removed member's."""
    world = group_of(peer, "t", "o", "o", "o")
    values = [*removals(2, 3), world.invite(ours=True)]

    if quirks.commits_soundly(peer.major, values):
        assert world.commit(world.members[0], values)
    else:
        assert refused_by_us(world, world.members[0], values) == "path-ciphertexts"


def test_ts_mls_2_does_not_know_its_own_resumption_keys(peer: Peer) -> None:
    world = group_of(peer, "t", "o")
    name = ResumptionPsk(ResumptionPSKUsage.APPLICATION, world.witness.group.group_id, world.epoch)
    value = PreSharedKeyProposal(fresh_psk(SUITE_3, name))

    if quirks.commits_soundly(peer.major, [value]):
        assert world.commit(world.members[0], [value])
    else:
        with pytest.raises(PeerRefused, match="stage"):
            world.members[0].stage([value], private=False, tree_inside=False)
    assert world.commit(world.members[1], [value])  # and follows one of ours
