"""The log's entries: their bytes, what they must not be, and what a statement changes."""

import hashlib
from typing import Any, Final

import msgspec
import pytest

from securechat.membership import signing
from securechat.membership.statement import (
    AccountStatement,
    Device,
    Revoked,
    make_statement,
    verify_statement,
)
from securechat.mls.codec import decode, encode
from securechat.mls.errors import DecodeError
from securechat.names import NameRefused
from securechat.transparency.entries import (
    NOTHING_BEFORE,
    Change,
    LabelChange,
    LogEntry,
    changes_between,
    flaw_of_change,
    flaw_of_step,
    hash_of_change,
    hash_of_entry,
    hash_of_statement,
    next_change,
    prove_label,
    state_after,
    verify_label,
    vrf_input,
)
from securechat.transparency.errors import VrfRefused
from securechat.transparency.merkle import hash_leaf
from securechat.transparency.vrf import proof_to_hash
from tests.transparency.world import ALICE, BOB, NOW, VRF, label_of

replace = msgspec.structs.replace

FIRST: Final = LabelChange(
    version=1,
    timestamp=NOW,
    changes=(Change.ACCOUNT_REGISTERED,),
    label=bytes(range(32)),
    revision=1,
    serial=1,
    statement_hash=hash_of_statement(b"statement"),
    previous=NOTHING_BEFORE,
)
SECOND: Final = replace(
    FIRST, changes=(Change.DEVICE_ADDED,), revision=2, serial=2, previous=hash_of_change(FIRST)
)

OLD_KEY: Final = signing.load_key(bytes(range(32)))
NEW_KEY: Final = signing.load_key(bytes(range(1, 33)))
PHONE, LAPTOP = (Device(b"mimi://chat.example/d/" + letter * 16, bytes(32)) for letter in (b"a", b"b"))


def test_an_entrys_bytes_are_what_they_were() -> None:
    """Golden: a log is read for ever."""
    entry = LogEntry(FIRST, bytes(range(32, 64)))
    data = encode(entry)
    assert data == (
        b"\x00\x01"
        + NOW.to_bytes(8, "big")
        + b"\x01\x01"
        + bytes(range(32))
        + b"\x00\x00\x00\x01"
        + (1).to_bytes(8, "big")
        + hash_of_statement(b"statement")
        + bytes(32)
        + bytes(range(32, 64))
    )
    assert hash_of_entry(entry) == hash_leaf(data)
    assert decode(LogEntry, data) == entry
    assert hash_of_change(FIRST) == hashlib.sha256(b"\x04" + data[:-32]).digest()


def test_a_label_is_proven_for_one_user_only_and_says_nothing_of_the_name() -> None:
    label, proof = prove_label(VRF, ALICE)
    assert label == proof_to_hash(proof)[:32] == verify_label(VRF.public, ALICE, proof)
    assert label != label_of(BOB)[0]
    with pytest.raises(VrfRefused):
        verify_label(VRF.public, BOB, proof)
    assert vrf_input(ALICE) == b"\x1csecurechat/1 directory label\x1b" + ALICE.encode()
    assert ALICE.encode() not in encode(replace(FIRST, label=label))
    for spelling in (ALICE.upper(), ALICE + "/", "alice", ""):
        with pytest.raises(NameRefused):
            vrf_input(spelling)


