"""Taking a device off the account (rules.md B): one signed statement, from which all the rest follows.

The server cuts the device off when it has the statement; whoever is online takes it out of every group, with
the statement as evidence (`reconciling`). The devices that stay are certified anew: a certificate of before
opens nothing any more.
"""

import asyncio
from typing import Final

from securechat.client import records, statements
from securechat.client.account_news import adopt_own
from securechat.client.engine import Engine
from securechat.client.errors import Forbidden, RefusedByServer, Unreachable, UntrustedKeys
from securechat.client.events import Revocation, Standing
from securechat.client.keystore import load_keys, open_account_key
from securechat.client.people import credential_of
from securechat.membership.account import Certified, NextStatement, next_statement
from securechat.membership.passwords import stretch
from securechat.membership.statement import Device, StatementRefused, verify_statement
from securechat.names import client_uri
from securechat.protocol.messages import ChangeAccount, Devices, GetDevices, Reissued

ATTEMPTS: Final = 5
"""How often another device of ours may change the account before us."""

OUT_SECONDS: Final = 60.0
"""How long it may take until the device is out of all groups, before we say how far it is (D-02)."""


async def revoke(engine: Engine, client: str, password: str) -> Revocation:
    """Take a device off the account; returns how many conversations it is out of by then.

    :param client: its local id
    :raises WrongPassword: nothing was changed
    :raises Forbidden: it is this device, which goes by `logout`, or none of the account's
    """
    device, keys = engine.device, load_keys(engine.store)
    if client == device.client:
        raise Forbidden("forbidden", "this is the device you are at; remove it from another one, or log out")
    opened = await asyncio.to_thread(
        stretch, password, domain=keys.domain, user=keys.user, salt=keys.login_salt
    )
    account_key = open_account_key(
        opened.vault_key, keys.account_key_sealed, domain=keys.domain, user=keys.user
    )
    for left in reversed(range(ATTEMPTS)):
        await engine.news.refresh(keys.user)
        previous = statements.newest_bytes(engine.store.db, keys.user) or keys.statement
        try:
            made = next_statement(
                account_key,
                previous=previous,
                issued_at=int(engine.clock()),
                revoke=(client,),
                staying=await _staying(engine, previous, client),
            )
        except UntrustedKeys:
            if not left:
                raise
            continue  # what the account lists was looked up before its devices were: both once more
        except StatementRefused as refused:
            if not left:
                raise Forbidden("forbidden", str(refused)) from refused
            continue
        was_in = len(_with(engine, client))
        if await _put(engine, made):
            with engine.changes.change() as change:
                adopt_own(change, device, made)
            await engine.news.top_up()  # those with the certificate of before are handed out no more
            return await _out(engine, client, was_in)
    raise Unreachable("other devices of yours change the account at the same time; try again")


async def _staying(engine: Engine, previous: bytes, gone: str) -> list[Certified]:
    """Return the devices that stay as the server has them, those alone that the statement lists."""
    answer = await engine.ask(GetDevices())
    if not isinstance(answer, Devices):
        raise TypeError("the connection holds answers to their kinds")
    listed = set(verify_statement(previous).devices)
    domain = engine.device.domain
    rows = [each for each in answer.devices if each.client != gone]
    strangers = [
        each.client
        for each in rows
        if Device(client_uri(domain, each.client).encode(), each.device_key) not in listed
    ]
    if strangers:
        raise UntrustedKeys(
            f"the server counts a device as yours that your account does not list: {strangers[0][:8]}"
        )
    return [Certified(each.client, each.device_key, each.credential) for each in rows]


async def _put(engine: Engine, made: NextStatement) -> bool:
    """Ask the server to put a statement in force; False if another was first."""
    reissued = [Reissued(each.client, each.credential) for each in made.reissued]
    try:
        await engine.ask(ChangeAccount(made.statement, reissued=reissued))
    except RefusedByServer as refused:
        if refused.code != "stale_statement":
            raise
        return False
    return True


async def _out(engine: Engine, client: str, was_in: int) -> Revocation:
    """Wait until the device is out of the groups that we are in."""
    left = was_in
    try:
        async with asyncio.timeout(OUT_SECONDS):
            while left := len(_with(engine, client)):
                await engine.changed()
    except TimeoutError:
        pass
    return Revocation(device=client, conversations=was_in, left=left)


def _with(engine: Engine, client: str) -> list[str]:
    """Return the conversations in which a device has a leaf."""
    found = []
    for record in records.every(engine.store.db):
        public = engine.groups.public(engine.store.db, record.id)
        if public is None or record.state is not Standing.JOINED:
            continue
        if any(credential_of(leaf).client_id == client for _, leaf in public.tree.leaves()):
            found.append(record.name)
    return found
