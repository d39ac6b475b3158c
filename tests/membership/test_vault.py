"""The vault: opened by its key for its user, and by nothing else (N-02, rules.md D)."""

from functools import cache

import pytest

from securechat.membership.signing import load_key, public_of
from securechat.membership.vault import (
    Opener,
    VaultContent,
    VaultRefused,
    open_vault,
    read_vault,
    replace_password,
    seal_vault,
)

ALICE = "mimi://chat.example/u/alice"
RECOVERY, PASSWORD, NEW_PASSWORD = b"r" * 32, b"p" * 32, b"n" * 32
ACCOUNT_KEY = load_key(b"k" * 32)
CONTENT = VaultContent(ACCOUNT_KEY, b"s" * 32, 4)
BY_RECOVERY, BY_PASSWORD = Opener(RECOVERY), Opener(PASSWORD, by_password=True)


@cache
def both() -> bytes:
    return seal_vault(CONTENT, user=ALICE, serial=7, recovery=RECOVERY, password=PASSWORD)


def opened(
    data: bytes, opener: Opener = BY_RECOVERY, *, user: str = ALICE, at_least: int = 7
) -> VaultContent:
    return open_vault(data, opener, user=user, at_least=at_least)


@pytest.mark.parametrize("opener", [BY_RECOVERY, BY_PASSWORD], ids=["recovery key", "password"])
def test_a_vault_is_opened_by_either_of_its_keys(opener: Opener) -> None:
    content = opened(both(), opener)
    assert public_of(content.account_key) == public_of(ACCOUNT_KEY)
    assert (content.account_secret, content.statement) == (b"s" * 32, 4)


def test_a_password_opens_only_what_was_sealed_for_it() -> None:
    data = seal_vault(CONTENT, user=ALICE, serial=7, recovery=RECOVERY)
    assert opened(data).account_secret == CONTENT.account_secret
    with pytest.raises(VaultRefused, match="only the recovery key"):
        opened(data, BY_PASSWORD)


@pytest.mark.parametrize("opener", [BY_RECOVERY, BY_PASSWORD], ids=["recovery key", "password"])
def test_n_02_a_vault_with_any_bit_flipped_opens_for_nobody(opener: Opener) -> None:
    data = both()
    for place in range(len(data) * 8):
        flipped = bytearray(data)
        flipped[place // 8] ^= 1 << place % 8
        with pytest.raises(VaultRefused):
            opened(bytes(flipped), opener, at_least=0)


def test_a_vault_cut_short_or_with_something_behind_it_is_none() -> None:
    for length in range(len(both())):
        with pytest.raises(VaultRefused):
            opened(both()[:length])
    with pytest.raises(VaultRefused):
        opened(both() + b"\0")


@pytest.mark.parametrize(
    "opener",
    [Opener(b"x" * 32), Opener(PASSWORD), Opener(RECOVERY, by_password=True), Opener(b""), Opener(b"r" * 31)],
    ids=["another key", "password as recovery key", "recovery key as password", "empty", "short"],
)
def test_another_key_opens_nothing(opener: Opener) -> None:
    with pytest.raises(VaultRefused):
        opened(both(), opener)


def test_a_vault_is_of_one_user() -> None:
    with pytest.raises(VaultRefused):
        opened(both(), user="mimi://chat.example/u/bob")
    with pytest.raises(VaultRefused):
        opened(both(), user="mimi://other.example/u/alice")


def test_n_02_a_serial_below_the_known_one_is_refused() -> None:
    with pytest.raises(VaultRefused, match="hides a newer one"):
        opened(both(), at_least=8)
    assert opened(both(), at_least=6).statement == 4


def test_the_parts_of_two_vaults_do_not_fit_each_other() -> None:
    older = read_vault(both(), at_least=0)
    newer = seal_vault(CONTENT, user=ALICE, serial=8, recovery=RECOVERY, password=PASSWORD)
    for part in (older.by_recovery, older.by_password, older.sealed):
        for theirs in (read_vault(newer, at_least=0),):
            for name in ("by_recovery", "by_password", "sealed"):
                with pytest.raises(VaultRefused):
                    opened(newer.replace(getattr(theirs, name), part), at_least=0)


def test_a_new_password_takes_the_place_of_the_old_and_the_recovery_key_stays() -> None:
    after = replace_password(both(), BY_PASSWORD, user=ALICE, serial=8, statement=5, password=NEW_PASSWORD)

    for opener in (BY_RECOVERY, Opener(NEW_PASSWORD, by_password=True)):
        content = opened(after, opener, at_least=8)
        assert (content.account_secret, content.statement) == (CONTENT.account_secret, 5)
    with pytest.raises(VaultRefused):
        opened(after, BY_PASSWORD)


def test_nothing_that_is_sealed_lies_in_the_clear_or_is_printed() -> None:
    for secret in (ACCOUNT_KEY.private_bytes_raw(), CONTENT.account_secret, RECOVERY, PASSWORD):
        assert secret not in both()
    assert "s" * 32 not in repr(CONTENT)
    assert "rrrr" not in repr(BY_RECOVERY)
