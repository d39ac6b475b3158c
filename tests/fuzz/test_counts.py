"""M-01, counts of a million: what is dense is refused in the time and memory that any input has.

The fuzzers' inputs are small; these are the largest vectors of the smallest items, alone and in one another.
"""

from collections.abc import Callable
from typing import Any, Final

import pytest

from securechat.membership.identity import ClientCredential, LeafRefused, read_identity
from securechat.membership.room import Room, RoomRefused, read_room
from securechat.membership.statement import AccountStatement, StatementRefused, verify_statement
from securechat.mls.cipher_suite import SUITE_3
from securechat.mls.codec import WireStruct, decode, encode, encode_opaque
from securechat.mls.commit import Commit, UpdatePath
from securechat.mls.errors import DecodeError
from securechat.mls.framing import GroupInfo, GroupSecrets, Welcome, decode_message
from securechat.mls.key_package import KeyPackage
from securechat.mls.nodes import ParentNode
from securechat.mls.ratchet_tree import RatchetTree
from securechat.mls.secret_tree import SecretTree
from tests.fuzz.judge import Target, as_it_is, behave, check
from tests.fuzz.targets import TARGETS

MANY: Final = 1_000_000
NO_CAPABILITIES: Final = bytes(5)
NOTHING: Final = b"\x00"
KIND: Final = b"\x12\x34"
"""Two bytes that become an ``int`` of its own."""


def no_seeds() -> tuple[bytes, ...]:
    return ()


def many(item: bytes, count: int = MANY) -> bytes:
    return encode_opaque(item * count)


def leaf(capabilities: bytes = NO_CAPABILITIES, extensions: bytes = NOTHING) -> bytes:
    return b"\x00\x00\x00\x01\x00" + capabilities + b"\x02" + extensions + NOTHING


def key_package(leaf_node: bytes, extensions: bytes = NOTHING) -> bytes:
    return b"\x00\x01\x00\x03\x00" + leaf_node + extensions + NOTHING


def add(leaf_node: bytes) -> bytes:
    return b"\x01\x00\x01" + key_package(leaf_node)


def context(extensions: bytes) -> bytes:
    return b"\x00\x01\x00\x03\x00" + bytes(8) + b"\x00\x00" + extensions


def numbers(count: int) -> bytes:
    return many(KIND, count) + bytes(4)


def of(structure: type[WireStruct]) -> Callable[[bytes], Any]:
    return lambda data: decode(structure, data)


def tree(data: bytes) -> RatchetTree:
    return RatchetTree.from_bytes(SUITE_3, data)


def secrets(data: bytes) -> SecretTree:
    return SecretTree.from_bytes(SUITE_3, data)


EXTENSION: Final = KIND + NOTHING
REFUSED: Final = (DecodeError, LeafRefused, RoomRefused, StatementRefused)

