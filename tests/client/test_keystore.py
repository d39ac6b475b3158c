import hashlib
from pathlib import Path

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from securechat.client.config import Home, ProfileFolder, ServerAddress
from securechat.client.errors import NoProfile, StoreDamaged, StoreTooNew, UnsafeFile, WrongPassword
from securechat.client.keystore import (
    Keys,
    create_account,
    drop_next,
    load_keys,
    mark_registered,
    next_salt,
    open_account_key,
    prepare_account,
    read_account,
    save_keys,
    seal_account_key,
    take_next,
    unlock,
    write_next,
)
from securechat.client.private_files import create_file
from securechat.client.store import ClientStore, create_store
from securechat.membership.signing import load_key
from securechat.membership.statement import make_statement

PASSWORD = "canary staple battery horse"
KEY = bytes(range(32))
SERVER = ServerAddress("localhost", 7443)
DEVICE_KEY = Ed25519PrivateKey.generate()
ACCOUNT_KEY = Ed25519PrivateKey.generate()


pytestmark = pytest.mark.usefixtures("cheap_argon2")


@pytest.fixture
def profile(tmp_path: Path) -> ProfileFolder:
    profile = Home(tmp_path).profile("alice")
    profile.folder.mkdir(0o700)
    return profile


@pytest.fixture
def account(profile: ProfileFolder) -> ProfileFolder:
    create_account(profile, SERVER, "example.org", PASSWORD, KEY)
    return profile


def example_keys() -> Keys:
    return Keys(
        user="alice",
        client="c" * 16,
        domain="example.org",
        server=SERVER,
        server_key=bytes(32),
        login_salt=bytes(16),
        device_key=DEVICE_KEY,
        account_key=ACCOUNT_KEY.public_key().public_bytes_raw(),
        account_key_sealed=seal_account_key(KEY, ACCOUNT_KEY, domain="example.org", user="alice"),
        credential=b"credential",
        statement=make_statement(
            load_key(bytes(32)), user="mimi://example.org/u/alice", devices=(), issued_at=1
        ),
    )


def tree(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}


def test_the_password_opens_the_stores_key(account: ProfileFolder) -> None:
    assert unlock(account, PASSWORD) == KEY
    assert read_account(account).address == SERVER
    assert read_account(account).domain == "example.org"


def test_a_wrong_password_opens_nothing_and_changes_nothing(account: ProfileFolder) -> None:
    before = tree(account.folder)

    for wrong in ("", PASSWORD + " ", PASSWORD.upper(), "x" * 5000, "\ud800", PASSWORD + "\0"):
        with pytest.raises(WrongPassword, match="the password of alice is wrong"):
            unlock(account, wrong)

    assert tree(account.folder) == before


def test_a_password_is_the_same_however_it_is_composed(profile: ProfileFolder) -> None:
    """A-03: NFC and NFD of one password are one password."""
    create_account(profile, SERVER, "example.org", "caf\u00e9 au lait, s'il vous", KEY)

    assert unlock(profile, "cafe\u0301 au lait, s'il vous") == KEY


def test_an_account_is_made_once(account: ProfileFolder) -> None:
    with pytest.raises(FileExistsError):
        create_account(account, SERVER, "example.org", "another password", bytes(32))
    assert unlock(account, PASSWORD) == KEY


def test_without_an_account_there_is_no_profile(profile: ProfileFolder, tmp_path: Path) -> None:
    for absent in (profile, Home(tmp_path / "nowhere").profile("alice")):
        with pytest.raises(NoProfile, match="securechat register alice"):
            unlock(absent, PASSWORD)


