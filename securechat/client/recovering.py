"""Bringing an account back with its recovery key alone: every device and the password may be gone (N-02).

First it is looked at what there is: vault, statements, devices, contacts. Nothing is changed by that. Then,
in one request that the account key signs, a new device comes, those that are lost go, and a new password and
vault hold. All that is to be is stored here before that is asked for, so a lost answer costs nothing: the
same command goes on. The conversations are entered by the new device itself (`entering`) or by devices that
stay.
"""

import asyncio
import itertools
import secrets
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

import apsw
import msgspec

from securechat.client import account_secret, boxes, contact_box, intents, recovery_keys, statements
from securechat.client.account_link import (
    Place,
    asked,
    is_known,
    log_in_for_recovery,
    opened,
    sealed_vault,
)
from securechat.client.config import ProfileFolder
from securechat.client.contact_box import BOX, BoxTooNew, Contacts
from securechat.client.errors import ClientError, ExitCode, ProfileExists, RefusedByServer
from securechat.client.intents import What
from securechat.client.keystore import (
    Keys,
    load_keys,
    mark_registered,
    seal_account_key,
    unlock,
)
from securechat.client.link import Link
from securechat.client.lock import ProfileLock
from securechat.client.new_profile import abandon, make_profile
from securechat.client.private_files import check_private_folder, make_folder
from securechat.client.store import ClientStore, remove_store
from securechat.client.trust import Pin, pin_of
from securechat.membership import vault
from securechat.membership.account import Certified, NextStatement, next_statement, step_between
from securechat.membership.identity import new_local_id
from securechat.membership.passwords import SALT_BYTES, PasswordKeys, check_password, stretch
from securechat.membership.recovery_key import RecoveryKey, derive, new_recovery_key
from securechat.membership.renewal import Secrets
from securechat.membership.room import PRODUCT_SUITES
from securechat.membership.signing import load_key, new_key, public_of
from securechat.membership.statement import AccountStatement, StatementRefused, verify_statement
from securechat.membership.vault import Opener, VaultContent, VaultRefused
from securechat.names import parse_client_uri, user_uri
from securechat.protocol.messages import (
    AddedDevice,
    ChangeAccount,
    DeviceRow,
    Devices,
    GetDevices,
    NewLogin,
    Reissued,
)

STALE: Final = "stale_statement"


class NotRecovered(ClientError):
    """What the server keeps of an account is not what the account left there."""

    default_exit_code = ExitCode.UNTRUSTED


class Overtaken(ClientError):
    """The account was changed by another device meanwhile; nothing was done."""

    default_exit_code = ExitCode.RETRY_LATER


@dataclass(frozen=True, slots=True)
class Found:
    """What a recovery key opened, before anything is changed."""

    pin: Pin
    statement: bytes
    devices: tuple[DeviceRow, ...]
    content: VaultContent = field(repr=False)
    secrets: Secrets
    """The account's, which may be made anew since the vault was."""
    password_opened: bool
    """The password opened the vault too."""
    contacts: Contacts | None
    """None: there are none, or they can't be read; ``problem`` says why."""
    problem: str
    incarnation: int

    @property
    def clients(self) -> tuple[str, ...]:
        """Local ids of the account's devices, as the account itself lists them."""
        listed = verify_statement(self.statement).devices
        return tuple(parse_client_uri(device.client).name for device in listed)


@dataclass(frozen=True, slots=True)
class BroughtBack:
    """An account that is here again."""

    recovery_key: RecoveryKey | None
    """Another than before, to be shown now."""
    people: int
    verified: int
    talks: int
    revoked: int


async def look(place: Place, key: RecoveryKey) -> Found:
    """Open an account's vault and read what there is; nothing is changed.

    :raises RefusedByServer: ``wrong_credentials``: it is not this account's recovery key
    :raises NotRecovered: the server does not hand out what the account left there
    """
    profile = place.home.profile(place.user)
    if profile.exists:
        raise ProfileExists(place.user)
    async with opened(place) as link:
        keys, logged_in = await log_in_for_recovery(link, place.user, key)
        opener = Opener(keys.vault_key)
        domain = link.hello.domain
        uri = user_uri(domain, place.user)
        try:
            chain = await statements.fetch(link.request, place.user, after=0)
            statement = _newest(chain)
            content, by_password = await _opened_vault(link, opener, uri, statement)
            secrets, contacts, problem = await _kept(link, content, uri, statement.serial)
        except (StatementRefused, VaultRefused) as refused:
            raise NotRecovered(str(refused)) from None
        rows = await asked(link, GetDevices())
        return Found(
            pin=pin_of(link.hello),
            statement=chain[-1],
            devices=tuple(rows.devices) if isinstance(rows, Devices) else (),
            content=content,
            secrets=secrets,
            password_opened=by_password,
            contacts=contacts,
            problem=problem,
            incarnation=logged_in.incarnation,
        )


