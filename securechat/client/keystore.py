"""The keys of a profile: what the password opens, and what it opens them from.

``account.json`` says in the clear who and where this is, and holds the store's random key sealed
under Argon2id(password, local salt). Everything else lies in the encrypted store: the device key,
and the account key sealed once more, under the vault key, so that an open store does not open it
(rules.md B). A wrong password changes nothing and opens nothing.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from securechat.client import own_rows
from securechat.client.config import ProfileFolder, ServerAddress
from securechat.client.errors import BadAddress, NoProfile, StoreDamaged, StoreTooNew, WrongPassword
from securechat.client.private_files import check_private_folder, create_file, read_file, replace_file
from securechat.client.statements import keep_statement
from securechat.client.store import KEY_SIZE, ClientStore
from securechat.client.store_key import StoreKey
from securechat.membership.passwords import SALT_BYTES, PasswordRefused, stretch_local
from securechat.membership.statement import StatementRefused, verify_statement

ACCOUNT_FILE_VERSION: Final = 1
NONCE_SIZE: Final = 12
CHECK_SIZE: Final = 8
"""Tells a damaged file from a wrong password; against anyone who means it the seal stands."""


class AccountFile(msgspec.Struct, frozen=True, kw_only=True):
    """``account.json``. Nothing in it is secret; its fields are bound to the seal on the key."""

    version: int
    user: str
    server: str
    domain: str
    salt: bytes
    wrapped_key: bytes = b""
    check: bytes = b""

    @property
    def address(self) -> ServerAddress:
        return ServerAddress.parse(self.server)

    def bound(self) -> bytes:
        """What the seal covers beside the key."""
        return msgspec.json.encode(msgspec.structs.replace(self, wrapped_key=b"", check=b""))

    def checksum(self) -> bytes:
        return hashlib.sha256(self.bound() + self.wrapped_key).digest()[:CHECK_SIZE]


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """The profile's one row: this client, its account, and the server it was made at."""

    user: str
    client: str
    domain: str
    server: ServerAddress
    server_key: bytes
    login_salt: bytes
    device_key: Ed25519PrivateKey = field(repr=False)
    account_key: bytes
    account_key_sealed: bytes = field(repr=False)
    credential: bytes
    statement: bytes
    registered: bool = False
    account_secret: bytes = field(default=b"", repr=False)
    """32 bytes that the account's devices share; empty in a profile of before that was not opened since."""


def read_account(profile: ProfileFolder) -> AccountFile:
    """Read what is known of an account without its password.

    :raises NoProfile: there is none
    :raises StoreDamaged: the file is not what was written
    """
    try:
        check_private_folder(profile.folder)
        return _read(profile, profile.account)
    except FileNotFoundError:
        raise NoProfile(profile.user) from None


def _read(profile: ProfileFolder, path: Path) -> AccountFile:
    data = read_file(path)
    damaged = StoreDamaged(f"{path} is damaged; restore the folder from a backup")
    try:
        account = msgspec.json.decode(data, type=AccountFile)
        known = account.version == ACCOUNT_FILE_VERSION
        if known and not hmac.compare_digest(account.check, account.checksum()):
            raise damaged
        _ = account.address
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, BadAddress) as problem:
        raise damaged from problem
    if not known:
        raise StoreTooNew("this account was made by a newer securechat; update it first")
    if account.user != profile.user:
        raise StoreDamaged(f"{path} is of {account.user!r}: the folder was renamed or mixed up")
    return account


def create_account(
    profile: ProfileFolder, server: ServerAddress, domain: str, password: str, key: bytes
) -> None:
    """Write ``account.json``: from here on the profile exists. Costs one Argon2id.

    :raises FileExistsError: there is one already
    """
    account = _wrapping(profile, str(server), domain, password, key)
    create_file(profile.account, _as_written(account))


@dataclass(frozen=True, slots=True)
class PreparedAccount:
    """An account file of another password, and the salt by which it is known."""

    salt: bytes
    data: bytes = field(repr=False)


