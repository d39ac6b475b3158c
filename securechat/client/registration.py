"""Make an account: keys first, on this disk, then the server's word.

Everything that Register carries is stored and sealed before it is sent. If the answer is lost,
the same command sends the same keys again and is answered as if nothing had happened; if the
server says no, the half-made profile goes away without a trace.
"""

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from securechat.client.challenge import challenge_on, device_login
from securechat.client.config import Home, ProfileFolder, ServerAddress
from securechat.client.connect import open_trusted
from securechat.client.errors import (
    ProfileExists,
    RefusedByServer,
    ServerUntrusted,
    Unfinished,
    Unreachable,
    WrongPassword,
    refusal,
)
from securechat.client.first_keys import leave_key_packages
from securechat.client.keystore import (
    Keys,
    load_keys,
    mark_registered,
    read_account,
    seal_account_key,
    unlock,
)
from securechat.client.link import Link
from securechat.client.lock import ProfileLock
from securechat.client.new_profile import abandon, keep_nothing, make_profile, remove_if_empty
from securechat.client.private_files import check_private_folder, make_folder
from securechat.client.recovery_keys import (
    first_vault,
    forget,
    keep_first,
    kept_vault,
    not_shown_yet,
)
from securechat.client.session import LOGIN_SECONDS
from securechat.client.store import KEY_SIZE, ClientStore, remove_store
from securechat.client.trust import Pin, Trust, pin_of
from securechat.membership.identity import make_client_credential, new_local_id
from securechat.membership.login import Purpose, fingerprint
from securechat.membership.passwords import SALT_BYTES, PasswordKeys, check_password, stretch
from securechat.membership.recovery_key import RecoveryKey
from securechat.membership.room import PRODUCT_SUITES
from securechat.membership.signing import new_key, public_of
from securechat.membership.statement import Device, make_statement
from securechat.mls.cipher_suite import SUITE_HYBRID
from securechat.names import client_uri, fold_user, user_uri
from securechat.protocol.messages import UNDECIDED, Register

PATIENCE_SECONDS: Final = 60
"""How long a registration waits, in all, for a server that asks for it; then a person is told."""


@dataclass(frozen=True, slots=True)
class Registered:
    """An account that the server has."""

    user: str
    domain: str
    server: ServerAddress
    fingerprint: str
    suite: str
    recovery_key: RecoveryKey | None = None
    """To be shown now: it is kept nowhere."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a new account is made with, beside its password."""

    invite: str = field(default="", repr=False)
    """A token, for a server that admits by invite (``invite_needed`` without one)."""
    recovery_key: bool = False
    """Of a registration that goes on, whether there is one was decided when it began."""
    password_opens_vault: bool = False


NOTHING_MORE: Final = Wishes()


async def register(
    home: Home,
    server: ServerAddress,
    user: str,
    password: str,
    trust: Trust,
    *,
    wishes: Wishes = NOTHING_MORE,
) -> Registered:
    """Make an account at a server and this device's keys.

    :raises NameRefused, PasswordRefused: before anything is connected
    :raises ProfileExists: it is finished already
    :raises WrongPassword, Unfinished: an unanswered registration was begun otherwise
    :raises ServerUntrusted, ServerChanged, RefusedByServer, Unreachable, Disconnected: nothing is left
        behind, unless the answer was lost: then the same call continues
    """
    name = fold_user(user)
    check_password(password, user=name, host=server.host)
    home.make()
    profile = home.profile(name)
    make_folder(profile.folder)
    check_private_folder(profile.folder)
    patience = PATIENCE_SECONDS
    with ProfileLock(profile):
        try:
            while True:
                store = await _continued(profile, server, password)
                try:
                    return await _register(home, profile, server, password, trust, wishes=wishes, store=store)
                except RefusedByServer as no:
                    if no.code not in UNDECIDED or not 0 < no.retry_after <= patience:
                        raise
                    patience -= no.retry_after
                    wait = no.retry_after
                await asyncio.sleep(wait)
        finally:
            remove_if_empty(profile)


async def _register(
    home: Home,
    profile: ProfileFolder,
    server: ServerAddress,
    password: str,
    trust: Trust,
    *,
    wishes: Wishes,
    store: ClientStore | None,
) -> Registered:
    begun = None if store is None else load_keys(store)
    known = None if begun is None else Pin(begun.server_key, begun.domain)
    finished = begun is not None and begun.registered
    try:
        link = await _opened(server, home, trust, known, finished=profile.user if finished else None)
        try:
            if begun is not None and finished:
                await _check_forgotten(link, begun)
            if begun is None and not wishes.invite and link.hello.registration == "invite":
                raise refusal("invite_needed")  # before any key is made: the caller asks for one
            salt = secrets.token_bytes(SALT_BYTES) if begun is None else begun.login_salt
            stretched = await asyncio.to_thread(
                stretch, password, domain=link.hello.domain, user=profile.user, salt=salt
            )
            if store is None:
                keys, account_key = new_keys(
                    profile.user, server, pin_of(link.hello), salt, stretched, wishes
                )
                first = None
                if wishes.recovery_key:
                    also = stretched.vault_key if wishes.password_opens_vault else None
                    first = first_vault(account_key, keys, password=also)
                keep = keep_nothing if first is None else partial(keep_first, first)
                store = await asyncio.to_thread(make_profile, profile, keys, password, keep)
            if not link.is_open:  # a slow machine stretches for longer than a server waits for a stranger
                link = await open_trusted(server, home, trust, account_pin=pin_of(link.hello))
            made = not_shown_yet(store)
            await _ask(link, store, stretched.login_key, wishes.invite)
            shown = fingerprint(link.hello.identity_key)
            return Registered(profile.user, link.hello.domain, server, shown, SUITE_HYBRID.name, made)
        except RefusedByServer as no:
            # What was sent before may have been decided: only a name that is somebody else's says no to it.
            if begun is None or (no.code == "name_taken" and not finished):
                abandon(profile)
            raise
        finally:
            await link.close()
    finally:
        if store is not None:
            store.close()


