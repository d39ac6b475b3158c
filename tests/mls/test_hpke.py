"""HPKE by hand and by pyca are the same, and bad keys give nothing (M-05)."""

import pytest
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import x25519

from securechat.mls.cipher_suite import SUITE_3, SUITES, CipherSuite
from securechat.mls.errors import SecretError, UsageError, ValidationError
from securechat.mls.hpke import HPKECiphertext
from securechat.mls.kem import X25519
from securechat.mls.randomness import drawn_from

EVERY_SUITE = pytest.mark.parametrize("suite", SUITES.values(), ids=lambda suite: str(suite.number))

SMALL_ORDER = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]
"""X25519 public keys of small order, canonical and not: with any private key they give zero."""


@EVERY_SUITE
def test_what_we_seal_pyca_opens_and_the_other_way(suite: CipherSuite) -> None:
    pair = suite.kem.generate()
    sealed = suite.hpke.seal(pair.public, b"info", b"hello")
    assert suite.hpke.open(pair.private, b"info", sealed) == b"hello"
    theirs = suite.hpke._pyca.encrypt(b"hello", suite.kem.load_public(pair.public), b"info")
    shared = suite.kem.decapsulate(theirs[: suite.kem.output_length], pair.private)
    context = suite.hpke._context(shared, b"info")
    assert suite.aead.open(context.key, context.nonce, theirs[suite.kem.output_length :], aad=b"") == b"hello"


@EVERY_SUITE
def test_nothing_opens_what_was_changed(suite: CipherSuite) -> None:
    pair, other = suite.kem.generate(), suite.kem.generate()
    sealed = suite.hpke.seal(pair.public, b"info", b"hello")
    elsewhere = suite.hpke.seal(other.public, b"info", b"hello")
    flipped = sealed.ciphertext[:-1] + bytes([sealed.ciphertext[-1] ^ 1])
    attempts = [
        (other.private, b"info", sealed),
        (pair.private, b"other", sealed),
        (pair.private, b"info", HPKECiphertext(sealed.kem_output, flipped)),
        (pair.private, b"info", HPKECiphertext(elsewhere.kem_output, sealed.ciphertext)),
        (pair.private, b"info", HPKECiphertext(b"", sealed.ciphertext)),
        (pair.private, b"info", HPKECiphertext(sealed.kem_output + b"\x00", sealed.ciphertext)),
        (pair.private, b"info", HPKECiphertext(sealed.kem_output, b"")),
        (pair.private, b"info", HPKECiphertext(bytes(len(sealed.kem_output)), sealed.ciphertext)),
    ]
    for private, info, bent in attempts:
        with pytest.raises(SecretError) as refused:
            suite.hpke.open(private, info, bent)
        assert refused.value.rule == "hpke-open"


@pytest.mark.parametrize("public", [bytes.fromhex(text) for text in SMALL_ORDER], ids=SMALL_ORDER)
def test_a_key_of_small_order_is_refused_everywhere(public: bytes) -> None:
    pair = X25519.generate()
    with pytest.raises(ValidationError) as refused:
        SUITE_3.hpke.seal(public, b"", b"hello")
    assert refused.value.rule == "zero-shared-secret"
    with pytest.raises(ValidationError):
        SUITE_3.hpke.export_to(public, b"label", 32)
    with pytest.raises(ValidationError):
        SUITE_3.hpke.export_from(public, pair.private, b"label", 32)
    with pytest.raises(SecretError):
        SUITE_3.hpke.open(pair.private, b"", HPKECiphertext(public, bytes(32)))
    with pytest.raises(ValidationError) as refused:
        X25519.exchange(pair.private, public[:31] + bytes([public[31] | 0x80]))
    assert refused.value.rule == "zero-shared-secret"


@EVERY_SUITE
def test_both_ends_export_the_same(suite: CipherSuite) -> None:
    pair = suite.kem.generate()
    output, exported = suite.hpke.export_to(pair.public, b"label", suite.hash_length)
    assert suite.hpke.export_from(output, pair.private, b"label", suite.hash_length) == exported
    assert suite.hpke.export_from(output, pair.private, b"other", suite.hash_length) != exported


@EVERY_SUITE
def test_keys_of_another_kind_are_refused(suite: CipherSuite) -> None:
    public = suite.kem.generate().public
    for wrong in (b"", public[:-1], public + b"\x00", b"\x05" + bytes(suite.kem.public_length)):
        with pytest.raises(ValidationError) as refused:
            suite.kem.load_public(wrong)
        assert refused.value.rule == "hpke-public-key"
    for private in (b"", b"\xff" * (suite.kem.private_length + 1)):
        with pytest.raises(UsageError):
            suite.kem.load_private(private)


@EVERY_SUITE
def test_a_seed_stands_for_one_key_pair(suite: CipherSuite) -> None:
    pair = suite.kem.derive_key_pair(b"seed" * 8)
    assert pair == suite.kem.derive_key_pair(b"seed" * 8)
    assert pair.public == suite.kem.public_key(pair.private)
    assert pair != suite.kem.derive_key_pair(b"tree" * 8)
    assert pair.private.hex() not in repr(pair)


def test_rfc_9180_appendix_a_2() -> None:
    """DHKEM(X25519), HKDF-SHA256, ChaCha20-Poly1305, base mode: the RFC's own numbers."""
    seed = bytes.fromhex("909a9b35d3dc4713a5e72a4da274b55d3d3821a37e5d099e74a647db583a904b")
    ephemeral = X25519.derive_key_pair(seed)
    assert ephemeral.private.hex() == "f4ec9b33b792c372c1d2c2063507b684ef925b8c75a42dbcbf57d63ccd381600"
    info = bytes.fromhex("4f6465206f6e2061204772656369616e2055726e")
    recipient = X25519.derive_key_pair(
        bytes.fromhex("1ac01f181fdf9f352797655161c58b75c656a6cc2716dcb66372da835542e1df")
    )
    with drawn_from(lambda length: ephemeral.private[:length]):
        shared, output = X25519.encapsulate(recipient.public)
    assert output.hex() == "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a"
    assert shared.hex() == "0bbe78490412b4bbea4812666f7916932b828bba79942424abb65244930d69a7"
    context = SUITE_3.hpke._context(shared, info)
    assert context.key.hex() == "ad2744de8e17f4ebba575b3f5f5a8fa1f69c2a07f6e7500bc60ca6e3e3ec1c91"
    assert context.nonce.hex() == "5c4d98150661b848853b547f"


def test_pyca_seals_for_a_plain_x25519_key() -> None:
    private = x25519.X25519PrivateKey.generate()
    suite = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.CHACHA20_POLY1305)
    sealed = suite.encrypt(b"hello", private.public_key(), b"info")
    opened = SUITE_3.hpke.open(private.private_bytes_raw(), b"info", HPKECiphertext(sealed[:32], sealed[32:]))
    assert opened == b"hello"
