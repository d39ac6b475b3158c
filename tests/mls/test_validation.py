"""Each rule of RFC 9420 sections 7.3, 10.1 and 12.4.3.1 about leaves and key packages, broken once."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from securechat.mls.census import Census
from securechat.mls.cipher_suite import SUITE_3, SUITES
from securechat.mls.codec import encode_before
from securechat.mls.errors import ValidationError
from securechat.mls.extensions import Extension, ExtensionType, RequiredCapabilities, extension_of
from securechat.mls.framing import GroupInfo
from securechat.mls.key_package import Identity, KeyPackage
from securechat.mls.nodes import (
    Capabilities,
    FromCommit,
    FromUpdate,
    LeafIndex,
    LeafNode,
    Lifetime,
    ParentNode,
    sign_leaf_node,
)
from securechat.mls.proposals import Add, GroupContextExtensions
from securechat.mls.public_group import PublicGroup
from securechat.mls.ratchet_tree import RatchetTree, TreeDraft
from securechat.mls.tree_math import node_of
from securechat.mls.validation import check_key_package, check_lifetime, check_lifetime_span
from securechat.mls.welcome import sign_group_info
from tests.mls.certified import certified
from tests.mls.public_stage import CAPABILITIES, Stage, identity, key_package, stage_of
from tests.mls.refusals import refused
from tests.mls.slow_tree import SlowTree

DAVE = identity("dave")


def signed_again(key_package_: KeyPackage, who: Identity = DAVE, **changes: Any) -> KeyPackage:
    changed = msgspec.structs.replace(key_package_, **changes)
    tbs = encode_before(changed, "signature")
    signature = who.signature_key.sign_with_label("KeyPackageTBS", tbs)
    return msgspec.structs.replace(changed, signature=signature)


def with_leaf(**changes: Any) -> KeyPackage:
    """Dave's key package, its leaf changed; both signatures are right unless one is what changed."""
    bundle = key_package(who=DAVE).key_package
    leaf = msgspec.structs.replace(bundle.leaf_node, **changes)
    if "signature" not in changes:
        leaf = sign_leaf_node(leaf, DAVE.signature_key, group_id=b"", leaf_index=LeafIndex(0))
    return signed_again(bundle, leaf_node=leaf)


def with_capabilities(**changes: Any) -> Capabilities:
    return msgspec.structs.replace(CAPABILITIES, **changes)


# -- 10.1 ---------------------------------------------------------------------


def test_a_good_key_package_passes() -> None:
    check_key_package(key_package().key_package, SUITE_3)


def test_unknown_extensions_of_a_key_package_are_ignored() -> None:
    bundle = key_package(who=DAVE).key_package
    check_key_package(signed_again(bundle, extensions=(Extension(0x0A0A, b"grease"),)), SUITE_3)


def test_capabilities_need_not_list_the_suite_or_version() -> None:
    check_key_package(with_leaf(capabilities=with_capabilities(versions=(), cipher_suites=())), SUITE_3)


BAD_KEY_PACKAGES = {
    "key-package-signature": lambda: msgspec.structs.replace(key_package().key_package, signature=bytes(64)),
    "leaf-signature": lambda: with_leaf(signature=bytes(64)),
    "leaf-source": lambda: with_leaf(origin=FromUpdate()),
    "leaf-extension-unlisted": lambda: with_leaf(extensions=(Extension(0xF002, b""),)),
    "leaf-credential-unlisted": lambda: with_leaf(capabilities=with_capabilities(credentials=())),
    "hpke-public-key": lambda: with_leaf(encryption_key=bytes(33)),
    "signature-key": lambda: with_leaf(signature_key=bytes(33)),
    "duplicate-extension": lambda: signed_again(
        key_package(who=DAVE).key_package, extensions=(Extension(9, b""), Extension(9, b""))
    ),
    "key-package-suite": lambda: signed_again(key_package(who=DAVE).key_package, cipher_suite=1),
}


@pytest.mark.parametrize("rule", BAD_KEY_PACKAGES)
def test_a_bad_key_package_is_refused_by_name(rule: str) -> None:
    with refused(rule):
        check_key_package(BAD_KEY_PACKAGES[rule](), SUITE_3)


