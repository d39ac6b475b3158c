"""The account's secret is passed on to who stays, and to nobody else (D-02, D-07)."""

from functools import cache

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from securechat.membership.renewal import (
    MOST_OLDER,
    Renewal,
    RenewalRefused,
    Secrets,
    is_for,
    make_renewal,
    open_renewal,
    read_renewal,
    sealing_private,
    sealing_public,
)
from securechat.membership.signing import load_key, public_of
from securechat.membership.statement import Device, make_statement
from securechat.mls.codec import decode, encode

ALICE = "mimi://chat.example/u/alice"
ACCOUNT, OTHER_ACCOUNT = load_key(b"a" * 32), load_key(b"x" * 32)
PHONE, LAPTOP, GONE = (load_key(bytes([number]) * 32) for number in (1, 2, 3))
SMALL_POINTS = (
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
)
OLDEST, OLD, NEW = b"0" * 32, b"1" * 32, b"2" * 32

OF_SMALL_ORDER = [
    *(y.to_bytes(32, "little") for y in (0, 1, 2**255 - 20)),
    *(bytes.fromhex(each) for each in SMALL_POINTS),
]


def uri(key: Ed25519PrivateKey) -> bytes:
    return b"mimi://chat.example/d/" + public_of(key).hex()[:26].encode()


@cache
def statement(*keys: Ed25519PrivateKey, account: Ed25519PrivateKey = ACCOUNT) -> bytes:
    devices = tuple(Device(uri(key), public_of(key)) for key in keys)
    return make_statement(account, user=ALICE, devices=devices, issued_at=1)


@cache
def renewed() -> bytes:
    """What the phone leaves for the laptop."""
    said = statement(PHONE, LAPTOP)
    return make_renewal(
        Secrets(NEW, (OLD, OLDEST)), serial=7, statement=said, by=uri(PHONE), device_key=PHONE
    )


def opened(key: Ed25519PrivateKey, *known: bytes, to: bytes = b"", renewal: Renewal | None = None) -> Secrets:
    renewal = renewal or decode(Renewal, renewed())
    return open_renewal(
        renewal, Secrets(known[0], known[1:]), user=ALICE.encode(), to=to or uri(key), key=key
    )


@pytest.mark.parametrize("private", [b"k" * 32, bytes(32), bytes(range(32)), b"\xff" * 32])
def test_the_two_forms_of_a_key_belong_together(private: bytes) -> None:
    key = load_key(private)
    exchange = X25519PrivateKey.from_private_bytes(sealing_private(key))
    assert exchange.public_key().public_bytes_raw() == sealing_public(public_of(key))


@pytest.mark.parametrize("public", [b"", bytes(31), b"\xff" * 32, *OF_SMALL_ORDER])
def test_what_is_no_key_has_no_other_form(public: bytes) -> None:
    with pytest.raises(ValueError, match="not a signature key"):
        sealing_public(public)


@pytest.mark.parametrize("public", [b"short", *OF_SMALL_ORDER])
def test_d_02_a_device_with_a_key_that_is_none_keeps_the_secret_from_nobody_else(public: bytes) -> None:
    """Who put it into the list may be the one that was revoked."""
    devices = (
        Device(uri(PHONE), public_of(PHONE)),
        Device(uri(GONE), public),
        Device(uri(LAPTOP), public_of(LAPTOP)),
    )
    said = make_statement(ACCOUNT, user=ALICE, devices=devices, issued_at=1)
    made = make_renewal(Secrets(NEW, (OLD,)), serial=7, statement=said, by=uri(PHONE), device_key=PHONE)
    renewal, read = read_renewal(made, serial=7, user=ALICE, account_key=public_of(ACCOUNT))
    assert is_for(renewal, read), "or it were made anew for ever"
    assert [each.to for each in renewal.passed] == [ALICE.encode(), uri(PHONE), uri(LAPTOP)]
    assert opened(LAPTOP, OLD, renewal=renewal).newest == NEW


