"""Whatever bytes come, a decoder gives one message or one DecodeError (M-01, O-02)."""

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from securechat.mls.codec import WireStruct, decode, encode, encode_varint
from securechat.mls.errors import DecodeError
from securechat.mls.framing import GroupSecrets, MLSMessage, decode_message, encode_message
from securechat.mls.group import Group
from securechat.mls.key_package import KeyPackage
from securechat.mls.nodes import RATCHET_TREE
from securechat.mls.staging import CommitPlan
from tests.mls.people import bundle_of, group_of, identity


def _examples() -> list[bytes]:
    alice, _ = group_of("alice", "bob")
    bundle = bundle_of(identity("carol"))
    staged = alice.stage_commit(CommitPlan(add=(bundle.key_package,), update=True))
    assert staged.welcome is not None
    return [
        encode_message(bundle.key_package),
        staged.message,
        staged.welcome,
        staged.group_info,
        alice.encrypt(b"hello"),
        alice.propose_update(),
    ]


EXAMPLES = _examples()


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda message: f"{message[3]}")
def test_every_cut_and_every_surplus_is_refused(message: bytes) -> None:
    assert encode_message(decode_message(message)) == message
    for cut in range(len(message)):
        with pytest.raises(DecodeError):
            decode_message(message[:cut])
    with pytest.raises(DecodeError):
        decode_message(message + b"\x00")


@given(st.sampled_from(EXAMPLES), st.integers(0, 2**16), st.binary(min_size=1, max_size=8))
@settings(max_examples=300)
def test_a_bent_message_decodes_to_itself_or_not_at_all(message: bytes, place: int, patch: bytes) -> None:
    place %= len(message)
    bent = message[:place] + patch + message[place + len(patch) :]
    try:
        body = decode_message(bent)
    except DecodeError:
        return
    assert encode_message(body) == bent


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_random_bytes_are_decoded_or_refused(data: bytes) -> None:
    structures: tuple[type[WireStruct], ...] = (MLSMessage, KeyPackage, GroupSecrets)
    for structure in structures:
        try:
            assert encode(decode(structure, data)) == data
        except DecodeError:
            continue
    try:
        RATCHET_TREE.decode(data)
    except DecodeError:
        return


def test_m_01_a_million_tiny_items_are_refused_before_they_take_memory() -> None:
    """Blank nodes in a megabyte: the worst there is for its size."""
    blanks = encode_varint(1_000_000) + bytes(1_000_000)
    tracemalloc.start()
    with pytest.raises(DecodeError):
        RATCHET_TREE.decode(blanks)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * len(blanks)


def test_a_version_or_wire_format_we_do_not_know_is_refused() -> None:
    message = EXAMPLES[0]
    for head in ("00000005", "00020005", "00010000", "00010006", "0001ffff"):
        with pytest.raises(DecodeError):
            decode_message(bytes.fromhex(head) + message[4:])


def test_a_key_package_has_the_version_of_its_message() -> None:
    """RFC 9420 section 10."""
    package = EXAMPLES[0]
    with pytest.raises(DecodeError):
        decode_message(package[:4] + b"\x00\x02" + package[6:])


def test_a_group_takes_any_bytes_without_falling() -> None:
    (alice,) = group_of("alice")
    assert isinstance(alice, Group)
    for data in (b"", b"\x00", bytes(100), b"\xff" * 100):
        with pytest.raises(DecodeError):
            alice.examine(data)
        with pytest.raises(DecodeError):
            alice.decrypt(data)
