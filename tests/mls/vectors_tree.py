"""The working group's vectors about trees, one function per file format.

Each takes one case as the JSON has it and asserts; the conformance runner and pytest both call them.
"""

from collections.abc import Callable
from typing import Any

from securechat.mls import tree_math
from securechat.mls.cipher_suite import cipher_suite
from securechat.mls.codec import decode
from securechat.mls.commit import UpdatePath
from securechat.mls.group_context import GroupContext
from securechat.mls.kem import KeyPair
from securechat.mls.key_package import Identity
from securechat.mls.nodes import Epoch, LeafIndex, NodeIndex, ProtocolVersion, leaf_signature_holds
from securechat.mls.proposals import PROPOSAL, Add, Remove, Update
from securechat.mls.ratchet_tree import RatchetTree, TreeDraft
from securechat.mls.tree_validation import check_parents
from securechat.mls.update_path import (
    TreePrivate,
    create_update_path,
    merge_update_path,
    open_update_path,
    path_key_pair,
)


def check_tree_math(case: dict[str, Any]) -> None:
    leaves: int = case["n_leaves"]
    nodes = [NodeIndex(index) for index in range(tree_math.node_count(leaves))]
    assert len(nodes) == case["n_nodes"]
    assert tree_math.root(leaves) == case["root"]
    assert [_or_none(tree_math.left, node) for node in nodes] == case["left"]
    assert [_or_none(tree_math.right, node) for node in nodes] == case["right"]
    assert [_or_none(tree_math.parent, node, leaves) for node in nodes] == case["parent"]
    assert [_or_none(tree_math.sibling, node, leaves) for node in nodes] == case["sibling"]


def check_tree_validation(case: dict[str, Any]) -> None:
    data = bytes.fromhex(case["tree"])
    tree = RatchetTree.from_bytes(cipher_suite(case["cipher_suite"]), data)
    assert tree.to_bytes() == data
    indices = [NodeIndex(index) for index in range(len(tree.nodes))]
    assert [tree.resolution(index) for index in indices] == case["resolutions"]
    assert [tree.node_hash(index).hex() for index in indices] == case["tree_hashes"]
    check_parents(tree)
    for index, leaf in tree.leaves():
        group_id = bytes.fromhex(case["group_id"])
        assert leaf_signature_holds(leaf, tree.suite, group_id=group_id, leaf_index=LeafIndex(index))


def check_tree_operations(case: dict[str, Any]) -> None:
    suite = cipher_suite(case["cipher_suite"])
    tree = RatchetTree.from_bytes(suite, bytes.fromhex(case["tree_before"]))
    assert tree.tree_hash().hex() == case["tree_hash_before"]
    draft = TreeDraft(tree)
    match PROPOSAL.decode(bytes.fromhex(case["proposal"])):
        case Add(key_package):
            draft.add(key_package.leaf_node)
        case Update(leaf_node):
            draft.update(LeafIndex(case["proposal_sender"]), leaf_node)
        case Remove(removed):
            draft.remove(removed)
        case other:
            raise AssertionError(f"{type(other).__name__} does not change a tree")
    after = draft.freeze()
    assert after.to_bytes().hex() == case["tree_after"]
    assert after.tree_hash().hex() == case["tree_hash_after"]


def check_treekem(case: dict[str, Any]) -> None:
    suite = cipher_suite(case["cipher_suite"])
    tree = RatchetTree.from_bytes(suite, bytes.fromhex(case["ratchet_tree"]))
    privates = {entry["index"]: _private_state(tree, entry) for entry in case["leaves_private"]}
    signers = {entry["index"]: bytes.fromhex(entry["signature_priv"]) for entry in case["leaves_private"]}
    for update in case["update_paths"]:
        _check_given_path(case, tree, privates, update)
        _check_own_path(case, tree, privates, update["sender"], signers[update["sender"]])


def _private_state(tree: RatchetTree, entry: dict[str, Any]) -> TreePrivate:
    private = bytes.fromhex(entry["encryption_priv"])
    leaf_key = KeyPair(private, tree.suite.kem.public_key(private))
    own = TreePrivate.of(LeafIndex(entry["index"]), leaf_key)
    keys = {}
    for secret in entry["path_secrets"]:
        pair = path_key_pair(tree.suite, bytes.fromhex(secret["path_secret"]))
        keys[NodeIndex(secret["node"])] = pair
    own = own.with_keys(keys)
    assert own.within(tree) == own
    return TreePrivate.from_bytes(own.to_bytes())


def _context(case: dict[str, Any], tree: RatchetTree) -> GroupContext:
    return GroupContext(
        version=ProtocolVersion.MLS10,
        cipher_suite=case["cipher_suite"],
        group_id=bytes.fromhex(case["group_id"]),
        epoch=Epoch(case["epoch"]),
        tree_hash=tree.tree_hash(),
        confirmed_transcript_hash=bytes.fromhex(case["confirmed_transcript_hash"]),
    )


def _check_given_path(
    case: dict[str, Any],
    tree: RatchetTree,
    privates: dict[int, TreePrivate],
    update: dict[str, Any],
) -> None:
    sender = LeafIndex(update["sender"])
    path = decode(UpdatePath, bytes.fromhex(update["update_path"]))
    merged = merge_update_path(tree, sender, path)
    assert merged.tree_hash().hex() == update["tree_hash_after"]
    check_parents(merged)
    for index, private in privates.items():
        if index == sender:
            continue
        opened = open_update_path(tree, private, sender, path, context=_context(case, merged))
        assert opened.commit_secret.hex() == update["commit_secret"]
        secret = bytes.fromhex(update["path_secrets"][index])
        node = tree_math.common_ancestor(LeafIndex(index), sender)
        assert opened.private.keys[node] == path_key_pair(tree.suite, secret)
        assert opened.private.within(merged) == opened.private


def _check_own_path(
    case: dict[str, Any],
    tree: RatchetTree,
    privates: dict[int, TreePrivate],
    index: int,
    signer: bytes,
) -> None:
    sender = LeafIndex(index)
    leaf = tree.member(sender)
    key = tree.suite.signature.load(signer)
    identity = Identity(leaf.credential, key, leaf.capabilities, leaf.extensions)
    created = create_update_path(tree, sender, identity=identity, context=_context(case, tree))
    assert merge_update_path(tree, sender, created.update_path) == created.tree
    assert created.context == _context(case, created.tree)
    opening = {_opens_with(tree, private, sender): private for at, private in privates.items() if at != index}
    for private in opening.values():  # the others have one of these keys too, and open the same ciphertext
        opened = open_update_path(tree, private, sender, created.update_path, context=created.context)
        assert opened.commit_secret == created.commit_secret


def _opens_with(tree: RatchetTree, private: TreePrivate, sender: LeafIndex) -> NodeIndex:
    """Return the node whose key a member opens a path of that sender with."""
    beside = next(
        child
        for _, child in tree.filtered_direct_path(sender)
        if tree_math.is_below(private.leaf_index, child)
    )
    return next(index for index in tree.resolution(beside) if index in private.keys)


def _or_none(function: Callable[..., NodeIndex], *arguments: int) -> NodeIndex | None:
    try:
        return function(*arguments)
    except ValueError:
        return None
