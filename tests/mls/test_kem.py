"""X-Wing, the KEM of the hybrid suite: known answers, pyca's own on the other side, and what is refused."""

import hashlib

import pytest
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519

from securechat.mls.cipher_suite import PRIVATE_HYBRID_NUMBER, SUITE_HYBRID
from securechat.mls.errors import SecretError, UsageError, ValidationError
from securechat.mls.group import Group
from securechat.mls.hpke import HPKECiphertext
from securechat.mls.kem import XWING
from securechat.mls.nodes import LeafIndex
from securechat.mls.staging import CommitPlan
from securechat.mls.validation import check_encryption_key, check_kem_output
from tests.mls.people import (
    bundle_of,
    everybody_follows,
    group_of,
    hear_each_other,
    identity,
    received,
    restarted,
)
from tests.mls.test_hpke import SMALL_ORDER

HYBRID = SUITE_HYBRID.hpke


def test_the_suite_is_the_one_that_others_have_under_this_number() -> None:
    """Number, hash and sizes as in ts-mls 2.x and the X-Wing draft."""
    assert PRIVATE_HYBRID_NUMBER == 0xF00E
    assert (XWING.kem_id, SUITE_HYBRID.hash_length) == (0x647A, 64)
    pair = XWING.generate()
    sealed = HYBRID.seal(pair.public, b"", b"hello")
    assert (len(pair.private), len(pair.public), len(sealed.kem_output)) == (32, 1216, 1120)


def test_the_key_of_the_drafts_first_vector() -> None:
    """draft-connolly-cfrg-xwing-kem-09, appendix C: the seed, and SHA-256 of its public key."""
    seed = bytes.fromhex("7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26")
    digest = hashlib.sha256(XWING.public_key(seed)).hexdigest()
    assert digest == "2e816deebcd76c5c80d0cd2d174478871658e8e2ff42bc9d4a6e486372e856bb"


def test_known_answers() -> None:
    """Made by this code and found the same by the npm package @hpke/hybridkem-x-wing 0.7.0.

    No output of an encapsulation is needed: one that is none has a secret too, of the seed and itself.
    """
    pair = XWING.derive_key_pair(b"seed" * 8)
    assert pair.private.hex() == "24d9b5fccd2a91e66c245b578e8ab391f2dc8e399994f3abc43e8b4b23c0e8cc"
    digest = hashlib.sha256(pair.public).hexdigest()
    assert digest == "a62c323ae39533b44aab03c034fd5b4a194650eee0937d2d2c92417dcaca5cd9"
    secret = XWING.decapsulate(bytes(1088) + b"\x09" + bytes(31), pair.private)
    assert secret.hex() == "54324024e37a7c3437c6dab0c557a5a03e8905335fa9afb1ba792f44592c7755"


def test_pyca_opens_with_its_own_keys_what_we_seal() -> None:
    suite = hpke.Suite(hpke.KEM.MLKEM768_X25519, hpke.KDF.HKDF_SHA512, hpke.AEAD.CHACHA20_POLY1305)
    lattice, curve = mlkem.MLKEM768PrivateKey.generate(), x25519.X25519PrivateKey.generate()
    public = lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()
    sealed = HYBRID.seal(public, b"info", b"hello")
    key = hpke.MLKEM768X25519PrivateKey(lattice, curve)
    assert suite.decrypt(sealed.kem_output + sealed.ciphertext, key, b"info") == b"hello"


def test_each_half_takes_part_in_the_secret() -> None:
    pair = XWING.generate()
    secret, output = XWING.encapsulate(pair.public)
    assert XWING.decapsulate(output, pair.private) == secret
    for place in (0, 1087, 1088, 1119):
        bent = bytearray(output)
        bent[place] ^= 1
        assert XWING.decapsulate(bytes(bent), pair.private) != secret


@pytest.mark.parametrize("place", [0, 500, 1087, 1088, 1118, 1120, -1])
def test_a_bent_ciphertext_does_not_open(place: int) -> None:
    """ML-KEM does not say that its part was changed; the AEAD under another key does."""
    pair = XWING.generate()
    sealed = HYBRID.seal(pair.public, b"info", b"hello")
    whole = bytearray(sealed.kem_output + sealed.ciphertext)
    whole[place] ^= 1
    with pytest.raises(SecretError) as refused:
        HYBRID.open(pair.private, b"info", HPKECiphertext(bytes(whole[:1120]), bytes(whole[1120:])))
    assert refused.value.rule == "hpke-open"