def test_an_honest_label_begins_and_goes_on() -> None:
    assert flaw_of_step(FIRST, None) is None
    before = state_after(FIRST, 7)
    assert flaw_of_step(SECOND, before) is None
    assert (
        next_change(
            FIRST.label,
            before,
            changes=(Change.DEVICE_ADDED,),
            serial=2,
            statement_hash=FIRST.statement_hash,
            now=NOW,
        )
        == SECOND
    )
    assert state_after(SECOND, 9).history == hash_of_change(SECOND)
    assert state_after(SECOND, 9).position == 9


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        (FIRST, {"version": 2}),
        (FIRST, {"version": 0}),
        (FIRST, {"serial": 0}),
        (FIRST, {"revision": 0}),
        (FIRST, {"changes": ()}),
        (FIRST, {"changes": (Change.DEVICE_ADDED,)}),
        (FIRST, {"changes": (Change.ACCOUNT_REGISTERED, Change.DEVICE_ADDED)}),
        (FIRST, {"previous": bytes(31) + b"\x01"}),
        (SECOND, {"previous": NOTHING_BEFORE}),
        (SECOND, {"changes": (Change.ACCOUNT_REGISTERED,)}),
        (SECOND, {"changes": (Change.DEVICE_REVOKED, Change.DEVICE_ADDED)}),
        (SECOND, {"changes": (Change.DEVICE_ADDED, Change.DEVICE_ADDED)}),
        (SECOND, {"changes": (Change.DEVICE_ADDED, Change.RENEWED)}),
    ],
)
def test_an_entry_with_a_flaw_is_named(change: LabelChange, fields: dict[str, Any]) -> None:
    flaw = flaw_of_change(replace(change, **fields))
    assert flaw is not None
    assert flaw.endswith(".")
    before = None if change is FIRST else state_after(FIRST, 0)
    assert flaw_of_step(replace(change, **fields), before) == flaw


@pytest.mark.parametrize(
    "fields",
    [
        {"revision": 3},
        {"previous": bytes(range(32))},
        {"serial": 1},
        {"serial": 3},
    ],
)
def test_an_entry_that_does_not_follow_is_named(fields: dict[str, Any]) -> None:
    assert flaw_of_step(replace(SECOND, **fields), state_after(FIRST, 0)) is not None


def test_nothing_follows_nothing_and_no_first_entry_follows() -> None:
    assert flaw_of_step(SECOND, None) is not None
    assert flaw_of_step(FIRST, state_after(FIRST, 0)) is not None


def test_a_new_account_key_may_begin_its_serials_anew() -> None:
    reset = replace(SECOND, changes=(Change.DEVICE_ADDED, Change.ACCOUNT_KEY_REPLACED), serial=1)
    assert flaw_of_step(reset, state_after(FIRST, 0)) is None


@pytest.mark.parametrize("number", [0, 6, 255])
def test_a_change_that_nobody_knows_does_not_decode(number: int) -> None:
    data = bytearray(encode(FIRST))
    data[11] = number
    with pytest.raises(DecodeError):
        decode(LabelChange, bytes(data))


def statement(
    *devices: Device, previous: bytes | None = None, revoked: tuple[Revoked, ...] = (), **changes: Any
) -> bytes:
    return make_statement(
        changes.get("key", OLD_KEY),
        user=ALICE,
        devices=devices,
        issued_at=NOW,
        previous=previous,
        revoked=revoked,
        vault_serial=changes.get("vault", 0),
    )


def read(data: bytes) -> AccountStatement:
    return verify_statement(data)


def test_what_a_statement_changes_is_said_in_words() -> None:
    first = statement(PHONE)
    gone = (Revoked(PHONE.client, 2),)
    added = statement(PHONE, LAPTOP, previous=first)
    cases = {
        (Change.DEVICE_ADDED,): added,
        (Change.DEVICE_REVOKED,): statement(PHONE, previous=first, revoked=gone),
        (Change.DEVICE_ADDED, Change.DEVICE_REVOKED): statement(LAPTOP, previous=first, revoked=gone),
        (Change.ACCOUNT_KEY_REPLACED,): statement(PHONE, key=NEW_KEY),
        (Change.DEVICE_ADDED, Change.DEVICE_REVOKED, Change.ACCOUNT_KEY_REPLACED): statement(
            LAPTOP, key=NEW_KEY
        ),
        (Change.RENEWED,): statement(PHONE, previous=first, vault=1),
    }
    assert changes_between(None, read(first)) == (Change.ACCOUNT_REGISTERED,)
    for changes, data in cases.items():
        assert changes_between(read(first), read(data)) == changes


def test_a_device_with_another_key_was_revoked_and_added() -> None:
    first = statement(PHONE)
    other = statement(Device(PHONE.client, bytes(range(32))), previous=first)
    assert changes_between(read(first), read(other)) == (Change.DEVICE_ADDED, Change.DEVICE_REVOKED)
