"""Another password, everywhere or nowhere (A-09).

A password opens four things: the store here, the account key here, the login at the server and, where that
was chosen, the vault. They are changed in an order in which a kill between any two writes leaves the old
password or the new one working everywhere:

1. what is to come is stored (``password_change``), and the new account file lies beside the present one:
   here either password opens store and account key, elsewhere the old one does;
2. one request changes the server: login, vault and statement together. From here on the new one works
   everywhere;
3. profile and account file are replaced: here the old one opens nothing any more; the row goes.

Whoever comes back in between asks the account's chain: our statement is in it, and the new password holds,
whatever has followed; or another is in its place, and it is given up; or neither, and the same request is
sent again. Another device of the account *takes the new password over*: that changes this device alone.
The account key does not change, so nobody sees another identity; the other sessions of the account end.
"""

import asyncio
import itertools
import secrets
import time
from dataclasses import dataclass, field, replace
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from securechat.client import password_news, password_rows, statements
from securechat.client.account_link import (
    Place,
    as_device,
    asked,
    log_in_for_recovery,
    log_in_with_password,
    opened,
    own_statement,
    password_salt,
    sealed_vault,
)
from securechat.client.account_opening import open_account
from securechat.client.config import ProfileFolder
from securechat.client.device import device_of
from securechat.client.errors import ClientError, ExitCode, RefusedByServer
from securechat.client.keystore import (
    Keys,
    drop_next,
    load_keys,
    next_salt,
    prepare_account,
    replace_statement,
    seal_account_key,
    take_next,
    unlock,
    write_next,
)
from securechat.client.link import Link
from securechat.client.lock import ProfileLock
from securechat.client.password_rows import Fate, PasswordChange
from securechat.client.store import ClientStore
from securechat.client.store_key import StoreKey
from securechat.client.trust import Pin
from securechat.membership import vault
from securechat.membership.account import next_statement, step_between
from securechat.membership.passwords import SALT_BYTES, PasswordKeys, check_password, stretch
from securechat.membership.recovery_key import RecoveryKey
from securechat.membership.signing import public_of
from securechat.membership.statement import StatementRefused, verify_statement
from securechat.membership.vault import Opener, VaultRefused
from securechat.names import user_uri
from securechat.protocol.messages import ChangeAccount, NewLogin

STALE: Final = "stale_statement"

NEVER: Final = frozenset({STALE, "bad_request", "forbidden"})
"""What the server says of a change that it has not taken, and will not take."""

ATTEMPTS: Final = 3
"""To find out what became of a change, where other devices change the account at the same time."""


class ChosenElsewhere(ClientError):
    """Another device has changed the password since; nothing was done."""

    default_exit_code = ExitCode.USAGE

    def __init__(self) -> None:
        super().__init__(
            "another device has changed the password, and the vault opens with that one: give it here as the"
            " new password first, or use --recovery-key; nothing was changed"
        )


class NotTheAccount(ClientError):
    """A recovery key that opens another account than the one on this machine."""


@dataclass(frozen=True, slots=True)
class Changed:
    """The password is another one."""

    earlier: bool
    """It was begun before, with the password that was chosen then; nothing else was done now."""
    opens_vault: bool
    """It opens the vault too, as the one before it did."""
    taken_over: bool = False
    """It was the account's already, chosen on another device: only this one was changed."""


@dataclass(frozen=True, slots=True)
class _Opened:
    """The account key, and what of the old password or the recovery key opens the vault."""

    account_key: Ed25519PrivateKey
    opener: Opener


async def change_password(
    place: Place, old: str | StoreKey, new: str, *, recovery: RecoveryKey | None = None
) -> Changed:
    """Replace the password of an account on this device and at the server.

    :param old: the present password; or what opens the store without it, and then ``recovery`` is needed
    :raises PasswordRefused: the new one is too simple; nothing was changed
    :raises WrongPassword, ProfileBusy, NoProfile: nothing was changed
    :raises Disconnected, Unreachable: it is not known; the same call goes on with it
    :raises RefusedByServer, NotTheAccount: nothing was changed
    """
    check_password(new, user=place.user, host=place.server.host)
    profile = place.home.profile(place.user)
    with ProfileLock(profile):
        key = await asyncio.to_thread(unlock, profile, old)
        with ClientStore(profile.database, key) as store:
            settle(profile, store)
            keys = load_keys(store)
            account = await _opened_by(place, store, keys, old, recovery)
            async with as_device(place, keys) as link:
                earlier = await _finish(profile, store, link)
                if earlier is not None:
                    return earlier
                elsewhere = await _changed_elsewhere(place, store, new)
                if isinstance(elsewhere, _InForce):
                    return await _take_over(profile, store, account, elsewhere, new, key)
                try:
                    pending, data = await _prepare(profile, store, link, account, new, key)
                except VaultRefused as refused:
                    if elsewhere and account.opener.by_password:
                        raise ChosenElsewhere from refused
                    raise
                with store.transaction() as db:
                    password_rows.put(db, pending)
                write_next(profile, data)
                try:
                    return await _send(profile, store, link, pending)
                except RefusedByServer as no:
                    if no.code in NEVER:
                        _give_up(profile, store)
                    raise