def test_a_key_package_of_another_version_is_refused() -> None:
    with refused("key-package-suite"):
        check_key_package(signed_again(key_package(who=DAVE).key_package, version=2), SUITE_3)


def test_the_init_key_is_not_the_leafs() -> None:
    bundle = key_package(who=DAVE).key_package
    with refused("init-key"):
        check_key_package(signed_again(bundle, init_key=bundle.leaf_node.encryption_key), SUITE_3)


SMALL_ORDER = (
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
)


@pytest.mark.parametrize("key", SMALL_ORDER)
def test_nobody_joins_with_a_key_that_nothing_can_be_encrypted_to(key: str) -> None:
    bad = with_leaf(encryption_key=bytes.fromhex(key))
    with pytest.raises(ValidationError, match="small order"):
        SUITE_3.encrypt_with_label(bytes.fromhex(key), "label", b"", b"")
    with refused("encryption-key-order"):
        check_key_package(bad, SUITE_3)


def test_the_init_key_is_a_key_of_the_suite() -> None:
    with refused("hpke-public-key"):
        check_key_package(signed_again(key_package(who=DAVE).key_package, init_key=b""), SUITE_3)


@pytest.mark.parametrize("rule", BAD_KEY_PACKAGES)
def test_a_bad_add_inside_a_commit_is_refused(rule: str) -> None:
    stage = stage_of(2)
    message = stage.forged(stage.actors[0], [Add(BAD_KEY_PACKAGES[rule]())], None)
    with refused(rule):
        stage.group.verify_commit(message, [])


@pytest.mark.parametrize("rule", BAD_KEY_PACKAGES)
def test_a_bad_add_is_refused_when_it_is_proposed(rule: str) -> None:
    stage = stage_of(2)
    with refused(rule):
        stage.propose(stage.actors[1], Add(BAD_KEY_PACKAGES[rule]()))


# -- 7.2, 7.3: time, by those who ask -------------------------------------------


@pytest.mark.parametrize("now", [9, 21])
def test_a_key_package_is_used_within_its_lifetime(now: int) -> None:
    leaf = with_leaf(origin=Lifetime(10, 20)).leaf_node
    check_lifetime(leaf, 10)
    check_lifetime(leaf, 20)
    with refused("lifetime"):
        check_lifetime(leaf, now)


@pytest.mark.parametrize("lifetime", [Lifetime(0, 101), Lifetime(20, 10), Lifetime(0, 2**64 - 1)])
def test_a_lifetime_is_not_longer_than_the_application_says(lifetime: Lifetime) -> None:
    for good in (Lifetime(1, 101), Lifetime(7, 7)):
        check_lifetime_span(with_leaf(origin=good).leaf_node, 100)
    with refused("lifetime-span"):
        check_lifetime_span(with_leaf(origin=lifetime).leaf_node, 100)


# -- 7.3, 13.4: between members ----------------------------------------------------


def added_to_group(who: Identity, *extensions: Extension) -> None:
    stage = stage_of(2, extensions=extensions)
    stage.commit(stage.actors[0], newcomers=[(who, key_package(who=who))])


def requiring(wanted: RequiredCapabilities) -> Extension:
    return extension_of(ExtensionType.REQUIRED_CAPABILITIES, wanted)


@pytest.mark.parametrize(
    "wanted",
    [RequiredCapabilities(extension_types=(0xF001,)), RequiredCapabilities(proposal_types=(0x000A,))],
)
def test_a_newcomer_has_the_required_capabilities(wanted: RequiredCapabilities) -> None:
    added_to_group(identity("capable"), requiring(wanted))
    lacking = identity("old", capabilities=with_capabilities(extensions=(), proposals=()))
    with refused("required-capabilities"):
        added_to_group(lacking, requiring(wanted))


