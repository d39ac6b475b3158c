"""C2SP's Wycheproof vectors through our own wrappers: what a test of each kind must come to.

A kind is told by what its group says of itself, so that other files of these kinds can be given. Policy:
an X25519 key of small order is refused wherever it turns up, a non-canonical one is computed with
(RFC 7748); a point is never compressed; a signature is what OpenSSL accepts, malleable ones are refused.
ML-KEM is only ever a half of X-Wing, so its vectors go through that, the other half being known.
"""

import hashlib
import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.hazmat.primitives.asymmetric import mlkem, x25519

from securechat.mls.aead import AES_128_GCM, AES_256_GCM, CHACHA20_POLY1305
from securechat.mls.cipher_suite import SUITES
from securechat.mls.errors import SecretError, UsageError, ValidationError
from securechat.mls.kdf import HKDF_SHA256, HKDF_SHA384, HKDF_SHA512
from securechat.mls.kem import P256, P384, P521, X25519, XWING, load_lattice
from securechat.mls.signature import ECDSA_P256, ECDSA_P384, ECDSA_P521, ED25519, verify

Case = dict[str, Any]

_AEADS: Final = {
    ("CHACHA20-POLY1305", 256): CHACHA20_POLY1305,
    ("AES-GCM", 128): AES_128_GCM,
    ("AES-GCM", 192): AES_128_GCM,  # none of ours takes such a key
    ("AES-GCM", 256): AES_256_GCM,
}
_KDFS: Final = {"HKDF-SHA-256": HKDF_SHA256, "HKDF-SHA-384": HKDF_SHA384, "HKDF-SHA-512": HKDF_SHA512}
_MACS: Final = {"HMACSHA256": SUITES[3], "HMACSHA384": SUITES[7], "HMACSHA512": SUITES[5]}
_CURVES: Final = {"curve25519": X25519, "secp256r1": P256, "secp384r1": P384, "secp521r1": P521}
_ECDSA: Final = {
    ("secp256r1", "SHA-256"): ECDSA_P256,
    ("secp384r1", "SHA-384"): ECDSA_P384,
    ("secp521r1", "SHA-512"): ECDSA_P521,
}

_CURVE_KEY: Final = x25519.X25519PrivateKey.from_private_bytes(b"the other half of a hybrid key..")
_CURVE_PUBLIC: Final = _CURVE_KEY.public_key().public_bytes_raw()
_CURVE_OUTPUT: Final = x25519.X25519PrivateKey.from_private_bytes(bytes(32)).public_key()


def check_file(path: Path) -> int:
    """Check every test of a file and return how many there are; AssertionError names one that is wrong."""
    data = json.loads(path.read_bytes())
    count = 0
    for group in data["testGroups"]:
        check = _CHECKS[group["type"]]
        for test in group["tests"]:
            count += 1
            case = {key: _bytes(value) for key, value in test.items()}
            case["valid"] = test["result"] == "valid"
            try:
                check({**group, "algorithm": data["algorithm"]}, case)
            except Exception as error:
                raise AssertionError(f"{path.name}: test {test['tcId']}") from error
    assert count == data["numberOfTests"]
    return count


