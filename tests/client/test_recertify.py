"""M-07: a certificate is issued anew, with the suites of this release, where the password is typed."""

from dataclasses import replace
from pathlib import Path

import pytest

from securechat.client.errors import WrongPassword
from securechat.client.keystore import Keys, load_keys, save_keys, seal_account_key
from securechat.client.recertify import with_all_suites
from securechat.client.store import ClientStore
from securechat.membership.identity import certificate_holds, make_client_credential, read_identity
from securechat.membership.passwords import stretch
from securechat.membership.room import PRODUCT_SUITES
from securechat.membership.signing import public_of
from tests.client.parts import a_store
from tests.client.test_keystore import ACCOUNT_KEY, DEVICE_KEY, PASSWORD, example_keys

pytestmark = pytest.mark.usefixtures("cheap_argon2")


def certified(suites: tuple[int, ...]) -> Keys:
    keys = example_keys()
    opened = stretch(PASSWORD, domain=keys.domain, user=keys.user, salt=keys.login_salt)
    credential = make_client_credential(
        domain=keys.domain,
        user=keys.user,
        client=keys.client,
        account_key=ACCOUNT_KEY,
        signature_key_public=public_of(DEVICE_KEY),
        suites=suites,
        generation=4,
    )
    sealed = seal_account_key(opened.vault_key, ACCOUNT_KEY, domain=keys.domain, user=keys.user)
    return replace(keys, credential=credential, account_key_sealed=sealed)


def stored(folder: Path, keys: Keys) -> ClientStore:
    store = a_store(folder)
    with store.transaction() as db:
        save_keys(db, keys)
    return store


def test_the_new_certificate_lists_more_and_says_nothing_else(tmp_path: Path) -> None:
    keys = certified((3,))
    store = stored(tmp_path, keys)
    old, new = read_identity(keys.credential), with_all_suites(store, keys, PASSWORD)

    credential = read_identity(new.credential)
    assert credential.suites == PRODUCT_SUITES
    assert (credential.client, credential.generation) == (old.client, 4)
    assert certificate_holds(credential, public_of(DEVICE_KEY))
    assert load_keys(store).credential == new.credential
    store.close()


def test_a_certificate_that_lists_all_is_left_alone_and_no_password_stretched(tmp_path: Path) -> None:
    keys = certified(PRODUCT_SUITES)
    store = stored(tmp_path, keys)
    assert with_all_suites(store, keys, "another password altogether") is keys
    store.close()


def test_a_password_that_does_not_open_the_account_key_changes_nothing(tmp_path: Path) -> None:
    keys = certified((3,))
    store = stored(tmp_path, keys)
    with pytest.raises(WrongPassword):
        with_all_suites(store, keys, "another password altogether")
    assert load_keys(store).credential == keys.credential
    store.close()
