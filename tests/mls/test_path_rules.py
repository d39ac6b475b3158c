"""Each rule about the path of a commit (RFC 9420 sections 7.3, 7.6, 7.9.2, 12.4.2), broken once."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from securechat.mls.commit import Commit, UpdatePath, UpdatePathNode
from securechat.mls.extensions import Extension
from securechat.mls.framing import Member, NewMemberCommit
from securechat.mls.hpke import HPKECiphertext
from securechat.mls.nodes import FromCommit, FromUpdate, LeafIndex, sign_leaf_node
from securechat.mls.proposals import ExternalInit, ProposalValue, Remove
from tests.mls.public_stage import CAPABILITIES, Actor, Stage, identity, key_package, stage_of
from tests.mls.refusals import refused

INIT = ExternalInit(bytes([9]) + bytes(31))


@pytest.fixture
def stage() -> Stage:
    """Five members, of whom 0 and 3 have committed."""
    stage = stage_of(5)
    stage.commit(stage.actors[3])
    return stage


def verify(stage: Stage, actor: Actor, path: UpdatePath) -> None:
    stage.group.verify_commit(stage.forged(actor, [], path), [])


def with_leaf(stage: Stage, actor: Actor, path: UpdatePath, **changes: Any) -> UpdatePath:
    """The path with its leaf changed, and signed again."""
    leaf = msgspec.structs.replace(path.leaf_node, **changes)
    if "signature" not in changes:
        leaf = sign_leaf_node(
            leaf,
            actor.identity.signature_key,
            group_id=stage.group.context.group_id,
            leaf_index=actor.leaf,
        )
    return UpdatePath(leaf, path.nodes)


BAD_LEAVES: dict[str, dict[str, Any]] = {
    "leaf-source": {"origin": FromUpdate()},
    "leaf-signature": {"signature": bytes(64)},
    "hpke-public-key": {"encryption_key": bytes(31)},
    "leaf-extension-unlisted": {"extensions": (Extension(0xF002, b""),)},
    "leaf-credential-unlisted": {"capabilities": msgspec.structs.replace(CAPABILITIES, credentials=())},
    "path-parent-hash": {"origin": FromCommit(bytes(32))},
}


@pytest.mark.parametrize("rule", BAD_LEAVES)
def test_the_leaf_of_a_path_keeps_the_rules(stage: Stage, rule: str) -> None:
    actor = stage.actors[1]
    path = with_leaf(stage, actor, stage.path(actor, []), **BAD_LEAVES[rule])
    with refused(rule):
        verify(stage, actor, path)


def test_a_path_brings_a_new_leaf_key(stage: Stage) -> None:
    actor = stage.actors[1]
    old = stage.group.tree.member(actor.leaf).encryption_key
    path = with_leaf(stage, actor, stage.path(actor, []), encryption_key=old)
    with refused("encryption-key-kept"):
        verify(stage, actor, path)


def test_a_path_may_keep_the_signature_key(stage: Stage) -> None:
    before = stage.group.tree.member(LeafIndex(1))
    facts = stage.commit(stage.actors[1]).facts
    assert facts.committer_leaf.signature_key == before.signature_key
    assert facts.committer_leaf.signature != before.signature


def test_a_path_may_change_the_signature_key(stage: Stage) -> None:
    actor = stage.actors[1]
    old, actor.identity = actor.identity, identity("member 1")
    path = stage.path(actor, [])
    facts = stage.process(stage.message(Member(actor.leaf), Commit((), path), old.signature_key)).facts
    assert facts.committer_leaf.signature_key == actor.identity.signature_key.public


def test_a_path_does_not_take_a_neighbours_signature_key(stage: Stage) -> None:
    actor, neighbour = stage.actors[1], stage.actors[2]
    own = actor.identity
    actor.identity = neighbour.identity
    path = stage.path(actor, [])
    actor.identity = own
    with refused("duplicate-signature-key"):
        verify(stage, actor, path)


@pytest.mark.parametrize("where", ["leaf", "parent"])
def test_the_keys_of_a_path_are_new_to_the_tree(stage: Stage, where: str) -> None:
    actor = stage.actors[1]
    known = {
        "leaf": stage.group.tree.member(LeafIndex(4)).encryption_key,
        "parent": next(node for node in stage.group.tree.nodes[1::2] if node is not None).encryption_key,
    }
    first, *others = (path := stage.path(actor, [])).nodes
    bent = UpdatePathNode(known[where], first.encrypted_path_secret)
    with refused("path-key-known"):
        verify(stage, actor, UpdatePath(path.leaf_node, (bent, *others)))


def test_the_keys_of_a_path_are_different(stage: Stage) -> None:
    actor = stage.actors[1]
    first, second, *others = (path := stage.path(actor, [])).nodes
    bent = UpdatePathNode(first.encryption_key, second.encrypted_path_secret)
    with refused("path-key-known"):
        verify(stage, actor, UpdatePath(path.leaf_node, (first, bent, *others)))


def test_the_keys_of_a_path_are_keys(stage: Stage) -> None:
    actor = stage.actors[1]
    first, *others = (path := stage.path(actor, [])).nodes
    bent = UpdatePathNode(b"no key", first.encrypted_path_secret)
    with refused("hpke-public-key"):
        verify(stage, actor, UpdatePath(path.leaf_node, (bent, *others)))


def test_another_key_on_the_path_breaks_the_parent_hash(stage: Stage) -> None:
    actor = stage.actors[1]
    *others, last = (path := stage.path(actor, [])).nodes
    bent = UpdatePathNode(identity("x").signature_key.public, last.encrypted_path_secret)
    with refused("path-parent-hash"):
        verify(stage, actor, UpdatePath(path.leaf_node, (*others, bent)))


Nodes = tuple[UpdatePathNode, ...]


def one_more_ciphertext(nodes: Nodes) -> Nodes:
    first, *others = nodes
    more = (*first.encrypted_path_secret, HPKECiphertext(bytes(32), bytes(48)))
    return (UpdatePathNode(first.encryption_key, more), *others)


def one_ciphertext_less(nodes: Nodes) -> Nodes:
    first, *others = nodes
    return (UpdatePathNode(first.encryption_key, first.encrypted_path_secret[1:]), *others)


SHAPES: dict[str, tuple[str, Callable[[Nodes], Nodes]]] = {
    "no node": ("path-length", lambda _: ()),
    "one less": ("path-length", lambda nodes: nodes[1:]),
    "one more": ("path-length", lambda nodes: (*nodes, UpdatePathNode(bytes(range(32)), ()))),
    "ciphertext more": ("path-ciphertexts", one_more_ciphertext),
    "ciphertext less": ("path-ciphertexts", one_ciphertext_less),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_path_has_a_node_and_a_ciphertext_for_each_place(stage: Stage, shape: str) -> None:
    rule, bend = SHAPES[shape]
    actor = stage.actors[1]
    path = stage.path(actor, [])
    with refused(rule):
        verify(stage, actor, UpdatePath(path.leaf_node, bend(path.nodes)))


def test_nothing_is_encrypted_to_who_is_added_by_the_same_commit(stage: Stage) -> None:
    people = [identity(name) for name in ("erin", "frank", "grace")]
    verified = stage.commit(
        stage.actors[0], newcomers=[(person, key_package(who=person)) for person in people]
    )
    assert verified.commit.path is not None
    sealed = [len(node.encrypted_path_secret) for node in verified.commit.path.nodes]
    assert sealed == [1, 1, 1]  # leaf 1; the node above 2 and 3; leaf 4 without its new neighbours


def external(stage: Stage, replaced: LeafIndex | None, **changes: Any) -> bytes:
    """An external commit whose path leaf is changed and signed again."""
    who = identity("outsider")
    values: list[ProposalValue] = [INIT] if replaced is None else [INIT, Remove(replaced)]
    message, private = stage.external_message(who, values)
    path = stage.group.verify_commit(message, []).commit.path
    assert path is not None
    bent = with_leaf(stage, Actor(who, private), path, **changes)
    return stage.message(NewMemberCommit(), Commit(tuple(values), bent), who.signature_key)


@pytest.mark.parametrize("rule", BAD_LEAVES)
def test_the_leaf_of_a_joiner_keeps_the_rules(stage: Stage, rule: str) -> None:
    message = external(stage, None, **BAD_LEAVES[rule])
    with refused(rule):
        stage.group.verify_commit(message, [])


def test_a_joiner_that_replaces_a_leaf_brings_a_new_key(stage: Stage) -> None:
    old = stage.group.tree.member(LeafIndex(2)).encryption_key
    message = external(stage, LeafIndex(2), encryption_key=old)
    with refused("encryption-key-kept"):
        stage.group.verify_commit(message, [])


def test_a_joiner_has_its_own_signature_key(stage: Stage) -> None:
    twin = stage.actors[2].identity
    with refused("duplicate-signature-key"):
        stage.join_externally(twin)
