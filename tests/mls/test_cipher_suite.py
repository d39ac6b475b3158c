"""The functions of RFC 9420 section 5, in each suite."""

import secrets

import pytest

from securechat.mls import randomness
from securechat.mls.aead import AES_128_GCM
from securechat.mls.cipher_suite import SUITE_3, SUITES, CipherSuite, cipher_suite
from securechat.mls.errors import SecretError, UsageError, ValidationError
from securechat.mls.kdf import HKDF_SHA256
from securechat.mls.signature import is_public_key

EVERY_SUITE = pytest.mark.parametrize("suite", SUITES.values(), ids=lambda suite: str(suite.number))


@pytest.mark.parametrize("number", [0, 4, 6, 8, 0x0A0A, 0xFFFF])
def test_a_suite_that_is_not_offered_is_refused(number: int) -> None:
    with pytest.raises(ValidationError) as refused:
        cipher_suite(number)
    assert refused.value.rule == "cipher-suite"


@EVERY_SUITE
def test_a_signature_is_for_one_label_content_and_key(suite: CipherSuite) -> None:
    signer, other = suite.signature.generate(), suite.signature.generate()
    signature = signer.sign_with_label("label", b"content")

    def holds(public: bytes, label: str, content: bytes, signature: bytes) -> bool:
        return suite.verify_with_label(public, label, content, signature=signature)

    assert holds(signer.public, "label", b"content", signature)
    assert not holds(other.public, "label", b"content", signature)
    assert not holds(signer.public, "labe", b"lcontent", signature)
    assert not holds(signer.public, "label", b"contents", signature)
    for bent in (b"", signature[:-1], signature + b"\x00", bytes(len(signature))):
        assert not holds(signer.public, "label", b"content", bent)
    for key in (b"", signer.public[:-1], signer.public + b"\x00"):
        assert not holds(key, "label", b"content", signature)
        assert not is_public_key(suite.signature, key)


@EVERY_SUITE
def test_a_signing_key_comes_back_from_its_bytes(suite: CipherSuite) -> None:
    signer = suite.signature.generate()
    again = suite.signature.load(signer.private)
    assert (again, again.public, hash(again)) == (signer, signer.public, hash(signer))
    assert signer.private.hex() not in repr(signer)
    with pytest.raises(UsageError):
        suite.signature.load(b"")


@EVERY_SUITE
def test_a_mac_matches_as_a_whole_or_not(suite: CipherSuite) -> None:
    """M-03, A-08: an empty or a cut tag never matches."""
    tag = suite.mac(b"key", b"data")
    assert suite.mac_matches(b"key", b"data", tag=tag)
    for bent in (b"", tag[:-1], tag + b"\x00", bytes(len(tag)), tag[:1]):
        assert not suite.mac_matches(b"key", b"data", tag=bent)


@EVERY_SUITE
def test_sealed_bytes_open_with_their_own_key_only(suite: CipherSuite) -> None:
    key, nonce = bytes(suite.aead.key_length), bytes(12)
    sealed = suite.aead.seal(key, nonce, b"hello", aad=b"data")
    assert suite.aead.open(key, nonce, sealed, aad=b"data") == b"hello"
    for bent in (b"", sealed[:-1], sealed + b"\x00", bytes(len(sealed))):
        with pytest.raises(SecretError):
            suite.aead.open(key, nonce, bent, aad=b"data")
    with pytest.raises(SecretError):
        suite.aead.open(key, nonce, sealed, aad=b"")


def test_an_aead_takes_its_own_sizes_only() -> None:
    """AES-GCM would take other nonces and keys; MLS never has them."""
    for key, nonce in ((bytes(32), bytes(12)), (bytes(16), bytes(16)), (bytes(16), b"")):
        with pytest.raises(UsageError):
            AES_128_GCM.seal(key, nonce, b"", aad=b"")
        with pytest.raises(UsageError):
            AES_128_GCM.open(key, nonce, bytes(16), aad=b"")


def test_labels_and_contexts_are_apart() -> None:
    secret = bytes(32)
    outputs = {
        SUITE_3.expand_with_label(secret, label, context, length)[:16]
        for label, context, length in (("a", b"b", 32), ("ab", b"", 32), ("a", b"", 32), ("a", b"b", 16))
    }
    assert len(outputs) == 4
    assert SUITE_3.derive_secret(secret, "a") == SUITE_3.expand_with_label(secret, "a", b"", 32)


def test_hkdf_has_an_end() -> None:
    assert len(HKDF_SHA256.expand(bytes(32), b"", 255 * 32)) == 255 * 32
    with pytest.raises(UsageError):
        HKDF_SHA256.expand(bytes(32), b"", 255 * 32 + 1)


def test_randomness_has_one_source_that_a_test_can_seed() -> None:
    with randomness.drawn_from(lambda length: bytes([7]) * length):
        assert SUITE_3.signature.generate() == SUITE_3.signature.load(bytes([7]) * 32)
        assert SUITE_3.kem.generate() == SUITE_3.kem.generate()
    assert SUITE_3.kem.generate() != SUITE_3.kem.generate()
    assert randomness._source.get() is secrets.token_bytes
