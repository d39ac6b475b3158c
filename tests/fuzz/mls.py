"""Targets: what MLS gives us to read, from the server and from strangers."""

from typing import Final

import msgspec

from securechat.membership.identity import key_package_refusal
from securechat.mls.codec import decode, encode
from securechat.mls.errors import DecodeError, RuleError, StaleEpoch, ValidationError, WrongGroup
from securechat.mls.framing import (
    GroupInfo,
    PrivateMessage,
    PublicMessage,
    Welcome,
    decode_message,
    encode_message,
)
from securechat.mls.group import Group
from securechat.mls.key_package import KeyPackage
from securechat.mls.nodes import NODE, NodeIndex
from securechat.mls.ratchet_tree import RatchetTree
from securechat.mls.tree_validation import check_parents
from securechat.mls.validation import check_census, check_leaf, check_tree
from tests.fuzz.judge import Target
from tests.fuzz.scene import DOMAIN, NOW, SUITE_3, scene

BROKEN: Final = (DecodeError, RuleError, WrongGroup, StaleEpoch)
"""Whose fault is the sender's; a UsageError would say that it is ours."""

DESCRIBED: Final = (DecodeError, ValidationError)
"""What everybody can see to be wrong."""


def messages() -> tuple[bytes, ...]:
    """One MLSMessage of each kind that we send."""
    seen = scene()
    return (*seen.messages, seen.welcome, seen.group_info, encode_message(seen.erins.key_package))


def _bodies(kind: type[Welcome | GroupInfo | KeyPackage]) -> tuple[bytes, ...]:
    return tuple(encode(body) for body in map(decode_message, messages()) if isinstance(body, kind))


def _key_packages() -> tuple[bytes, ...]:
    return (*_bodies(KeyPackage), encode(scene().bob.bundles[-1].key_package))


def _judged_key_package(data: bytes) -> KeyPackage:
    """As a client or the server takes one: it is read, then all rules are asked."""
    package = decode(KeyPackage, data)
    key_package_refusal(package, domain=DOMAIN, suite=SUITE_3.number, now=NOW)
    return package


def trees() -> tuple[bytes, ...]:
    """Full, with a blank leaf, of one member, and with blanks inside."""
    seen = scene()
    alone = RatchetTree.of(SUITE_3, seen.erins.key_package.leaf_node)
    return (seen.tree, seen.ours.tree_bytes(), alone.to_bytes())


def _tree(data: bytes) -> RatchetTree:
    return RatchetTree.from_bytes(SUITE_3, data)


def _joined_tree(data: bytes) -> RatchetTree:
    """As a joiner takes one. Its hash is right, and the signatures, which no change survives, come last."""
    tree = _tree(data)
    context = msgspec.structs.replace(scene().ours.public.context, tree_hash=tree.tree_hash())
    check_parents(tree)
    check_census(tree.census, context.extensions)
    for _, leaf in tree.leaves():
        check_leaf(leaf, SUITE_3)
    check_tree(tree, context)
    return tree


def _nodes() -> tuple[bytes, ...]:
    return tuple(NODE.encode(node) for node in scene().ours.public.tree.nodes if node is not None)


def _rows(data: bytes) -> RatchetTree:
    """A stored tree: for each node its number, the length of its encoding (both two bytes), and that."""
    rows: list[tuple[NodeIndex, bytes]] = []
    while len(data) >= 4:
        index, length = int.from_bytes(data[:2]), int.from_bytes(data[2:4])
        rows.append((NodeIndex(index), data[4 : 4 + length]))
        data = data[4 + length :]
    return RatchetTree.from_rows(SUITE_3, rows)


def _as_rows(tree: RatchetTree) -> bytes:
    return b"".join(index.to_bytes(2) + len(body).to_bytes(2) + body for index, body in tree.rows())


def _stored_rows() -> tuple[bytes, ...]:
    return tuple(_as_rows(_tree(each)) for each in trees())


def _received(data: bytes) -> object:
    """As a member takes what the server says is in the log."""
    ours = scene().theirs
    body = decode_message(data)
    if isinstance(body, PublicMessage | PrivateMessage):
        return ours.examine(data)
    return body


def _joined(data: bytes) -> Group:
    seen = scene()
    return Group.join(data, seen.erins, seen.erin.identity, tree=seen.tree).group


TARGETS: Final = (
    Target("message", decode_message, (DecodeError,), messages, encode_message),
    Target("key-package", lambda data: decode(KeyPackage, data), (DecodeError,), _key_packages, encode),
    Target("key-package-judged", _judged_key_package, (DecodeError,), _key_packages, encode),
    Target("welcome", lambda data: decode(Welcome, data), (DecodeError,), lambda: _bodies(Welcome), encode),
    Target(
        "group-info", lambda data: decode(GroupInfo, data), (DecodeError,), lambda: _bodies(GroupInfo), encode
    ),
    Target("node", NODE.decode, (DecodeError,), _nodes, NODE.encode),
    Target("tree", _tree, (DecodeError,), trees, RatchetTree.to_bytes),
    Target("tree-joined", _joined_tree, DESCRIBED, trees, RatchetTree.to_bytes),
    Target("tree-rows", _rows, (DecodeError,), _stored_rows, _as_rows, canonical=False),
    Target("received", _received, BROKEN, messages),
    Target("joined", _joined, BROKEN, lambda: (scene().welcome,)),
)