async def _continued(profile: ProfileFolder, server: ServerAddress, password: str) -> ClientStore | None:
    """Open what an earlier registration left whose answer never came; None if there is none."""
    if not profile.exists:
        # A store without its account file was never sent: the file is written last.
        remove_store(profile.database)
        return None
    account = read_account(profile)
    try:
        key = await asyncio.to_thread(unlock, profile, password)
    except WrongPassword as wrong:
        # Whether it is finished is known to the store alone, and that stays shut.
        raise ProfileExists(profile.user) from wrong
    store = ClientStore(profile.database, key)
    if account.address != server and load_keys(store).registered:
        store.close()
        raise ProfileExists(profile.user)
    if account.address != server:
        store.close()
        raise Unfinished(
            f"the registration of {profile.user} at {account.server} is not answered yet; "
            f"finish it with --server {account.server}, or remove {profile.folder}"
        )
    return store


def new_keys(
    user: str,
    server: ServerAddress,
    known: Pin,
    salt: bytes,
    stretched: PasswordKeys,
    wishes: Wishes,
) -> tuple[Keys, Ed25519PrivateKey]:
    account_key, device_key = new_key(), new_key()
    client = new_local_id()
    device = Device(client_uri(known.domain, client).encode(), public_of(device_key))
    keys = Keys(
        user=user,
        client=client,
        domain=known.domain,
        server=server,
        server_key=known.identity_key,
        login_salt=salt,
        device_key=device_key,
        account_key=public_of(account_key),
        account_key_sealed=seal_account_key(stretched.vault_key, account_key, domain=known.domain, user=user),
        credential=make_client_credential(
            domain=known.domain,
            user=user,
            client=client,
            account_key=account_key,
            signature_key_public=public_of(device_key),
            suites=PRODUCT_SUITES,
        ),
        statement=make_statement(
            account_key,
            user=user_uri(known.domain, user),
            devices=(device,),
            issued_at=int(time.time()),
            vault_serial=int(wishes.recovery_key),
        ),
        account_secret=secrets.token_bytes(KEY_SIZE),
    )
    return keys, account_key


async def _ask(link: Link, store: ClientStore, login_key: Ed25519PrivateKey, invite: str) -> None:
    keys = load_keys(store)
    if link.hello.domain != keys.domain:
        raise ServerUntrusted(
            f"the registration of {keys.user} was begun with {keys.domain}, "
            f"and the server is now {link.hello.domain}",
            fingerprint=fingerprint(link.hello.identity_key),
        )
    try:
        async with asyncio.timeout(LOGIN_SECONDS):
            sealed, public = kept_vault(store)
            request = _request(link, keys, login_key, invite)
            await link.request(msgspec.structs.replace(request, vault=sealed, recovery_key=public))
    except TimeoutError:
        raise Unreachable("the server does not answer; run the same command again to go on") from None
    if keys.registered:
        return  # the rest comes with the first login, like for everybody after a restore
    with store.transaction() as db:
        mark_registered(db)
        forget(db)
    await leave_key_packages(link, store, keys, now=int(time.time()))


async def _opened(
    server: ServerAddress, home: Home, trust: Trust, known: Pin | None, *, finished: str | None
) -> Link:
    """Connect; without a server an account that is ``finished`` (its user) is simply there already."""
    try:
        return await open_trusted(server, home, trust, account_pin=known)
    except Unreachable as problem:
        if finished is None:
            raise
        raise ProfileExists(finished) from problem


async def _check_forgotten(link: Link, keys: Keys) -> None:
    """Go on with a finished account only if the server does not know it: it came back from an older copy.

    The same keys make the same account again; nothing of the profile is touched.

    :raises ProfileExists: the server has the account
    """
    login = device_login(link, keys.device_key, domain=keys.domain, user=keys.user, client=keys.client)
    try:
        async with asyncio.timeout(LOGIN_SECONDS):
            await link.request(login)
    except RefusedByServer as no:
        if no.code != "wrong_credentials":
            raise
    except TimeoutError:
        raise Unreachable("the server does not answer; run the same command again to go on") from None
    else:
        raise ProfileExists(keys.user)


def _request(link: Link, keys: Keys, login_key: Ed25519PrivateKey, invite: str) -> Register:
    """Both keys sign the same challenge: who registers holds the password and the device."""
    challenge = challenge_on(link, Purpose.REGISTER, domain=keys.domain, user=keys.user, client=keys.client)
    return Register(
        user=keys.user,
        client=keys.client,
        salt=keys.login_salt,
        login_key=public_of(login_key),
        account_key=keys.account_key,
        device_key=public_of(keys.device_key),
        credential=keys.credential,
        statement=keys.statement,
        client_nonce=challenge.nonce,
        login_signature=login_key.sign(challenge.to_sign),
        device_signature=keys.device_key.sign(challenge.to_sign),
        invite=invite,
    )
