"""What opens a device is in the system's keyring or behind the password, and nowhere else (L-02)."""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from securechat.client import remembered
from securechat.client.config import Home, ProfileFolder, ServerAddress
from securechat.client.errors import StoreDamaged, StoreFailed
from securechat.client.keystore import create_account, unlock
from securechat.client.remembered import NoKeyring, forget, recalled, remember
from securechat.client.store_key import StoreKey

KEY = bytes(range(32))


class Backend:
    """A keyring that keeps in a dictionary, or fails."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}
        self.fails: Exception | None = None

    def get_password(self, service: str, user: str) -> str | None:
        self._maybe_fail()
        return self.kept.get((service, user))

    def set_password(self, service: str, user: str, password: str) -> None:
        self._maybe_fail()
        self.kept[service, user] = password

    def delete_password(self, service: str, user: str) -> None:
        self._maybe_fail()
        del self.kept[service, user]

    def _maybe_fail(self) -> None:
        if self.fails is not None:
            raise self.fails


def from_module(name: str) -> Backend:
    kind = type("Keyring", (Backend,), {"__module__": name})
    made: Backend = kind()
    return made


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The library, as far as it is used."""
    library, errors = ModuleType("keyring"), ModuleType("keyring.errors")
    chosen: Any = library
    chosen.chosen = from_module("keyring.backends.SecretService")
    chosen.get_keyring = lambda: chosen.chosen
    vars(errors)["KeyringError"] = type("KeyringError", (Exception,), {})
    chosen.errors = errors
    monkeypatch.setitem(sys.modules, "keyring", library)
    monkeypatch.setitem(sys.modules, "keyring.errors", errors)
    return library


@pytest.fixture
def profile(tmp_path: Path) -> ProfileFolder:
    home = Home(tmp_path / "home")
    home.make()
    profile = home.profile("alice")
    profile.folder.mkdir(0o700)
    create_account(profile, ServerAddress(), "chat.example", "a long enough password", KEY)
    return profile


def test_what_is_kept_is_the_stores_key_and_not_the_password(profile: ProfileFolder, keyring: Any) -> None:
    assert remember(profile, KEY) == "Secret Service"

    (kept,) = keyring.chosen.kept.values()
    assert kept == KEY.hex()
    found = recalled(profile)
    assert found is not None
    assert unlock(profile, found) == KEY
    assert KEY.hex() not in repr(found)
    assert str(KEY) not in repr(found)
    for path in profile.folder.iterdir():
        assert KEY not in path.read_bytes()
        assert KEY.hex().encode() not in path.read_bytes()


def test_who_did_not_ask_for_it_is_not_asked_for_a_keyring(
    profile: ProfileFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)

    assert recalled(profile) is None
    forget(profile)
    with pytest.raises(NoKeyring, match="pip install"):
        remember(profile, KEY)


@pytest.mark.parametrize(
    "module", ["keyrings.alt.file", "keyring.backends.null", "keyring.backends.fail", "some.plugin"]
)
def test_a_keyring_that_is_not_known_to_seal_gets_nothing(
    profile: ProfileFolder, keyring: Any, module: str
) -> None:
    keyring.chosen = from_module(module)

    with pytest.raises(NoKeyring, match=module):
        remember(profile, KEY)
    assert keyring.chosen.kept == {}
    assert not profile.remembered.exists()


def test_of_several_the_one_that_seals_is_used(profile: ProfileFolder, keyring: Any) -> None:
    sealed = from_module("keyring.backends.kwallet")
    chain: Any = from_module("keyring.backends.chainer")
    chain.backends = [from_module("keyrings.alt.file"), sealed]
    keyring.chosen = chain

    assert remember(profile, KEY) == "KWallet"
    assert recalled(profile) == StoreKey(KEY)
    assert len(sealed.kept) == 1


def test_what_is_forgotten_is_in_no_keyring(profile: ProfileFolder, keyring: Any) -> None:
    remember(profile, KEY)
    forget(profile)

    assert keyring.chosen.kept == {}
    assert recalled(profile) is None


def test_what_was_remembered_is_forgotten_without_anything_else_of_the_account(
    profile: ProfileFolder, keyring: Any
) -> None:
    remember(profile, KEY)
    profile.account.write_bytes(b"what a wipe that died has left")
    forget(profile)

    assert keyring.chosen.kept == {}
    assert not profile.remembered.exists()


def test_a_key_in_the_keyring_is_never_without_its_mark(
    profile: ProfileFolder, keyring: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_path: Path, _data: bytes) -> None:
        raise StoreFailed("no space left")

    with monkeypatch.context() as patch:
        patch.setattr(remembered, "replace_file", full)
        with pytest.raises(StoreFailed):
            remember(profile, KEY)
    assert keyring.chosen.kept == {}

    keyring.chosen.fails = keyring.errors.KeyringError("it kept it, or not")
    with pytest.raises(NoKeyring):
        remember(profile, KEY)
    assert remembered.remembered_as(profile).startswith("alice@chat.example ")


@pytest.mark.parametrize("mark", [b"", b"\xff\xff", b"bob@chat.example 0123456789abcdef", b"alice@x\n" * 99])
def test_a_damaged_mark_is_said_and_leads_to_nobodys_entry(
    profile: ProfileFolder, keyring: Any, mark: bytes
) -> None:
    remember(profile, KEY)
    profile.remembered.write_bytes(mark)

    for act in (recalled, forget):
        with pytest.raises(StoreDamaged, match="keyring"):
            act(profile)
    assert len(keyring.chosen.kept) == 1


def test_a_keyring_that_fails_is_said_and_one_that_lost_it_is_not(
    profile: ProfileFolder, keyring: Any
) -> None:
    remember(profile, KEY)
    keyring.chosen.fails = keyring.errors.KeyringError("locked")
    for act in (recalled, forget):
        with pytest.raises(NoKeyring, match="did not answer"):
            act(profile)
    assert profile.remembered.exists()

    keyring.chosen.fails = None
    for kept in ("", "zz", "00" * 31):
        keyring.chosen.kept = dict.fromkeys(keyring.chosen.kept, kept)
        assert recalled(profile) is None
    keyring.chosen.kept = {}
    assert recalled(profile) is None
