"""The part of `Client` that looks after the devices of its own account."""

import asyncio
import contextlib
from typing import Final

from msgspec import structs

from securechat.client import statements
from securechat.client.boxes import BoxRefused
from securechat.client.device_name import own_name, shown_name
from securechat.client.engine import Engine
from securechat.client.errors import ClientError
from securechat.client.events import Notice, OwnDevice, Revocation
from securechat.client.naming import names_of, rename
from securechat.client.own_devices import meant
from securechat.client.revoking import revoke
from securechat.client.verbs import FIRST_LOOK_SECONDS
from securechat.membership.statement import verify_statement
from securechat.names import parse_client_uri
from securechat.protocol.messages import Devices, GetDevices

IDLE_AFTER: Final = 45 * 86_400
"""Seconds without a login after which a device is offered to its owner for being removed (M-17)."""


class DeviceVerbs:
    """The devices of one account; `Client` is one."""

    _engine: Engine

    async def own_devices(self) -> list[OwnDevice]:
        """Return the devices of our own account; since when and last seen are the server's word.

        :raises Disconnected: the server could not be asked
        """
        engine = self._engine
        with contextlib.suppress(TimeoutError, ClientError):
            async with asyncio.timeout(FIRST_LOOK_SECONDS):
                await engine.caught_up()
        answer = await engine.ask(GetDevices())
        rows = {each.client: each for each in answer.devices} if isinstance(answer, Devices) else {}
        names = await self._names()
        body = statements.newest_bytes(engine.store.db, engine.keys.user) or engine.keys.statement
        own, now = engine.device.client, engine.clock()
        found = []
        for listed in verify_statement(body).devices:
            client = parse_client_uri(listed.client).name
            row = rows.get(client)
            seen = max(row.seen, row.created) if row is not None else 0
            idle = client != own and 0 < seen < now - IDLE_AFTER
            since = row.created if row is not None else 0
            name = names.get(client) or (own_name() if client == own else "")
            found.append(
                OwnDevice(device=client, name=name, this=client == own, since=since, seen=seen, idle=idle)
            )
        return found

    async def _names(self) -> dict[str, str]:
        """What the devices are called; a box that is not ours is told and names nobody."""
        try:
            return await names_of(self._engine)
        except BoxRefused as refused:
            self._engine.tell(Notice("names_refused", str(refused)))
            return {}

    async def rename_device(self, device: str, name: str) -> OwnDevice:
        """Call one of our own devices something; all of them see it, and nobody else.

        :param device: its name, or the beginning of its name at the server, at least four letters
        :param name: at most 64 characters; empty takes it away
        :raises Forbidden: none or several of the account's are called or begin like this
        """
        found = await self._one(device)
        await rename(self._engine, {found.device: name})
        return structs.replace(found, name=shown_name(name))

    async def revoke_device(self, device: str, password: str) -> Revocation:
        """Remove a device from our account: it is cut off at once, and taken out of every conversation.

        :param device: its name, or the beginning of its name at the server, at least four letters
        :param password: the account's, typed for this: it opens the account key
        :raises WrongPassword: nothing was changed
        :raises Forbidden: it is this device, or none or several of the account's are meant by this
        """
        return await revoke(self._engine, (await self._one(device)).device, password)

    async def _one(self, typed: str) -> OwnDevice:
        return meant(await self.own_devices(), typed)