def test_a_newcomer_has_the_required_credential_types() -> None:
    both = with_capabilities(credentials=(1, 2))
    stage = stage_of(1, extensions=(requiring(RequiredCapabilities(credential_types=(1,))),))
    who = identity("capable", capabilities=both)
    stage.commit(stage.actors[0], newcomers=[(who, key_package(who=who))])
    wanted = requiring(RequiredCapabilities(credential_types=(2,)))
    with refused("required-capabilities"):
        stage.commit(stage.actors[0], [GroupContextExtensions((wanted,))])


def test_a_newcomers_credential_is_one_that_all_can_read() -> None:
    x509 = Identity(
        certified(DAVE.signature_key.public),
        DAVE.signature_key,
        with_capabilities(credentials=(1, 2)),
    )
    with refused("credential-unsupported"):
        added_to_group(x509)


def test_a_newcomer_can_read_all_credentials() -> None:
    able = identity("able", capabilities=with_capabilities(credentials=(1, 2)))
    only_own = Identity(
        certified(DAVE.signature_key.public), DAVE.signature_key, with_capabilities(credentials=(2,))
    )
    with refused("credential-unsupported"):
        added_to_group(only_own)
    added_to_group(able)


def test_two_clients_of_one_identity_are_welcome() -> None:
    stage = stage_of(1)
    twins = [identity("dave"), identity("dave")]
    stage.commit(stage.actors[0], newcomers=[(twin, key_package(who=twin)) for twin in twins])
    assert len(stage.actors) == 3


# -- 12.4.3.1: a tree from somebody else ---------------------------------------------


def rebuilt(stage: Stage, tree: RatchetTree) -> PublicGroup:
    """What a joiner makes of another tree, with a GroupInfo that honestly names it."""
    context = msgspec.structs.replace(stage.group.context, tree_hash=tree.tree_hash())
    signer = stage.actors[0]
    info = sign_group_info(
        GroupInfo(context, (), stage.group.confirmation_tag, signer.leaf), signer.identity.signature_key
    )
    return PublicGroup.from_group_info(info, RatchetTree.from_bytes(SUITE_3, tree.to_bytes()))


def tree_of(slow: SlowTree) -> RatchetTree:
    nodes = slow.values()
    return RatchetTree(SUITE_3, nodes, [None] * len(nodes), [None] * len(nodes), None)


def with_leaf_at(stage: Stage, index: int, **changes: Any) -> RatchetTree:
    """The group's tree with a member's leaf changed, and signed again by the member."""
    place = LeafIndex(index)
    leaf = msgspec.structs.replace(stage.group.tree.member(place), **changes)
    if "signature" not in changes:
        key = stage.actors[index].identity.signature_key
        leaf = sign_leaf_node(leaf, key, group_id=b"stage", leaf_index=place)
    return with_node(stage.group.tree, index, leaf)


def with_node(tree: RatchetTree, index: int, leaf: LeafNode) -> RatchetTree:
    draft = TreeDraft(tree)
    draft.put(node_of(LeafIndex(index)), leaf)
    return draft.freeze()


BAD_LEAVES_IN_TREE: dict[str, dict[str, Any]] = {
    "leaf-signature": {"signature": bytes(64)},
    "leaf-extension-unlisted": {"extensions": (Extension(0xF002, b""),)},
    "leaf-credential-unlisted": {"capabilities": with_capabilities(credentials=())},
    "hpke-public-key": {"encryption_key": b"short"},
    "signature-key": {"signature_key": b"short"},
}


@pytest.mark.parametrize("rule", BAD_LEAVES_IN_TREE)
def test_a_joiner_checks_every_leaf(rule: str) -> None:
    stage = stage_of(5, path=False)
    with refused(rule):
        rebuilt(stage, with_leaf_at(stage, 4, **BAD_LEAVES_IN_TREE[rule]))


def test_a_joiner_checks_every_parents_key() -> None:
    stage = stage_of(4)
    slow = SlowTree.of(list(stage.group.tree.nodes))
    keys = [b"no key" for _ in slow.recipients(1)]
    parent_hash = slow.apply_path(1, keys)
    stage.group = replace(stage.group, tree=tree_of(slow))
    with refused("hpke-public-key"):
        rebuilt(stage, with_leaf_at(stage, 1, origin=FromCommit(parent_hash)))


