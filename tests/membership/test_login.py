"""What is signed at the door, and the one form of a fingerprint."""

from typing import Any

import pytest

from securechat.membership import login, signing
from securechat.membership.login import (
    FingerprintRefused,
    Purpose,
    fingerprint,
    login_to_sign,
    parse_fingerprint,
)

CHALLENGE: dict[str, Any] = {
    "purpose": Purpose.DEVICE,
    "domain": "chat.example",
    "user": "alice",
    "client": "0123456789abcdef",
    "server_nonce": b"s" * 32,
    "client_nonce": b"c" * 32,
    "certificate_hash": b"h" * 32,
}
KEY = signing.load_key(bytes(range(32)))
PUBLIC = signing.public_of(KEY)


def test_a_login_signs_these_bytes() -> None:
    assert login_to_sign(**CHALLENGE) == (
        b"\x12securechat/1 login"
        b"\x40\x85"
        b"\x03\x0cchat.example\x05alice\x100123456789abcdef" + b"s" * 32 + b"c" * 32 + b"h" * 32
    )


@pytest.mark.parametrize(
    ("field", "other"),
    [
        ("purpose", Purpose.PASSWORD),
        ("domain", "other.example"),
        ("user", "bob"),
        ("client", ""),
        ("server_nonce", b"x" * 32),
        ("client_nonce", b"x" * 32),
        ("certificate_hash", b"x" * 32),
    ],
)
def test_a_login_signature_is_for_one_challenge_only(field: str, other: object) -> None:
    signature = KEY.sign(login_to_sign(**CHALLENGE))

    assert signing.verify_signed(PUBLIC, login_to_sign(**CHALLENGE), signature=signature)
    assert not signing.verify_signed(PUBLIC, login_to_sign(**CHALLENGE | {field: other}), signature=signature)


def test_a_server_vouches_for_one_tls_key_and_domain() -> None:
    signature = login.sign_server_identity(KEY, spki=b"spki", domain="chat.example")

    def holds(spki: bytes, domain: str) -> bool:
        return login.verify_server_identity(PUBLIC, signature=signature, spki=spki, domain=domain)

    assert holds(b"spki", "chat.example")
    assert not holds(b"other", "chat.example")
    assert not holds(b"spki", "other.example")


def test_a_signature_holds_under_its_label_only() -> None:
    signature = signing.sign(KEY, "login", b"x")
    assert signing.verify(PUBLIC, "login", b"x", signature=signature)
    assert not signing.verify(PUBLIC, "server identity", b"x", signature=signature)


@pytest.mark.parametrize("public", [b"", bytes(31), bytes(33), b"\xff" * 32])
def test_a_08_a_malformed_key_or_signature_signs_nothing(public: bytes) -> None:
    assert not signing.verify(public, "login", b"x", signature=bytes(64))
    assert not signing.verify(PUBLIC, "login", b"x", signature=b"")
    assert not signing.verify(PUBLIC, "login", b"x", signature=bytes(65))


def test_a_domain_follows_from_the_identity_key() -> None:
    assert login.domain_of(PUBLIC) == "kzdvvj2umnduyauf35o36k6kw4.securechat.invalid"


def test_a_fingerprint_has_one_form() -> None:
    shown = fingerprint(PUBLIC)
    assert shown == "SHA256:Vkdap1RjR0wChd9dvyvKtz2mUTWIOem3dIGy6rEHcIw"
    assert {parse_fingerprint(text) for text in (shown, shown[7:], f" {shown}= ")} == {shown}


@pytest.mark.parametrize(
    "text", ["", "SHA256:", "SHA256:abc", "ä" * 43, "A" * 42 + "!", "A" * 44, "SHA1:" + "A" * 43]
)
def test_what_is_no_fingerprint_is_refused(text: str) -> None:
    with pytest.raises(FingerprintRefused):
        parse_fingerprint(text)
