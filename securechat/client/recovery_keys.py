"""Making the recovery key of an account: with the account, or later (rules.md D, N-02).

A recovery key is shown once, to who owns the account, and is kept nowhere: not here, not at the server. Until
it was shown, a registration whose answer was lost keeps it in the encrypted store, so that the same command
goes on with the same one.
"""

import asyncio
import time
from dataclasses import dataclass

import apsw
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from securechat.client.account_link import Place, as_device, asked, own_statement
from securechat.client.account_opening import open_account
from securechat.client.keystore import (
    Keys,
    load_keys,
    replace_statement,
    unlock,
    with_account_secret,
)
from securechat.client.lock import ProfileLock
from securechat.client.password_change import settle
from securechat.client.store import ClientStore
from securechat.membership.account import next_statement
from securechat.membership.recovery_key import RecoveryKey, derive, new_recovery_key
from securechat.membership.signing import public_of
from securechat.membership.statement import verify_statement
from securechat.membership.vault import VaultContent, seal_vault
from securechat.names import user_uri
from securechat.protocol.messages import ChangeAccount


async def make_recovery_key(place: Place, password: str, *, password_opens: bool) -> RecoveryKey:
    """Make an account another recovery key; the one before it opens nothing any more.

    :param password_opens: the password opens the vault too
    :raises WrongPassword, ProfileBusy, NoProfile, RefusedByServer: nothing was changed
    :raises Disconnected, Unreachable: it is not known which key holds; make another one
    """
    profile = place.home.profile(place.user)
    with ProfileLock(profile):
        store_key = await asyncio.to_thread(unlock, profile, password)
        with ClientStore(profile.database, store_key) as store:
            settle(profile, store)
            keys = with_account_secret(store, load_keys(store))
            account_key, stretched = await asyncio.to_thread(open_account, store, keys, password)
            async with as_device(place, keys) as link:
                uri, now = user_uri(keys.domain, keys.user), int(time.time())
                previous = await own_statement(link, store, keys, uri, now=now)
                last = verify_statement(previous)
                serial = last.vault_serial + 1
                made = next_statement(
                    account_key, previous=previous, issued_at=now, vault_serial=serial, by=keys.client
                )
                key = new_recovery_key()
                opened = derive(key, domain=keys.domain, user=keys.user)
                vault = seal_vault(
                    VaultContent(account_key, keys.account_secret, last.serial + 1),
                    user=uri,
                    serial=serial,
                    recovery=opened.vault_key,
                    password=stretched.vault_key if password_opens else None,
                )
                public = public_of(opened.login_key)
                await asked(link, ChangeAccount(made.statement, vault=vault, recovery_key=public))
                with store.transaction() as db:
                    replace_statement(db, made.statement)
    return key


@dataclass(frozen=True, slots=True)
class FirstVault:
    """What an account begins with, beside its keys."""

    key: RecoveryKey
    vault: bytes
    public: bytes
    """Of the recovery key's login key."""


def first_vault(account_key: Ed25519PrivateKey, keys: Keys, *, password: bytes | None) -> FirstVault:
    """Make the recovery key and the vault that come with an account's first statement.

    :param password: its vault key, if it is to open the vault too
    """
    key = new_recovery_key()
    opened = derive(key, domain=keys.domain, user=keys.user)
    vault = seal_vault(
        VaultContent(account_key, keys.account_secret, 1),
        user=user_uri(keys.domain, keys.user),
        serial=1,
        recovery=opened.vault_key,
        password=password,
    )
    return FirstVault(key, vault, public_of(opened.login_key))


def keep_first(first: FirstVault, db: apsw.Connection) -> None:
    """Keep what is sent, in the caller's transaction; the key itself until the account is registered."""
    db.execute(
        "UPDATE profile SET recovery_key = ?, first_vault = ?, recovery_public = ?",
        (first.key.text, first.vault, first.public),
    )


def keep_until_shown(db: apsw.Connection, key: RecoveryKey) -> None:
    """Keep another key of an account that is being brought back, in the caller's transaction."""
    db.execute("UPDATE profile SET recovery_key = ?", (key.text,))


def kept_vault(store: ClientStore) -> tuple[bytes, bytes | None]:
    """Return what the account began with: the vault, and the public half of the recovery key's login key."""
    row = store.row("SELECT first_vault, recovery_public FROM profile")
    return (b"", None) if row is None else (row[0], row[1] or None)


def not_shown_yet(store: ClientStore) -> RecoveryKey | None:
    """The key that was made with an account that is not registered yet; None if it has none."""
    text = store.value("SELECT recovery_key FROM profile")
    return RecoveryKey(str(text)) if text else None


def forget(db: apsw.Connection) -> None:
    """The account is registered, and its owner is about to be shown the key."""
    db.execute("UPDATE profile SET recovery_key = ''")