def prepare_account(profile: ProfileFolder, password: str, key: bytes) -> PreparedAccount:
    """Make the file that takes the place of ``account.json`` later. Costs one Argon2id."""
    now = read_account(profile)
    account = _wrapping(profile, now.server, now.domain, password, key)
    return PreparedAccount(account.salt, _as_written(account))


def write_next(profile: ProfileFolder, data: bytes) -> None:
    """Lay a prepared file beside the present one: from here on either password opens."""
    replace_file(profile.next_account, data)


def next_salt(profile: ProfileFolder) -> bytes:
    """Return the salt of the file that was prepared; empty if there is none."""
    found = _next(profile)
    return b"" if found is None else found.salt


def take_next(profile: ProfileFolder) -> None:
    """Put the prepared file in the place of ``account.json``: the old password opens nothing any more."""
    found = _next(profile)
    if found is not None:
        replace_file(profile.account, _as_written(found))
        drop_next(profile)


def drop_next(profile: ProfileFolder) -> None:
    """Give the prepared file up: the password that was to come opens nothing any more."""
    profile.next_account.unlink(missing_ok=True)


def _next(profile: ProfileFolder) -> AccountFile | None:
    try:
        return _read(profile, profile.next_account)
    except FileNotFoundError:
        return None


def _wrapping(profile: ProfileFolder, server: str, domain: str, password: str, key: bytes) -> AccountFile:
    account = AccountFile(
        version=ACCOUNT_FILE_VERSION,
        user=profile.user,
        server=server,
        domain=domain,
        salt=secrets.token_bytes(SALT_BYTES),
    )
    wrapped = _seal(stretch_local(password, salt=account.salt), key, account.bound())
    account = msgspec.structs.replace(account, wrapped_key=wrapped)
    return msgspec.structs.replace(account, check=account.checksum())


def _as_written(account: AccountFile) -> bytes:
    return msgspec.json.format(msgspec.json.encode(account)) + b"\n"


def unlock(profile: ProfileFolder, password: str | StoreKey) -> bytes:
    """Return the store's key. From a password it costs one Argon2id, some 130 ms: call it in a thread.

    :raises NoProfile, StoreDamaged, StoreTooNew: as `read_account`
    :raises WrongPassword: nothing was changed
    """
    account = read_account(profile)
    if isinstance(password, StoreKey):
        return password.raw
    try:
        key = _unwrapped(account, password)
    except WrongPassword:
        coming = _next(profile)  # a change of the password that was not finished: either opens
        if coming is None:
            raise
        key = _unwrapped(coming, password)
    if len(key) != KEY_SIZE:
        raise StoreDamaged(f"{profile.account} is damaged; restore the folder from a backup")
    return key


def _unwrapped(account: AccountFile, password: str) -> bytes:
    try:
        return _open(stretch_local(password, salt=account.salt), account.wrapped_key, account.bound())
    except (InvalidTag, PasswordRefused) as problem:
        # What the rules refuse (too long, characters unknown here) never was the password.
        raise WrongPassword(account.user) from problem


def seal_account_key(vault_key: bytes, account_key: Ed25519PrivateKey, *, domain: str, user: str) -> bytes:
    """Seal the account's private key under the vault key."""
    return _seal(vault_key, account_key.private_bytes_raw(), _account_label(domain, user))


def open_account_key(vault_key: bytes, sealed: bytes, *, domain: str, user: str) -> Ed25519PrivateKey:
    """Open the account's private key.

    :raises WrongPassword: the vault key is another password's
    """
    try:
        return Ed25519PrivateKey.from_private_bytes(_open(vault_key, sealed, _account_label(domain, user)))
    except InvalidTag as problem:
        raise WrongPassword(user) from problem


def replace_password(db: apsw.Connection, *, login_salt: bytes, account_key_sealed: bytes) -> None:
    """Store what a new password opens the account key from, in the caller's transaction."""
    db.execute("UPDATE profile SET login_salt = ?, account_key_sealed = ?", (login_salt, account_key_sealed))


