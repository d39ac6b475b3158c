"""Account statements: signed, chained, and never going back."""

import hashlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from securechat.membership import signing
from securechat.membership.statement import (
    AccountStatement,
    Device,
    Revoked,
    StatementRefused,
    make_statement,
    verify_statement,
)
from securechat.mls.codec import encode, encode_before, encode_opaque

KEY = signing.load_key(bytes(range(32)))
USER = "mimi://chat.example/u/alice"
SIGNATURE = (
    "55d0d14e46a34a74c2eca128b3ac2b974c2603b7002dcd50f4dd68c013e22f00"
    "26be5f977eee2455e545ca9e877718b07cb8e07935e01a21c8c6edb504d5d702"
)
DEVICE = Device(b"mimi://chat.example/d/0123456789abcdef", bytes(32))


def first() -> bytes:
    return make_statement(KEY, user=USER, devices=(DEVICE,), issued_at=1_790_000_000)


def signed(**changes: Any) -> bytes:
    """Return a statement with other fields, signed by the account."""
    changed = msgspec.structs.replace(verify_statement(first()), **changes)
    tbs = encode_before(changed, "signature")
    return tbs + encode_opaque(signing.sign(KEY, "account statement", tbs))


def test_a_first_statement_has_these_bytes() -> None:
    assert first().hex() == (
        "0001"
        "1b6d696d693a2f2f636861742e6578616d706c652f752f616c696365"
        "2003a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8"
        "0000000000000001" + "00000001" + "00" * 32 + "4048"
        "266d696d693a2f2f636861742e6578616d706c652f642f30313233343536373839616263646566"
        "20" + "00" * 32 + "00" + "0000000000000000" + "000000006ab13b80" + "4040" + SIGNATURE
    )


def test_the_next_statement_follows_the_last() -> None:
    last = first()
    revoked = (Revoked(DEVICE.client, 2),)
    following = make_statement(KEY, user=USER, devices=(), issued_at=2, previous=last, revoked=revoked)
    statement = verify_statement(following, last)

    assert (statement.serial, statement.generation) == (2, 2)
    assert statement.previous == hashlib.sha256(last).digest()


def test_without_a_new_revocation_the_generation_stays() -> None:
    following = make_statement(KEY, user=USER, devices=(DEVICE,), issued_at=2, previous=first())
    assert verify_statement(following, first()).generation == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"serial": 0},
        {"serial": 0, "previous": bytes([1]) * 32},
        {"serial": 2},
        {"previous": bytes([1]) * 32},
        {"version": 2},
        {"user": b"mimi://chat.example/u/Alice"},
        {"devices": (DEVICE, DEVICE)},
        {"devices": tuple(Device(b"mimi://chat.example/d/%016d" % n, bytes(32)) for n in range(11))},
        {"devices": (Device(b"mimi://other.example/d/0123456789abcdef", bytes(32)),)},
        {"account_key": bytes(32)},
    ],
)
def test_a_statement_that_is_not_one_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(StatementRefused):
        verify_statement(signed(**changes))


def test_ten_devices_fit() -> None:
    devices = tuple(Device(b"mimi://chat.example/d/%016d" % n, bytes(32)) for n in range(10))
    statement = make_statement(KEY, user=USER, devices=devices, issued_at=1)
    assert verify_statement(statement).devices == devices
    assert len(statement) < 2048


def test_the_vault_does_not_go_back() -> None:
    last = make_statement(KEY, user=USER, devices=(), issued_at=1, vault_serial=3)
    back = make_statement(KEY, user=USER, devices=(), issued_at=2, vault_serial=2, previous=last)
    with pytest.raises(StatementRefused):
        verify_statement(back, last)


@pytest.mark.parametrize(
    "changes",
    [
        {"serial": 3},
        {"previous": bytes([1]) * 32},
        {"user": b"mimi://chat.example/u/bob"},
        {"generation": 0},
    ],
)
def test_a_statement_that_does_not_follow_is_refused(changes: dict[str, Any]) -> None:
    last = first()
    fields = {"serial": 2, "previous": hashlib.sha256(last).digest()} | changes
    with pytest.raises(StatementRefused):
        verify_statement(signed(**fields), last)


@given(st.integers(0, len(first()) - 1), st.integers(1, 255))
def test_a_changed_byte_is_refused(place: int, flip: int) -> None:
    data = bytearray(first())
    data[place] ^= flip
    with pytest.raises(StatementRefused):
        verify_statement(bytes(data))


@given(st.binary(max_size=100))
def test_what_is_no_statement_is_refused(data: bytes) -> None:
    with pytest.raises(StatementRefused):
        verify_statement(data)


def test_a_statement_encodes_to_what_was_signed() -> None:
    statement = verify_statement(first())
    assert isinstance(statement, AccountStatement)
    assert encode(statement) == first()