async def bring_back(
    place: Place, found: Found, key: RecoveryKey, password: str, *, keep: Collection[str], new: bool
) -> BroughtBack:
    """Make this machine a device of the account, with a new password; all others go but those to keep.

    :param keep: local ids of devices that are not lost
    :param new: another recovery key takes the place of this one
    :raises PasswordRefused, ProfileExists: nothing was changed
    :raises Overtaken, RefusedByServer, StatementRefused: nothing was changed
    :raises Disconnected, Unreachable: it is not known; `resume` goes on with it
    """
    check_password(password, user=place.user, host=place.server.host)
    place.home.make()
    profile = place.home.profile(place.user)
    make_folder(profile.folder)
    check_private_folder(profile.folder)
    with ProfileLock(profile):
        if profile.exists:
            raise ProfileExists(place.user)
        remove_store(profile.database)
        salt = secrets.token_bytes(SALT_BYTES)
        stretched = await asyncio.to_thread(
            stretch, password, domain=found.pin.domain, user=place.user, salt=salt
        )
        following = new_recovery_key() if new else key
        keys, request = _made(place, found, following, stretched, salt, keep)
        shown = following if new else None

        def keep_all(db: apsw.Connection) -> None:
            _keep(db, found, request, shown)

        with await asyncio.to_thread(make_profile, profile, keys, password, keep_all) as store:
            return await _send(place, profile, store, key)


async def resume(place: Place, key: RecoveryKey, password: str) -> BroughtBack:
    """Go on with a recovery whose answer never came.

    :param password: the one that was chosen then
    :raises ProfileExists: there is an account here that is finished, or another password opens it
    """
    profile = place.home.profile(place.user)
    with ProfileLock(profile):
        store_key = await asyncio.to_thread(unlock, profile, password)
        with ClientStore(profile.database, store_key) as store:
            if _request(store) is None:
                raise ProfileExists(place.user)
            return await _send(place, profile, store, key)


def is_begun(place: Place) -> bool:
    """Whether there is an account here already; if it is finished, `resume` says so."""
    return place.home.profile(place.user).exists


def _newest(chain: list[bytes]) -> AccountStatement:
    """Follow an account's statements from the first on.

    :raises StatementRefused: they are not the account's, or do not follow
    """
    if not chain or verify_statement(chain[0]).serial != 1:
        raise StatementRefused("The account's first statement is missing.")
    for previous, following in itertools.pairwise(chain):
        step_between(following, previous)
    return verify_statement(chain[-1])


async def _opened_vault(
    link: Link, opener: Opener, uri: str, statement: AccountStatement
) -> tuple[VaultContent, bool]:
    sealed = await sealed_vault(link)
    if sealed is None:
        raise VaultRefused("The server keeps no vault for this account.")
    content = vault.open_vault(sealed, opener, user=uri, at_least=statement.vault_serial)
    if (statement.user, statement.account_key) != (uri.encode(), public_of(content.account_key)):
        raise VaultRefused("The vault at the server is of another account key than its statements.")
    if content.statement > statement.serial:
        raise VaultRefused("The server hides what the account has said of itself since the vault was made.")
    return content, bool(vault.read_vault(sealed, at_least=0).by_password)


async def _kept(
    link: Link, content: VaultContent, uri: str, newest: int
) -> tuple[Secrets, Contacts | None, str]:
    """What the account's devices kept for each other; what hinders that is told, and hinders nothing else."""
    secrets, problem_before = Secrets(content.account_secret), ""
    try:
        secrets = await account_secret.brought_back(
            link.request, content.account_key, content.account_secret, user_uri=uri, newest=newest
        )
    except boxes.BoxRefused as refused:
        problem_before = str(refused)  # what the vault has may open the contacts all the same
    try:
        found = await boxes.get(link.request, secrets, user_uri=uri, box=BOX)
        return secrets, None if found is None else contact_box.read(found[1]), problem_before
    except (boxes.BoxRefused, BoxTooNew) as problem:
        return secrets, None, str(problem)


