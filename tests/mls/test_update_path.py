"""Opening a path: what only a member can find wrong (RFC 9420 sections 7.5 and 12.4.3.1)."""

import msgspec
import pytest

from securechat.mls.cipher_suite import SUITE_3
from securechat.mls.codec import encode
from securechat.mls.commit import UpdatePath, UpdatePathNode
from securechat.mls.errors import DecodeError, SecretError
from securechat.mls.hpke import HPKECiphertext
from securechat.mls.kem import KeyPair
from securechat.mls.nodes import LeafIndex, NodeIndex
from securechat.mls.public_group import VerifiedCommit
from securechat.mls.tree_math import node_of
from securechat.mls.update_path import OpenedPath, TreePrivate, open_update_path, private_from_welcome
from tests.mls.public_stage import Stage, identity, key_package, leaf_key, stage_of


def verified_update(stage: Stage) -> VerifiedCommit:
    """A commit of member 0 that the others have not processed yet."""
    content = stage.commit_content(stage.actors[0])
    return stage.group.verify_commit(stage.forged(stage.actors[0], (), content.path), [])


def opened(verified: VerifiedCommit, private: TreePrivate, *, path: UpdatePath | None = None) -> OpenedPath:
    given = path or verified.commit.path
    assert given is not None
    return open_update_path(
        verified.prepared.applied.tree,
        private,
        verified.facts.committer,
        given,
        context=verified.provisional_context,
    )


def bent_path(verified: VerifiedCommit, place: int, node: UpdatePathNode) -> UpdatePath:
    path = verified.commit.path
    assert path is not None
    nodes = list(path.nodes)
    nodes[place] = node
    return UpdatePath(path.leaf_node, tuple(nodes))


def test_a_secret_that_gives_another_key_is_refused() -> None:
    stage = stage_of(4)
    verified = verified_update(stage)
    first = verified.facts.new_tree.parent(NodeIndex(1))
    assert first is not None
    member = verified.facts.old_tree.member(LeafIndex(1))
    forged = SUITE_3.encrypt_with_label(
        member.encryption_key, "UpdatePathNode", encode(verified.provisional_context), bytes(32)
    )
    path = bent_path(verified, 0, UpdatePathNode(first.encryption_key, (forged,)))
    with pytest.raises(SecretError) as caught:
        opened(verified, stage.actors[1].private, path=path)
    assert caught.value.rule == "path-secret-key"


def test_a_wrong_key_above_is_found_by_who_is_sent_a_secret_below() -> None:
    stage = stage_of(4)
    verified = verified_update(stage)
    path = verified.commit.path
    assert path is not None
    wrong = UpdatePathNode(SUITE_3.kem.generate().public, path.nodes[1].encrypted_path_secret)
    with pytest.raises(SecretError) as caught:
        opened(verified, stage.actors[1].private, path=bent_path(verified, 1, wrong))
    assert caught.value.rule == "path-secret-key"


def test_a_ciphertext_that_does_not_open_is_refused() -> None:
    stage = stage_of(4)
    verified = verified_update(stage)
    path = verified.commit.path
    assert path is not None
    sealed = path.nodes[0].encrypted_path_secret[0]
    flipped = HPKECiphertext(sealed.kem_output, sealed.ciphertext[:-1] + bytes([sealed.ciphertext[-1] ^ 1]))
    node = UpdatePathNode(path.nodes[0].encryption_key, (flipped,))
    with pytest.raises(SecretError) as caught:
        opened(verified, stage.actors[1].private, path=bent_path(verified, 0, node))
    assert caught.value.rule == "hpke-open"


def test_a_path_is_bound_to_its_context() -> None:
    stage = stage_of(4)
    verified = verified_update(stage)
    path = verified.commit.path
    assert path is not None
    context = msgspec.structs.replace(verified.provisional_context, epoch=7)
    with pytest.raises(SecretError):
        open_update_path(
            verified.prepared.applied.tree,
            stage.actors[1].private,
            verified.facts.committer,
            path,
            context=context,
        )


def test_who_holds_no_key_of_the_path_cannot_open_it() -> None:
    stage = stage_of(4)
    verified = verified_update(stage)
    for private in (TreePrivate(LeafIndex(1), {}), TreePrivate.of(LeafIndex(1), SUITE_3.kem.generate())):
        with pytest.raises(SecretError) as caught:
            opened(verified, private)
        assert caught.value.rule == "path-no-key"


def test_the_committer_does_not_open_its_own_path() -> None:
    stage = stage_of(4)
    verified = verified_update(stage)
    with pytest.raises(SecretError) as caught:
        opened(verified, stage.actors[0].private)
    assert caught.value.rule == "path-no-key"


def test_an_opened_path_leaves_no_outdated_key() -> None:
    stage = stage_of(8)
    for index in range(8):
        stage.commit(stage.actors[index])
    before = stage.actors[1].private
    verified = verified_update(stage)
    after = opened(verified, before).private
    assert after.keys.keys() == {2, 1, 3, 7}
    assert after.keys[NodeIndex(2)] == before.keys[NodeIndex(2)]
    assert all(after.keys[node] != before.keys[node] for node in map(NodeIndex, (1, 3, 7)))


def test_keys_of_blanked_nodes_are_dropped() -> None:
    stage = stage_of(4)
    stage.commit(stage.actors[1])
    stage.propose_update(stage.actors[1])
    stage.commit(stage.actors[2], references=list(stage.pending))
    assert NodeIndex(1) not in stage.actors[0].private.keys


def test_the_key_pairs_come_back_from_bytes_and_their_repr_hides_them() -> None:
    stage = stage_of(4)
    private = stage.actors[1].private
    assert TreePrivate.from_bytes(private.to_bytes()) == private
    shown = repr(private)
    assert all(repr(pair.private) not in shown for pair in private.keys.values())


@pytest.mark.parametrize(
    "bend", [lambda data: b"\x02" + data[1:], lambda data: data[:-1], lambda data: data + b"\x00"]
)
def test_broken_key_bytes_are_refused(bend: object) -> None:
    data = stage_of(2).actors[1].private.to_bytes()
    assert callable(bend)
    with pytest.raises(DecodeError):
        TreePrivate.from_bytes(bend(data))


# -- 12.4.3.1 -------------------------------------------------------------------


def welcomed(path_secret: bytes | None = None, *, signer: int = 0) -> TreePrivate:
    """What dave makes of his Welcome, with the right path secret or another."""
    stage = stage_of(3)
    dave = identity("dave")
    bundle = key_package(who=dave)
    verified = stage.commit(stage.actors[0], newcomers=[(dave, bundle)])
    own = TreePrivate.of(verified.facts.added[0].leaf_index, leaf_key(bundle))
    secret = path_secret or stage.created.secret_for(own.leaf_index)
    return private_from_welcome(stage.group.tree, own, signer=LeafIndex(signer), path_secret=secret)


def test_a_newcomer_gets_the_keys_above_it_that_it_shares_with_the_committer() -> None:
    assert welcomed().keys.keys() == {node_of(LeafIndex(3)), 3}


@pytest.mark.parametrize("signer", [1, 2, 3])
def test_a_newcomer_refuses_a_secret_of_another_committer(signer: int) -> None:
    with pytest.raises(SecretError) as caught:
        welcomed(bytes(32), signer=signer)
    assert caught.value.rule == "path-secret-key"


def test_a_key_pair_hides_its_private_half() -> None:
    assert "secret" not in repr(KeyPair(b"secret", b"public"))