def _bytes(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return bytes.fromhex(value)
    except ValueError:
        return value


def _exchange(group: Case, case: Case) -> None:
    kem = _CURVES[group["curve"]]
    if kem is X25519 and case["shared"] == bytes(32):
        with pytest.raises(ValidationError, match="zero-shared-secret"):
            kem.exchange(case["private"], case["public"])
    elif len(case["public"]) != kem.public_length or case["result"] == "invalid":
        with pytest.raises(ValidationError, match="hpke-public-key"):
            kem.exchange(case["private"], case["public"])
    else:
        assert kem.exchange(case["private"], case["public"]) == case["shared"]


def _aead(group: Case, case: Case) -> None:
    aead = _AEADS[group["algorithm"], group["keySize"]]
    key, nonce, sealed = case["key"], case["iv"], case["ct"] + case["tag"]
    if (len(key), len(nonce)) != (aead.key_length, aead.nonce_length):
        with pytest.raises(UsageError):
            aead.open(key, nonce, sealed, aad=case["aad"])
        with pytest.raises(UsageError):
            aead.seal(key, nonce, case["msg"], aad=case["aad"])
    elif case["valid"]:
        assert aead.open(key, nonce, sealed, aad=case["aad"]) == case["msg"]
        assert aead.seal(key, nonce, case["msg"], aad=case["aad"]) == sealed
    else:
        with pytest.raises(SecretError):
            aead.open(key, nonce, sealed, aad=case["aad"])


def _eddsa(group: Case, case: Case) -> None:
    public = bytes.fromhex(group["publicKey"]["pk"])
    assert verify(ED25519, public, case["msg"], signature=case["sig"]) == case["valid"]


def _ecdsa(group: Case, case: Case) -> None:
    key = group["publicKey"]
    public = bytes.fromhex(key["uncompressed"])
    scheme = _ECDSA[key["curve"], group["sha"]]
    assert verify(scheme, public, case["msg"], signature=case["sig"]) == case["valid"]


def _hkdf(group: Case, case: Case) -> None:
    kdf = _KDFS[group["algorithm"]]
    extracted = kdf.extract(case["salt"], case["ikm"])
    if case["valid"]:
        assert kdf.expand(extracted, case["info"], case["size"]) == case["okm"]
    else:
        with pytest.raises(UsageError):
            kdf.expand(extracted, case["info"], case["size"])


def _mac(group: Case, case: Case) -> None:
    """There are truncated tags too; ours are always whole, so a short one never matches."""
    suite = _MACS[group["algorithm"]]
    length = group["tagSize"] // 8
    computed = suite.mac(case["key"], case["msg"])
    assert hmac.compare_digest(computed[:length], case["tag"]) == case["valid"]
    matches = suite.mac_matches(case["key"], case["msg"], tag=case["tag"])
    assert matches == (case["valid"] and length == suite.hash_length)


def _ml_kem(_group: Case, case: Case) -> None:
    """A ciphertext that was bent gives the secret of the implicit rejection: no other one, and no error."""
    if len(case["seed"]) != 64:
        with pytest.raises(UsageError):
            load_lattice(case["seed"])
        return
    lattice, output = _lattice(case), case["c"] + _CURVE_OUTPUT.public_bytes_raw()
    if case["valid"]:
        exchanged = _CURVE_KEY.exchange(_CURVE_OUTPUT)
        halves = case["K"] + exchanged + _CURVE_OUTPUT.public_bytes_raw() + _CURVE_PUBLIC
        secret = hashlib.sha3_256(halves + rb"\.//^" + b"\\").digest()
        assert XWING.decapsulated(output, lattice, _CURVE_KEY) == secret
    else:
        with pytest.raises(ValidationError, match="hpke-public-key"):
            XWING.decapsulated(output, lattice, _CURVE_KEY)


def _ml_kem_seed(_group: Case, case: Case) -> None:
    _lattice(case)


def _lattice(case: Case) -> mlkem.MLKEM768PrivateKey:
    """Return the key of a seed, its public half being the one that the case says and we take."""
    lattice = load_lattice(case["seed"])
    assert lattice.public_key().public_bytes_raw() == case["ek"]
    XWING.load_public(case["ek"] + _CURVE_PUBLIC)
    return lattice


def _ml_kem_public(_group: Case, case: Case) -> None:
    """What is sealed is drawn by pyca; that a key is none is ours to say (FIPS 203 section 7.2)."""
    if case["valid"]:
        XWING.load_public(case["ek"] + _CURVE_PUBLIC)
    else:
        with pytest.raises(ValidationError, match="hpke-public-key"):
            XWING.load_public(case["ek"] + _CURVE_PUBLIC)


def _never_loaded(_group: Case, _case: Case) -> None:
    """Our ML-KEM keys are kept and loaded as seeds, never expanded."""


_CHECKS: Final[dict[str, Callable[[Case, Case], None]]] = {
    "XdhComp": _exchange,
    "EcdhEcpointTest": _exchange,
    "AeadTest": _aead,
    "EddsaVerify": _eddsa,
    "EcdsaVerify": _ecdsa,
    "HkdfTest": _hkdf,
    "MacTest": _mac,
    "MLKEMTest": _ml_kem,
    "MLKEMKeyGen": _ml_kem_seed,
    "MLKEMEncapsTest": _ml_kem_public,
    "MLKEMDecapsValidationTest": _never_loaded,
}