def _made(
    place: Place,
    found: Found,
    following: RecoveryKey,
    stretched: PasswordKeys,
    salt: bytes,
    keep: Collection[str],
) -> tuple[Keys, ChangeAccount]:
    """Make the new device, and the one request that puts it, the password and the vault in force."""
    device_key, client = new_key(), new_local_id()
    last = verify_statement(found.statement)
    serial = last.vault_serial + 1
    made = next_statement(
        found.content.account_key,
        previous=found.statement,
        issued_at=int(time.time()),
        add=[(client, public_of(device_key), PRODUCT_SUITES)],
        revoke=[client for client in found.clients if client not in keep],
        staying=[
            Certified(row.client, row.device_key, row.credential)
            for row in found.devices
            if row.client in keep
        ],
        vault_serial=serial,
    )
    recovery = derive(following, domain=found.pin.domain, user=place.user)
    content = VaultContent(found.content.account_key, found.secrets.newest, last.serial + 1)
    sealed = vault.seal_vault(
        content,
        user=last.user.decode(),
        serial=serial,
        recovery=recovery.vault_key,
        password=stretched.vault_key if found.password_opened else None,
    )
    keys = _keys(place, found, made, device_key.private_bytes_raw(), stretched, salt)
    request = ChangeAccount(
        made.statement,
        [AddedDevice(each.client, each.device_key, each.credential) for each in made.added],
        [Reissued(each.client, each.credential) for each in made.reissued],
        sealed,
        public_of(recovery.login_key),
        NewLogin(salt, public_of(stretched.login_key)),
    )
    return keys, request


def _keys(
    place: Place, found: Found, made: NextStatement, device_key: bytes, stretched: PasswordKeys, salt: bytes
) -> Keys:
    account_key, domain = found.content.account_key, found.pin.domain
    (added,) = made.added
    return Keys(
        user=place.user,
        client=added.client,
        domain=domain,
        server=place.server,
        server_key=found.pin.identity_key,
        login_salt=salt,
        device_key=load_key(device_key),
        account_key=public_of(account_key),
        account_key_sealed=seal_account_key(stretched.vault_key, account_key, domain=domain, user=place.user),
        credential=added.credential,
        statement=made.statement,
        account_secret=found.secrets.newest,
    )


def _keep(db: apsw.Connection, found: Found, request: ChangeAccount, following: RecoveryKey | None) -> None:
    """Store all that is to be, before it is asked for."""
    db.execute("INSERT INTO recovering (id, request) VALUES (1, ?)", (msgspec.msgpack.encode(request),))
    account_secret.keep_secrets(db, found.secrets)
    if following is not None:
        recovery_keys.keep_until_shown(db, following)
    if found.contacts is None:
        return
    for record in contact_box.take_in(db, found.contacts, incarnation=found.incarnation):
        intents.add(db, record.id, What.ENTER)


async def _send(place: Place, profile: ProfileFolder, store: ClientStore, key: RecoveryKey) -> BroughtBack:
    request = _request(store)
    keys = load_keys(store)
    if request is None:
        raise ProfileExists(place.user)
    if not await is_known(place, keys):  # else it was taken, and only the answer was lost
        async with opened(place, Pin(keys.server_key, keys.domain)) as link:
            await log_in_for_recovery(link, place.user, key)
            try:
                await asked(link, request)
            except RefusedByServer as no:
                if no.code != STALE:
                    raise
                store.close()
                abandon(profile)
                text = "the account was changed by another device meanwhile; nothing was done, begin again"
                raise Overtaken(text) from no
    shown = recovery_keys.not_shown_yet(store)
    with store.transaction() as db:
        mark_registered(db)
        recovery_keys.forget(db)
        db.execute("DELETE FROM recovering")
    return _told(store, shown, request)


def _request(store: ClientStore) -> ChangeAccount | None:
    row = store.row("SELECT request FROM recovering")
    if row is None:
        return None
    try:
        return msgspec.msgpack.decode(row[0], type=ChangeAccount)
    except msgspec.MsgspecError:
        return None  # of an account that begins anew


def _told(store: ClientStore, shown: RecoveryKey | None, request: ChangeAccount) -> BroughtBack:
    statement = verify_statement(request.statement)
    revoked = sum(each.generation == statement.generation for each in statement.revoked)
    return BroughtBack(
        shown,
        int(store.value("SELECT count(*) FROM contact")),
        int(store.value("SELECT count(*) FROM verified")),
        int(store.value("SELECT count(*) FROM conversation")),
        revoked if request.reissued or revoked else 0,
    )