@pytest.mark.parametrize("length", [0, 31, 32, 1088, 1119, 1121, 1216])
def test_an_output_of_another_length_is_refused(length: int) -> None:
    pair = XWING.generate()
    with pytest.raises(ValidationError) as refused:
        XWING.decapsulate(bytes(length), pair.private)
    assert refused.value.rule == "hpke-public-key"
    with pytest.raises(ValidationError) as refused:
        check_kem_output(bytes(length), SUITE_HYBRID)
    assert refused.value.rule == "hpke-public-key"
    with pytest.raises(SecretError):
        HYBRID.open(pair.private, b"", HPKECiphertext(bytes(length), bytes(32)))


@pytest.mark.parametrize("length", [0, 32, 1184, 1215, 1217, 1120])
def test_a_key_of_another_length_is_refused(length: int) -> None:
    whole = XWING.generate()
    public = (whole.public * 2)[:length]
    with pytest.raises(ValidationError) as refused:
        XWING.load_public(public)
    assert refused.value.rule == "hpke-public-key"
    with pytest.raises(UsageError):
        XWING.load_private((whole.private * 50)[:length] if length != 32 else whole.private[:31])


def test_a_lattice_key_out_of_range_is_refused() -> None:
    """FIPS 203 section 7.2: each coefficient is below the modulus."""
    public = XWING.generate().public
    with pytest.raises(ValidationError) as refused:
        check_encryption_key(b"\xff" * 3 + public[3:], SUITE_HYBRID)
    assert refused.value.rule == "hpke-public-key"


@pytest.mark.parametrize("point", [bytes.fromhex(text) for text in SMALL_ORDER], ids=SMALL_ORDER)
def test_a_half_of_small_order_is_refused_everywhere(point: bytes) -> None:
    """The other half would do, but nobody has such a key by honest means."""
    pair = XWING.generate()
    public = pair.public[:-32] + point
    with pytest.raises(ValidationError) as refused:
        HYBRID.seal(public, b"", b"hello")
    assert refused.value.rule == "zero-shared-secret"
    with pytest.raises(ValidationError) as refused:
        check_encryption_key(public, SUITE_HYBRID)
    assert refused.value.rule == "encryption-key-order"
    _, output = XWING.encapsulate(pair.public)
    with pytest.raises(ValidationError) as refused:
        check_kem_output(output[:-32] + point, SUITE_HYBRID)
    assert refused.value.rule == "encryption-key-order"
    with pytest.raises(ValidationError) as refused:
        HYBRID.export_from(output[:-32] + point, pair.private, b"label", 32)
    assert refused.value.rule == "zero-shared-secret"
    with pytest.raises(SecretError):
        HYBRID.open(pair.private, b"", HPKECiphertext(output[:-32] + point, bytes(32)))


def test_a_group_of_the_hybrid_suite_lives_through_everything() -> None:
    """Paths warm and cold, a restart, who goes, who comes, and who comes back from outside."""
    alice, bob, carol = group_of("alice", "bob", "carol", suite=SUITE_HYBRID)
    for committer, others in ((alice, [bob, carol]), (bob, [alice, carol]), (carol, [alice, bob])):
        everybody_follows(committer.stage_commit(CommitPlan(update=True)), committer, others)
    alice, bob = restarted(alice), restarted(bob)
    everybody_follows(alice.stage_commit(CommitPlan(remove=(carol.own_leaf,))), alice, [bob])
    dave_is = identity("dave", SUITE_HYBRID)
    bundle = bundle_of(dave_is, SUITE_HYBRID)
    added = bob.stage_commit(CommitPlan(add=(bundle.key_package,), force_path=True))
    everybody_follows(added, bob, [alice])
    assert added.welcome is not None
    dave = Group.join(added.welcome, bundle, dave_is, tree=alice.tree_bytes()).group
    back = Group.join_externally(alice.group_info(), alice.tree_bytes(), bob.identity, remove=LeafIndex(1))
    for other in (alice, dave):
        other.merge(received(other, back.message))
    hear_each_other([alice, dave, Group.from_staged(back, bob.identity)])
