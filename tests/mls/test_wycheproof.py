"""M-05: C2SP's Wycheproof vectors through our own wrappers, all 1,447 of them, and others of these kinds."""

import pytest

from tests.mls.vector_files import folder_or_skip, names_of
from tests.mls.wycheproof import check_file

TESTS = {
    "chacha20_poly1305_test.json": 325,
    "ed25519_test.json": 151,
    "hkdf_sha256_test.json": 86,
    "hmac_sha256_test.json": 174,
    "mlkem_768_test.json": 193,
    "x25519_test.json": 518,
}


@pytest.mark.parametrize("name", names_of("wycheproof", TESTS))
def test_wycheproof(name: str) -> None:
    count = check_file(folder_or_skip("wycheproof") / name)
    assert count >= TESTS.get(name, 1)
