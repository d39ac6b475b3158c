"""How a profile comes to be on this disk, whole or not at all: of a new account, or one from elsewhere."""

import contextlib
import secrets
from collections.abc import Callable

import apsw

from securechat.client.config import ProfileFolder
from securechat.client.keystore import Keys, create_account, save_keys
from securechat.client.store import KEY_SIZE, ClientStore, create_store, remove_store


def keep_nothing(_db: apsw.Connection) -> None:
    """A profile begins with its keys alone."""


def make_profile(
    profile: ProfileFolder,
    keys: Keys,
    password: str,
    keep: Callable[[apsw.Connection], None] = keep_nothing,
) -> ClientStore:
    """Put new keys on the disk, sealed. Costs an Argon2id: runs in a thread.

    :param keep: stores what the profile begins with beside them
    """
    store_key = secrets.token_bytes(KEY_SIZE)
    store = create_store(profile.database, store_key)
    try:
        with store.transaction() as db:
            save_keys(db, keys)
            keep(db)
        # Last: a profile exists once this file does.
        create_account(profile, keys.server, keys.domain, password, store_key)
    except BaseException:
        store.close()
        abandon(profile)
        raise
    return store


def abandon(profile: ProfileFolder) -> None:
    """Take back a profile that no server has: its account file first, so that it does not exist."""
    profile.account.unlink(missing_ok=True)
    remove_store(profile.database)


def remove_if_empty(profile: ProfileFolder) -> None:
    """Leave no folder behind where there is no account. Whoever waits for its lock finds it gone."""
    if profile.exists or profile.database.exists():
        return
    with contextlib.suppress(OSError):
        profile.lock.unlink(missing_ok=True)
        profile.folder.rmdir()