@pytest.mark.parametrize("known", [OLD, OLDEST])
def test_who_stays_has_the_new_secret_and_all_of_before_however_long_it_was_off(known: bytes) -> None:
    renewal, said = read_renewal(renewed(), serial=7, user=ALICE, account_key=public_of(ACCOUNT))
    assert is_for(renewal, said)
    for key in (PHONE, LAPTOP):
        assert opened(key, known) == Secrets(NEW, (OLD, OLDEST))
    assert opened(ACCOUNT, known, to=ALICE.encode()) == Secrets(NEW, (OLD, OLDEST)), "by the vault"
    assert opened(GONE, NEW) == Secrets(NEW, (OLD, OLDEST)), "who has it need not be passed it"


def test_d_02_who_was_removed_has_the_old_secrets_and_not_the_new_one() -> None:
    for to in (uri(GONE), uri(LAPTOP), ALICE.encode()):
        with pytest.raises(RenewalRefused):
            opened(GONE, OLD, OLDEST, to=to)


def test_who_was_never_a_device_opens_nothing_even_with_a_devices_key() -> None:
    """What is recorded today is no use to who breaks X25519 later: one of the old secrets is needed too."""
    with pytest.raises(RenewalRefused):
        opened(LAPTOP, b"?" * 32)


def test_d_07_only_a_device_that_its_account_lists_makes_one() -> None:
    secrets, said = Secrets(NEW, (OLD,)), statement(PHONE, LAPTOP)
    forged = {
        "another account": make_renewal(
            secrets,
            serial=7,
            statement=statement(PHONE, account=OTHER_ACCOUNT),
            by=uri(PHONE),
            device_key=PHONE,
        ),
        "who is not listed": make_renewal(secrets, serial=7, statement=said, by=uri(GONE), device_key=GONE),
        "in another's name": make_renewal(
            secrets, serial=7, statement=said, by=uri(PHONE), device_key=LAPTOP
        ),
        "nonsense": b"nonsense",
        "cut": renewed()[:-1],
    }
    for data in forged.values():
        with pytest.raises(RenewalRefused):
            read_renewal(data, serial=7, user=ALICE, account_key=public_of(ACCOUNT))
    with pytest.raises(RenewalRefused):
        read_renewal(renewed(), serial=7, user="mimi://chat.example/u/bob", account_key=public_of(ACCOUNT))
    with pytest.raises(RenewalRefused):
        read_renewal(renewed(), serial=8, user=ALICE, account_key=public_of(ACCOUNT))


@pytest.mark.parametrize("field", ["statement", "by", "mixes", "passed", "older"])
def test_d_07_no_part_of_one_fits_another(field: str) -> None:
    said = statement(PHONE, LAPTOP, GONE)
    other = decode(
        Renewal,
        make_renewal(Secrets(OLD, (OLDEST,)), serial=7, statement=said, by=uri(LAPTOP), device_key=LAPTOP),
    )
    mixed = msgspec.structs.replace(decode(Renewal, renewed()), **{field: getattr(other, field)})
    with pytest.raises(RenewalRefused):
        read_renewal(encode(mixed), serial=7, user=ALICE, account_key=public_of(ACCOUNT))
    if field in {"mixes", "passed", "older"}:
        with pytest.raises(RenewalRefused):
            opened(LAPTOP, OLDEST, renewal=mixed)


def test_a_device_that_came_later_is_seen_to_be_missing() -> None:
    renewal, _ = read_renewal(renewed(), serial=7, user=ALICE, account_key=public_of(ACCOUNT))
    _, more = read_renewal(
        make_renewal(
            Secrets(NEW), serial=7, statement=statement(PHONE, LAPTOP, GONE), by=uri(PHONE), device_key=PHONE
        ),
        serial=7,
        user=ALICE,
        account_key=public_of(ACCOUNT),
    )
    assert not is_for(renewal, more)


def test_no_more_are_passed_on_than_a_box_holds() -> None:
    secrets = Secrets(OLDEST)
    for number in range(100, 100 + 2 * MOST_OLDER):
        secrets = secrets.followed_by(number.to_bytes(32, "big"))
    assert len(secrets.older) == MOST_OLDER
    assert secrets.followed_by(secrets.older[3]).newest == secrets.older[3]
    data = make_renewal(
        secrets, serial=7, statement=statement(PHONE, LAPTOP), by=uri(PHONE), device_key=PHONE
    )
    assert len(data) < 16 * 1024


def test_no_secret_stands_in_a_text_of_them() -> None:
    assert "older" not in repr(Secrets(NEW, (OLD,)))
