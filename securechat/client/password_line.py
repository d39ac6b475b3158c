"""A session by the password alone: what a machine that has no profile of the account can have."""

import asyncio
from typing import Final

from securechat.client.challenge import challenge_on
from securechat.client.config import Home, ServerAddress
from securechat.client.connect import open_trusted
from securechat.client.errors import Disconnected, Unreachable
from securechat.client.link import Link
from securechat.client.session import LOGIN_SECONDS
from securechat.client.trust import Pin, Trust, pin_of
from securechat.membership.login import Purpose
from securechat.membership.passwords import Parameters, PasswordKeys, stretch
from securechat.membership.signing import public_of
from securechat.protocol.messages import (
    Answer,
    LogInWithPassword,
    PasswordParameters,
    PasswordSalt,
    RequestBody,
)

ATTEMPTS: Final = 3
"""Connections for one request: a line that breaks more often is told to the person."""


class PasswordLine:
    """Opened once; after that a broken line is made anew, and what was asked is asked again."""

    def __init__(self, home: Home, server: ServerAddress, trust: Trust, user: str) -> None:
        self._home = home
        self._server = server
        self._trust = trust
        self._user = user
        self._link: Link | None = None
        self._pin: Pin | None = None
        self._keys: PasswordKeys | None = None
        self.salt = b""

    @property
    def pin(self) -> Pin:
        """The server as it has proven itself."""
        if self._pin is None:
            raise Disconnected("nothing was connected yet")
        return self._pin

    @property
    def keys(self) -> PasswordKeys:
        """What the password is stretched to."""
        if self._keys is None:
            raise Disconnected("nothing was connected yet")
        return self._keys

    async def open(self, password: str) -> None:
        """Stretch the password and log in with it. Costs an Argon2id.

        :raises ServerUntrusted, ServerChanged, Unreachable, RefusedByServer, PasswordRefused
        """
        link = await self._connect()
        self._pin = pin_of(link.hello)
        asked = await _answered(link, PasswordParameters(self._user))
        if not isinstance(asked, PasswordSalt):
            raise TypeError("the connection holds answers to their kinds")
        self.salt = asked.salt
        self._keys = await asyncio.to_thread(
            stretch,
            password,
            domain=self._pin.domain,
            user=self._user,
            salt=asked.salt,
            parameters=Parameters(asked.passes, asked.memory_kib, asked.lanes),
        )
        await self._log_in()

    async def ask(self, body: RequestBody) -> Answer:
        """Ask; over a new line if the old one has broken.

        :raises Disconnected, Unreachable: there is none
        """
        for left in reversed(range(ATTEMPTS)):
            try:
                link = await self._log_in()
                return await _answered(link, body)
            except Disconnected:
                if not left:
                    raise
        raise AssertionError("the last attempt raised")

    async def close(self) -> None:
        if self._link is not None:
            await self._link.close()

    async def _connect(self) -> Link:
        await self.close()
        self._link = await open_trusted(self._server, self._home, self._trust, account_pin=self._pin)
        return self._link

    async def _log_in(self) -> Link:
        """The line as it stands, or a new one: a slow machine stretches longer than a server waits."""
        if self._link is not None and self._link.is_open and self._link.is_logged_in:
            return self._link
        link = self._link if self._link is not None and self._link.is_open else await self._connect()
        user, key = self._user, self.keys.login_key
        challenge = challenge_on(link, Purpose.PASSWORD, domain=self.pin.domain, user=user, client="")
        signature = key.sign(challenge.to_sign)
        await _answered(link, LogInWithPassword(user, public_of(key), challenge.nonce, signature))
        return link


async def _answered(link: Link, body: RequestBody) -> Answer:
    try:
        async with asyncio.timeout(LOGIN_SECONDS):
            return await link.request(body)
    except TimeoutError:
        raise Unreachable("the server does not answer") from None