DENSE: Final[dict[str, tuple[Callable[[bytes], Any], bytes]]] = {
    "capabilities": (of(KeyPackage), key_package(leaf(numbers(MANY)))),
    "leaf extensions": (of(KeyPackage), key_package(leaf(extensions=many(EXTENSION)))),
    "key package extensions": (of(KeyPackage), key_package(leaf(), many(EXTENSION))),
    "extensions of two bytes": (of(KeyPackage), key_package(leaf(), many(KIND + b"\x02ab"))),
    "message": (decode_message, b"\x00\x01\x00\x05" + key_package(leaf(), many(EXTENSION))),
    "recipients of a Welcome": (of(Welcome), b"\x00\x03" + many(bytes(3)) + NOTHING),
    "proposals": (of(Commit), many(b"\x02\x00") + NOTHING),
    "pre-shared keys": (of(GroupSecrets), b"\x00\x00" + many(b"\x01\x00\x00")),
    "context extensions": (of(GroupInfo), context(many(EXTENSION)) + bytes(7)),
    "unmerged leaves": (of(ParentNode), b"\x00\x00" + many(b"\x00\x01\x02\x03")),
    "nodes of a path": (of(UpdatePath), leaf() + many(b"\x00\x00")),
    "recipients of a path": (
        of(UpdatePath),
        leaf() + encode_opaque((NOTHING + many(b"\x00\x00", 8_000)) * 30),
    ),
    "adds with capabilities": (of(Commit), encode_opaque(add(leaf(numbers(6_000))) * 250) + NOTHING),
    "adds with extensions": (
        of(Commit),
        encode_opaque(add(leaf(extensions=many(EXTENSION, 99))) * 250) + NOTHING,
    ),
    "adds of nothing": (of(Commit), many(add(leaf()), 4_000) + NOTHING),
    "blank nodes": (tree, many(NOTHING)),
    "tiny nodes": (
        tree,
        encode_opaque((b"\x01\x01" + leaf() + b"\x01\x02\x00\x00\x00") * 4_095 + b"\x01\x01" + leaf()),
    ),
    "tiny nodes with numbers": (
        tree,
        encode_opaque((b"\x01\x01" + leaf(numbers(100)) + NOTHING) * 4_000 + b"\x01\x01" + leaf()),
    ),
    "kept keys": (secrets, b"\x00\x00\x00\x01" + many(b"\x00\x00\x01\x01\x00") + NOTHING),
    "roles": (read_room, b"\x00\x01\x00\x01\x01" + bytes(6) + many(b"\x00\x01") + b"\x01" + bytes(32)),
    "rotations": (read_identity.__wrapped__, b"\x00\x01\x00\x00\x00" + bytes(5) + many(bytes(3)) + NOTHING),
    "devices": (verify_statement, b"\x00\x01\x00\x00" + bytes(44) + many(bytes(2)) + bytes(18)),
}


@pytest.mark.parametrize("name", DENSE)
def test_m_01_a_million_tiny_items_take_no_more_than_any_input(name: str) -> None:
    read, data = DENSE[name]
    dense = Target(name, read, REFUSED, no_seeds, craft=as_it_is)
    check(dense, data)


@pytest.mark.parametrize("kind", [ClientCredential, Room, AccountStatement])
def test_m_01_the_dense_inputs_would_decode_if_there_were_fewer_items(kind: type[WireStruct]) -> None:
    """So that each is refused for its number and not for a slip of ours."""
    few = {
        ClientCredential: b"\x00\x01\x00\x00\x00" + bytes(5) + many(bytes(3), 9) + NOTHING,
        Room: b"\x00\x01\x00\x01\x01" + bytes(6) + many(b"\x00\x01", 9) + b"\x01" + bytes(32),
        AccountStatement: b"\x00\x01\x00\x00" + bytes(44) + many(bytes(2), 9) + bytes(18),
    }[kind]
    assert encode(decode(kind, few)) == few


def test_m_01_what_a_commit_may_really_hold_decodes() -> None:
    """4,096 proposals by reference; 256 members added, each with long lists of what it can do."""
    references = many(b"\x02\x20" + bytes(32), 4_096) + NOTHING
    adds = encode_opaque(add(leaf(many(KIND, 20) * 5, many(KIND + b"\x10" + bytes(16), 8))) * 256) + NOTHING
    for data in (references, adds):
        assert behave(Target("commit", of(Commit), (), no_seeds, encode), data)


DEEP: Final[tuple[bytes, ...]] = (
    b"\x91" * 8_000,
    b"\x81\xa1x" * 3_000,
    b"\x81\xa4type" + b"\x91" * 8_000,
    b"\x87\x50" + bytes(16) + b"\x81" * 8_000,
    b"[" * 8_000,
    b'{"a":' * 2_000,
    b'{"jsonrpc":"2.0","method":"x","params":{"a":' + b"[" * 8_000,
    b"a = " + b"[" * 8_000,
    b"a = " + b"{b = " * 2_000,
    b"a." * 200 + b"a = 1",
    b"id = " + b"9" * 8_000,
    b'{"version":' + b"9" * 8_000 + b"}",
)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_m_01_what_lies_deep_in_itself_ends_as_it_may(target: Target) -> None:
    for data in DEEP:
        check(target, data)
