"""M-05: C2SP's Wycheproof vectors through our own wrappers, all 1,254 of them.

Policy: an X25519 key of small order is refused wherever it turns up, a non-canonical one is
computed with (RFC 7748); an Ed25519 signature is what OpenSSL accepts, malleable ones are refused.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from securechat.mls.aead import CHACHA20_POLY1305
from securechat.mls.cipher_suite import SUITE_3
from securechat.mls.errors import SecretError, UsageError, ValidationError
from securechat.mls.kdf import HKDF_SHA256
from securechat.mls.kem import exchange_x25519
from securechat.mls.signature import ED25519, verify
from tests.mls.vector_files import folder_or_skip

Case = dict[str, Any]


def cases(name: str) -> Iterator[tuple[Case, Case]]:
    """Yield (group, test) of one file, and see that it is as long as it says."""
    data = json.loads((folder_or_skip("wycheproof") / f"{name}_test.json").read_bytes())
    count = 0
    for group in data["testGroups"]:
        for test in group["tests"]:
            count += 1
            yield group, {key: _bytes(value) for key, value in test.items()}
    assert count == data["numberOfTests"]


def _bytes(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return bytes.fromhex(value)
    except ValueError:
        return value


def test_x25519() -> None:
    for _, case in cases("x25519"):
        if case["shared"] == bytes(32):
            with pytest.raises(ValidationError) as refused:
                exchange_x25519(case["private"], case["public"])
            assert refused.value.rule == "zero-shared-secret"
        else:
            assert exchange_x25519(case["private"], case["public"]) == case["shared"], case["tcId"]


def test_chacha20_poly1305() -> None:
    for _, case in cases("chacha20_poly1305"):
        sealed = case["ct"] + case["tag"]
        if len(case["iv"]) != 12:
            with pytest.raises(UsageError):
                CHACHA20_POLY1305.open(case["key"], case["iv"], sealed, aad=case["aad"])
            with pytest.raises(UsageError):
                CHACHA20_POLY1305.seal(case["key"], case["iv"], case["msg"], aad=case["aad"])
        elif case["result"] == "valid":
            opened = CHACHA20_POLY1305.open(case["key"], case["iv"], sealed, aad=case["aad"])
            assert opened == case["msg"], case["tcId"]
            again = CHACHA20_POLY1305.seal(case["key"], case["iv"], case["msg"], aad=case["aad"])
            assert again == sealed
        else:
            with pytest.raises(SecretError):
                CHACHA20_POLY1305.open(case["key"], case["iv"], sealed, aad=case["aad"])


def test_ed25519() -> None:
    for group, case in cases("ed25519"):
        public = bytes.fromhex(group["publicKey"]["pk"])
        holds = verify(ED25519, public, case["msg"], signature=case["sig"])
        assert holds == (case["result"] == "valid"), case["tcId"]


def test_hkdf_sha256() -> None:
    for _, case in cases("hkdf_sha256"):
        extracted = HKDF_SHA256.extract(case["salt"], case["ikm"])
        if case["result"] == "valid":
            expanded = HKDF_SHA256.expand(extracted, case["info"], case["size"])
            assert expanded == case["okm"], case["tcId"]
        else:
            with pytest.raises(UsageError):
                HKDF_SHA256.expand(extracted, case["info"], case["size"])


def test_hmac_sha256() -> None:
    """Wycheproof has truncated tags too; ours are always whole, so a short one never matches."""
    for group, case in cases("hmac_sha256"):
        length = group["tagSize"] // 8
        computed = SUITE_3.mac(case["key"], case["msg"])
        assert (computed[:length] == case["tag"]) == (case["result"] == "valid"), case["tcId"]
        matches = SUITE_3.mac_matches(case["key"], case["msg"], tag=case["tag"])
        assert matches == (case["result"] == "valid" and length == 32), case["tcId"]