def save_keys(db: apsw.Connection, keys: Keys) -> None:
    """Store the profile's row, in the caller's transaction."""
    db.execute(
        "INSERT INTO profile (id, user, client, domain, server_host, server_port, server_key, login_salt,"
        " device_key, account_key, account_key_sealed, credential, statement, registered, account_secret)"
        " VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            keys.user,
            keys.client,
            keys.domain,
            keys.server.host,
            keys.server.port,
            keys.server_key,
            keys.login_salt,
            keys.device_key.private_bytes_raw(),
            keys.account_key,
            keys.account_key_sealed,
            keys.credential,
            keys.statement,
            int(keys.registered),
            keys.account_secret or None,
        ),
    )
    keep_statement(db, keys.user, keys.statement)
    own_rows.keep_chain(db, keys.statement)


def load_keys(store: ClientStore) -> Keys:
    """Read the profile's row.

    :raises StoreDamaged: there is none
    """
    row = store.row(
        "SELECT user, client, domain, server_host, server_port, server_key, login_salt, device_key,"
        " account_key, account_key_sealed, credential, statement, registered, account_secret FROM profile"
    )
    if row is None:
        raise StoreDamaged("the store knows no account; restore the folder from a backup")
    user, client, domain, host, port, server_key, login_salt, device_key, account_key, sealed, *rest = row
    credential, statement, registered, account_secret = rest
    return Keys(
        user=user,
        client=client,
        domain=domain,
        server=ServerAddress(host, port),
        server_key=server_key,
        login_salt=login_salt,
        device_key=Ed25519PrivateKey.from_private_bytes(device_key),
        account_key=account_key,
        account_key_sealed=sealed,
        credential=credential,
        statement=statement,
        registered=bool(registered),
        account_secret=account_secret or b"",
    )


def with_account_secret(store: ClientStore, keys: Keys) -> Keys:
    """Give a profile of before the secret that its devices will share: it is the account's only device."""
    if keys.account_secret:
        return keys
    made = secrets.token_bytes(KEY_SIZE)
    with store.transaction() as db:
        db.execute("UPDATE profile SET account_secret = ?", (made,))
    return replace(keys, account_secret=made)


def mark_registered(db: apsw.Connection) -> None:
    """Note that the server has the account, in the caller's transaction."""
    db.execute("UPDATE profile SET registered = 1")


def replace_statement(db: apsw.Connection, statement: bytes, before: Iterable[bytes] = ()) -> None:
    """Store our account's newest statement, in the caller's transaction.

    :param before: what may lead to it
    :raises StatementRefused: it is another account's
    """
    rows: list[Any] = db.execute("SELECT user, account_key FROM profile").fetchall()
    ((user, account_key),) = rows
    if verify_statement(statement).account_key != account_key:
        raise StatementRefused("The statement is of another account than the one that is known.")
    db.execute("UPDATE profile SET statement = ?", (statement,))
    keep_statement(db, str(user), statement)
    own_rows.keep_chain(db, statement, before)


def replace_credential(db: apsw.Connection, credential: bytes) -> None:
    """Store a certificate that was issued anew, in the caller's transaction."""
    db.execute("UPDATE profile SET credential = ?", (credential,))


def _account_label(domain: str, user: str) -> bytes:
    return b"securechat/1 account key\0" + domain.encode() + b"\0" + user.encode()


def _seal(key: bytes, secret: bytes, bound: bytes) -> bytes:
    nonce = secrets.token_bytes(NONCE_SIZE)
    return nonce + ChaCha20Poly1305(key).encrypt(nonce, secret, bound)


def _open(key: bytes, sealed: bytes, bound: bytes) -> bytes:
    if len(sealed) < NONCE_SIZE:
        raise InvalidTag
    return ChaCha20Poly1305(key).decrypt(sealed[:NONCE_SIZE], sealed[NONCE_SIZE:], bound)