def settle(profile: ProfileFolder, store: ClientStore) -> None:
    """Do what is left to be done here of a change that was interrupted, as far as it is known unasked.

    Nothing that may have been sent is given up here: whether it holds, only the account's chain says.
    """
    pending = password_rows.get(store.db)
    waiting = next_salt(profile)
    if pending is None:
        if waiting:
            drop_next(profile)
        return
    newest = statements.newest_bytes(store.db, load_keys(store).user)
    if pending.state is Fate.IN_FORCE:
        _replace_file(profile, store, pending)
    elif pending.state is Fate.OVERTAKEN or waiting != pending.file_salt:
        _give_up(profile, store)  # the latter was never sent
    elif newest == pending.statement:
        _hold(profile, store, pending)


async def _opened_by(
    place: Place, store: ClientStore, keys: Keys, old: str | StoreKey, recovery: RecoveryKey | None
) -> _Opened:
    if recovery is not None:
        return await _by_recovery(place, keys, recovery)
    if isinstance(old, StoreKey):
        raise NotTheAccount("the account key opens by the password or the recovery key, and by nothing else")
    account_key, stretched = await asyncio.to_thread(open_account, store, keys, old)
    return _Opened(account_key, Opener(stretched.vault_key, by_password=True))


async def _by_recovery(place: Place, keys: Keys, recovery: RecoveryKey) -> _Opened:
    async with opened(place, Pin(keys.server_key, keys.domain)) as link:
        theirs, _ = await log_in_for_recovery(link, keys.user, recovery)
        opener = Opener(theirs.vault_key)
        sealed = await sealed_vault(link)
    if sealed is None:
        raise NotTheAccount("the server keeps no vault for this account")
    content = vault.open_vault(sealed, opener, user=user_uri(keys.domain, keys.user), at_least=0)
    if public_of(content.account_key) != keys.account_key:
        raise NotTheAccount("this recovery key opens another account than the one on this machine")
    return _Opened(content.account_key, opener)


async def _finish(profile: ProfileFolder, store: ClientStore, link: Link) -> Changed | None:
    """Go on with what was begun before; None if nothing was, or others changed the account instead."""
    for left in reversed(range(ATTEMPTS)):
        pending = password_rows.get(store.db)
        if pending is None:
            return None
        pending = await _asked_for(store, link, pending)
        if pending.state is Fate.IN_FORCE:
            return replace(_hold(profile, store, pending), earlier=True)
        if pending.state is Fate.OVERTAKEN:
            _give_up(profile, store)
            return None
        try:
            return replace(await _send(profile, store, link, pending), earlier=True)
        except RefusedByServer as no:
            if no.code != STALE or not left:
                raise
    raise AssertionError("the last attempt raised")


async def _asked_for(store: ClientStore, link: Link, pending: PasswordChange) -> PasswordChange:
    """Return the change as the account's chain says that it stands, whatever came after it.

    :raises StatementRefused: the server shows another chain than the account's
    """
    keys = load_keys(store)
    newest = await own_statement(link, store, keys, device_of(keys).user_uri, now=int(time.time()))
    ours, last = (verify_statement(each).serial for each in (pending.statement, newest))
    pending = password_rows.get(store.db) or pending
    if last < ours or pending.state is not Fate.OPEN:
        return pending
    chain = await statements.fetch(
        link.request, keys.user, after=ours - 1
    )  # taken before this was looked for
    for earlier, later in itertools.pairwise(chain):
        step_between(later, earlier)
    if newest not in chain:
        raise StatementRefused("The server hides what the account has said of itself.")
    with store.transaction() as db:
        password_news.note_chain(db, chain)
    return password_rows.get(store.db) or pending


@dataclass(frozen=True, slots=True)
class _InForce:
    """The new password as the server knows it: another device has chosen it already."""

    stretched: PasswordKeys = field(repr=False)
    salt: bytes