def test_a_damaged_account_file_is_told_from_a_wrong_password(account: ProfileFolder) -> None:
    """C-05: whichever byte is broken."""
    whole = account.account.read_bytes()
    for place in range(0, len(whole), 7):
        account.account.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises((StoreDamaged, StoreTooNew)):
            read_account(account)
    for cut in (0, 1, len(whole) // 2):
        account.account.write_bytes(whole[:cut])
        with pytest.raises(StoreDamaged, match="restore the folder"):
            unlock(account, PASSWORD)


def test_a_file_that_names_another_server_does_not_open(account: ProfileFolder) -> None:
    """Whoever can write the file can mend its checksum, not the seal."""
    file = msgspec.structs.replace(read_account(account), server="evil.example:7443")
    file = msgspec.structs.replace(file, check=file.checksum())
    account.account.write_bytes(msgspec.json.encode(file))

    with pytest.raises(WrongPassword):
        unlock(account, PASSWORD)


def test_an_account_of_a_later_release_or_of_another_user_is_refused(account: ProfileFolder) -> None:
    for changed, error in ({"version": 2}, StoreTooNew), ({"user": "bob"}, StoreDamaged):
        file = msgspec.structs.replace(read_account(account), **changed)
        whole = account.account.read_bytes()
        account.account.write_bytes(msgspec.json.encode(msgspec.structs.replace(file, check=file.checksum())))
        with pytest.raises(error):
            read_account(account)
        account.account.write_bytes(whole)


def test_a_folder_or_file_that_others_may_read_is_refused(account: ProfileFolder) -> None:
    """L-01."""
    account.account.chmod(0o644)
    with pytest.raises(UnsafeFile, match="chmod 600"):
        unlock(account, PASSWORD)
    account.account.chmod(0o600)
    account.folder.chmod(0o755)
    with pytest.raises(UnsafeFile, match="chmod 700"):
        unlock(account, PASSWORD)


def test_a_link_in_the_place_of_an_account_file_is_refused(profile: ProfileFolder, tmp_path: Path) -> None:
    """L-01."""
    create_file(tmp_path / "elsewhere", b"{}")
    profile.account.symlink_to(tmp_path / "elsewhere")

    with pytest.raises(UnsafeFile, match="symbolic link"):
        read_account(profile)


def test_the_keys_come_back_as_they_were_stored(tmp_path: Path) -> None:
    keys = example_keys()
    with create_store(tmp_path / "store.db", KEY) as store, store.transaction() as db:
        save_keys(db, keys)

    with ClientStore(tmp_path / "store.db", KEY) as store:
        found = load_keys(store)
        assert found.device_key.private_bytes_raw() == keys.device_key.private_bytes_raw()
        assert not found.registered
        with store.transaction() as db:
            mark_registered(db)
        assert load_keys(store).registered


def test_a_store_without_keys_is_damaged(tmp_path: Path) -> None:
    with create_store(tmp_path / "store.db", KEY) as store, pytest.raises(StoreDamaged):
        load_keys(store)


def test_the_account_key_opens_under_its_own_vault_key_only() -> None:
    sealed = seal_account_key(KEY, ACCOUNT_KEY, domain="example.org", user="alice")

    opened = open_account_key(KEY, sealed, domain="example.org", user="alice")
    assert opened.private_bytes_raw() == ACCOUNT_KEY.private_bytes_raw()
    for key, data, user in (
        (bytes(32), sealed, "alice"),
        (KEY, sealed, "bob"),
        (KEY, sealed[:-1], "alice"),
        (KEY, b"", "alice"),
    ):
        with pytest.raises(WrongPassword):
            open_account_key(key, data, domain="example.org", user=user)


def test_nothing_secret_is_in_the_files_or_in_what_is_printed(account: ProfileFolder) -> None:
    """L-02: the password, the store's key and the private keys are in no file; G-01: nor in a repr."""
    keys = example_keys()
    with create_store(account.database, KEY) as store:
        with store.transaction() as db:
            save_keys(db, keys)
        written = b"".join(file.read_bytes() for file in account.folder.iterdir())

    secret = [PASSWORD.encode(), KEY, DEVICE_KEY.private_bytes_raw(), ACCOUNT_KEY.private_bytes_raw()]
    for canary in secret:
        assert canary not in written
        assert canary.hex().encode() not in written
    assert "private" not in repr(keys).lower()
    assert keys.account_key_sealed.hex() not in repr(keys)
    assert repr(keys.account_key_sealed) not in repr(keys)


NEXT = "another canary staple battery"


def test_a_09_while_a_password_is_changed_either_opens_and_nothing_else_does(account: ProfileFolder) -> None:
    write_next(account, prepare_account(account, NEXT, KEY).data)

    assert unlock(account, PASSWORD) == unlock(account, NEXT) == KEY
    with pytest.raises(WrongPassword):
        unlock(account, PASSWORD + NEXT)


def test_a_09_a_password_that_was_changed_opens_nothing_any_more(account: ProfileFolder) -> None:
    prepared = prepare_account(account, NEXT, KEY)
    write_next(account, prepared.data)
    assert next_salt(account) == prepared.salt
    take_next(account)
    take_next(account)  # once more after a kill: nothing is left to be done

    assert unlock(account, NEXT) == KEY
    assert (read_account(account).salt, next_salt(account)) == (prepared.salt, b"")
    with pytest.raises(WrongPassword):
        unlock(account, PASSWORD)


def test_a_password_that_did_not_come_opens_nothing(account: ProfileFolder) -> None:
    before = tree(account.folder)
    write_next(account, prepare_account(account, NEXT, KEY).data)
    drop_next(account)

    assert tree(account.folder) == before
    with pytest.raises(WrongPassword):
        unlock(account, NEXT)