def test_a_joiner_checks_every_parent_hash() -> None:
    """12.4.3.1, 7.9.2: a key that nobody below has vouched for is no parent's."""
    stage = stage_of(4)
    tree = stage.group.tree
    rebuilt(stage, tree)
    root = tree.parent(tree.root)
    assert root is not None
    draft = TreeDraft(tree)
    unvouched = SUITE_3.kem.generate().public
    draft.put(tree.root, ParentNode(unvouched, root.parent_hash, root.unmerged_leaves))
    with refused("parent-hash"):
        rebuilt(stage, draft.freeze())


@pytest.mark.parametrize(
    ("field", "rule"),
    [("encryption_key", "duplicate-encryption-key"), ("signature_key", "duplicate-signature-key")],
)
def test_a_joiner_finds_one_key_at_two_members(field: str, rule: str) -> None:
    stage = stage_of(5, path=False)
    taken = stage.group.tree.member(LeafIndex(3))
    stage.actors[4].identity = stage.actors[3].identity
    changes = {field: getattr(taken, field), "signature_key": taken.signature_key}
    if field == "encryption_key":
        stage.actors[4].identity = identity("other")
        changes["signature_key"] = stage.actors[4].identity.signature_key.public
    with refused(rule):
        rebuilt(stage, with_leaf_at(stage, 4, **changes))


def test_a_joiner_wants_the_tree_that_the_context_names() -> None:
    stage = stage_of(3)
    other = with_leaf_at(stage, 2, extensions=(Extension(0xF001, b""),))
    with refused("tree-hash"):
        PublicGroup.from_group_info(stage.group_info(stage.actors[0]), other)


def test_a_group_info_is_signed_by_the_member_it_names() -> None:
    stage = stage_of(3)
    info = msgspec.structs.replace(stage.group_info(stage.actors[0]), signer=LeafIndex(1))
    with refused("group-info-signature"):
        PublicGroup.from_group_info(info, stage.group.tree)


def test_a_group_info_of_an_outsider_is_refused() -> None:
    stage = stage_of(3)
    unsigned = stage.group_info(stage.actors[0])
    info = sign_group_info(msgspec.structs.replace(unsigned, signer=LeafIndex(3)), DAVE.signature_key)
    with refused("no-such-member"):
        PublicGroup.from_group_info(info, stage.group.tree)


def test_a_tree_is_read_with_the_groups_suite() -> None:
    stage = stage_of(3)
    tree = RatchetTree.from_bytes(SUITES[1], stage.group.tree.to_bytes())
    with refused("group-suite"):
        PublicGroup.from_group_info(stage.group_info(stage.actors[0]), tree)


def test_a_key_is_not_of_two_kinds() -> None:
    """16.7: nobody's encryption key is somebody's signature key, in whatever order they come."""
    stage = stage_of(3)
    signing = stage.group.tree.member(LeafIndex(1)).signature_key
    message = stage.forged(stage.actors[0], [Add(with_leaf(encryption_key=signing))], None)
    with refused("key-of-two-kinds"):
        stage.group.verify_commit(message, [])
    alone = stage_of(3, path=False)
    taken = alone.actors[2].identity.signature_key.public
    with refused("key-of-two-kinds"):
        rebuilt(alone, with_leaf_at(alone, 1, encryption_key=taken))


def test_a_key_is_free_again_when_its_last_owner_goes() -> None:
    """The census counts keys of two kinds as they come and go."""
    leaf, other = (with_leaf().leaf_node, key_package("erin").key_package.leaf_node)
    crossing = msgspec.structs.replace(other, encryption_key=leaf.signature_key)
    census = Census.of([leaf])
    for node, crossed in ((crossing, 1), (crossing, 1)):
        census.enter(node)
        assert census.crossed == crossed
    census.leave(leaf)
    assert census.crossed == 0
    census.enter(leaf)
    assert census.crossed == 1
    census.leave(crossing)
    assert census.crossed == 1
    census.leave(crossing)
    assert census.crossed == 0
