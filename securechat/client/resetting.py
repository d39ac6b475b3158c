"""Beginning an account anew: the password is known, neither a device nor the recovery key is left (A-09).

The name stays, the account key does not: whoever knew it sees it changed, and sends nothing until the person
has been asked. No vault opens, so contacts, marks, rooms and archive are gone; so are all devices of before.
"""

import asyncio
import time

import apsw
import msgspec

from securechat.client import recovery_keys
from securechat.client.account_link import Place, asked, is_known, log_in_with_password, opened
from securechat.client.config import ProfileFolder
from securechat.client.errors import ProfileExists
from securechat.client.keystore import Keys, load_keys, mark_registered, unlock
from securechat.client.lock import ProfileLock
from securechat.client.new_profile import make_profile
from securechat.client.private_files import check_private_folder, make_folder
from securechat.client.recovery_keys import FirstVault, first_vault, keep_first, not_shown_yet
from securechat.client.registration import NOTHING_MORE, Wishes, new_keys
from securechat.client.store import ClientStore, remove_store
from securechat.client.trust import pin_of
from securechat.membership.recovery_key import RecoveryKey
from securechat.membership.signing import public_of
from securechat.protocol.messages import AddedDevice, ResetAccount


async def check(place: Place, password: str) -> None:
    """Prove the password before anybody is asked anything; nothing is changed.

    :raises ProfileExists: there is a device of the account here: nothing need be reset
    :raises RefusedByServer: ``wrong_credentials``
    """
    if place.home.profile(place.user).exists:
        raise ProfileExists(place.user)
    async with opened(place) as link:
        await log_in_with_password(link, place.user, password)


async def reset(place: Place, password: str, *, wishes: Wishes = NOTHING_MORE) -> RecoveryKey | None:
    """Begin the account anew, with this machine as its one device; return its recovery key, if it has one.

    :raises Disconnected, Unreachable: it is not known; the same call goes on with it
    """
    place.home.make()
    profile = place.home.profile(place.user)
    make_folder(profile.folder)
    check_private_folder(profile.folder)
    with ProfileLock(profile):
        if profile.exists:
            return await _resumed(place, profile, password)
        remove_store(profile.database)
        async with opened(place) as link:
            stretched, salt = await log_in_with_password(link, place.user, password)
            keys, account_key = new_keys(
                place.user, place.server, pin_of(link.hello), salt, stretched, wishes
            )
            also = stretched.vault_key if wishes.password_opens_vault else None
            first = first_vault(account_key, keys, password=also) if wishes.recovery_key else None
        request = _request(keys, first)

        def keep(db: apsw.Connection) -> None:
            if first is not None:
                keep_first(first, db)
            db.execute(
                "INSERT INTO recovering (id, request) VALUES (1, ?)", (msgspec.msgpack.encode(request),)
            )

        with await asyncio.to_thread(make_profile, profile, keys, password, keep) as store:
            return await _send(place, store, password)


def is_begun(place: Place) -> bool:
    """Whether there is an account here already; if it is finished, `reset` says so."""
    return place.home.profile(place.user).exists


async def _resumed(place: Place, profile: ProfileFolder, password: str) -> RecoveryKey | None:
    store_key = await asyncio.to_thread(unlock, profile, password)
    with ClientStore(profile.database, store_key) as store:
        if _stored(store) is None:
            raise ProfileExists(place.user)
        return await _send(place, store, password)


def _request(keys: Keys, first: FirstVault | None) -> ResetAccount:
    device = AddedDevice(keys.client, public_of(keys.device_key), keys.credential)
    if first is None:
        return ResetAccount(keys.statement, device)
    return ResetAccount(keys.statement, device, first.vault, first.public)


def _stored(store: ClientStore) -> ResetAccount | None:
    row = store.row("SELECT request FROM recovering")
    if row is None:
        return None
    try:
        return msgspec.msgpack.decode(row[0], type=ResetAccount)
    except msgspec.MsgspecError:
        return None  # of a recovery


async def _send(place: Place, store: ClientStore, password: str) -> RecoveryKey | None:
    request, keys = _stored(store), load_keys(store)
    if request is None:
        raise ProfileExists(place.user)
    if not await is_known(place, keys):
        async with opened(place) as link:
            await log_in_with_password(link, place.user, password)
            await asked(link, request)
    shown = not_shown_yet(store)
    with store.transaction() as db:
        mark_registered(db)
        recovery_keys.forget(db)
        db.execute("INSERT OR REPLACE INTO counter (name, value) VALUES ('reset_at', ?)", (int(time.time()),))
        db.execute("DELETE FROM recovering")
    return shown