async def _changed_elsewhere(place: Place, store: ClientStore, new: str) -> _InForce | bool:
    """Whether the account's password is another than this device's, and even the new one.

    It is tried only where it may be: elsewhere a try would be a wrong password, and be told as one (A-06).
    """
    keys = load_keys(store)
    async with opened(place, Pin(keys.server_key, keys.domain)) as link:
        found = await password_salt(link, keys.user)
        if found.salt == keys.login_salt:
            return False
        try:
            return _InForce(*await log_in_with_password(link, keys.user, new, found))
        except RefusedByServer as no:
            if no.code != "wrong_credentials":
                raise
            return True


async def _take_over(
    profile: ProfileFolder, store: ClientStore, account: _Opened, there: _InForce, new: str, key: bytes
) -> Changed:
    """Have a password hold here that holds everywhere else. Nothing is asked of the server."""
    keys = load_keys(store)
    file = await asyncio.to_thread(prepare_account, profile, new, key)
    sealed = seal_account_key(
        there.stretched.vault_key, account.account_key, domain=keys.domain, user=keys.user
    )
    pending = PasswordChange(b"", b"", there.salt, sealed, file.salt)
    write_next(profile, file.data)
    with store.transaction() as db:
        password_rows.put(db, pending)
        password_news.take(db, pending)
    _replace_file(profile, store, pending)
    return Changed(earlier=False, opens_vault=False, taken_over=True)


async def _prepare(
    profile: ProfileFolder, store: ClientStore, link: Link, account: _Opened, new: str, key: bytes
) -> tuple[PasswordChange, bytes]:
    """Make all that takes the place of what there is, and the new account file; nothing is written yet."""
    keys, now = load_keys(store), int(time.time())
    uri = device_of(keys).user_uri
    previous = await own_statement(link, store, keys, uri, now=now)
    last = verify_statement(previous)
    salt = secrets.token_bytes(SALT_BYTES)
    stretched = await asyncio.to_thread(stretch, new, domain=keys.domain, user=keys.user, salt=salt)
    found = await sealed_vault(link)
    if found is None and last.vault_serial:
        # Withheld it would go on being opened by the old password, and not by the new one.
        raise VaultRefused("The server keeps no vault for this account.")
    sealed = b""
    if found is not None and vault.read_vault(found, at_least=last.vault_serial).by_password:
        sealed = vault.replace_password(
            found,
            account.opener,
            user=uri,
            serial=last.vault_serial + 1,
            statement=last.serial + 1,
            password=stretched.vault_key,
        )
    made = next_statement(
        account.account_key,
        previous=previous,
        issued_at=now,
        vault_serial=last.vault_serial + 1 if sealed else None,
        by=keys.client,
    )
    login = NewLogin(salt, public_of(stretched.login_key))
    request = ChangeAccount(made.statement, vault=sealed, login=login)
    file = await asyncio.to_thread(prepare_account, profile, new, key)
    return PasswordChange(
        request=msgspec.msgpack.encode(request),
        statement=made.statement,
        login_salt=salt,
        account_key_sealed=seal_account_key(
            stretched.vault_key, account.account_key, domain=keys.domain, user=keys.user
        ),
        file_salt=file.salt,
    ), file.data


async def _send(profile: ProfileFolder, store: ClientStore, link: Link, pending: PasswordChange) -> Changed:
    await asked(link, _request_of(pending))
    return _hold(profile, store, pending)


def _hold(profile: ProfileFolder, store: ClientStore, pending: PasswordChange) -> Changed:
    """The server has it: so it is here."""
    _promote(store, pending)
    _replace_file(profile, store, pending)
    return Changed(earlier=False, opens_vault=bool(_request_of(pending).vault))


def _request_of(pending: PasswordChange) -> ChangeAccount:
    return msgspec.msgpack.decode(pending.request, type=ChangeAccount)


def _promote(store: ClientStore, pending: PasswordChange) -> None:
    with store.transaction() as db:
        password_news.take(db, pending)
        user = load_keys(store).user
        if verify_statement(pending.statement).serial > statements.known_serial(db, user):
            replace_statement(db, pending.statement)


def _replace_file(profile: ProfileFolder, store: ClientStore, pending: PasswordChange) -> None:
    if next_salt(profile) == pending.file_salt:
        take_next(profile)
    with store.transaction() as db:
        password_rows.drop(db)


def _give_up(profile: ProfileFolder, store: ClientStore) -> None:
    drop_next(profile)
    with store.transaction() as db:
        password_rows.drop(db)
