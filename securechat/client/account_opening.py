"""Opening the account key: by the password, for as long as a certificate or a statement is made."""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from securechat.client import password_rows
from securechat.client.errors import WrongPassword
from securechat.client.keystore import Keys, open_account_key
from securechat.client.store import ClientStore
from securechat.membership.passwords import PasswordKeys, stretch


def open_account(store: ClientStore, keys: Keys, password: str) -> tuple[Ed25519PrivateKey, PasswordKeys]:
    """Return the account key, and what else the password opens. Costs an Argon2id: call it in a thread.

    While a password is being changed, either opens it.

    :raises WrongPassword: it opens the store, but not the account key
    """
    try:
        return _opened(keys, password, keys.login_salt, keys.account_key_sealed)
    except WrongPassword:
        pending = password_rows.get(store.db)
        if pending is None:
            raise
        return _opened(keys, password, pending.login_salt, pending.account_key_sealed)


def _opened(keys: Keys, password: str, salt: bytes, sealed: bytes) -> tuple[Ed25519PrivateKey, PasswordKeys]:
    stretched = stretch(password, domain=keys.domain, user=keys.user, salt=salt)
    return open_account_key(stretched.vault_key, sealed, domain=keys.domain, user=keys.user), stretched
