"""The account's secret as this device has it, made anew once a device of the account is gone (decision 0022).

Whoever is about to seal something asks for the secret first. If the account has revoked a device since the
last one was made, another is made or taken: it lies in the box "secret", passed on to each device that stays
(`membership/renewal.py`), replaced by compare-and-set. So of two devices at once one takes what the other
made, and after a kill whoever comes next finds it there, or makes it. Nothing else has to be kept.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final, cast

import apsw
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from securechat.client import boxes, statements
from securechat.client.boxes import BoxRefused
from securechat.client.device import Device
from securechat.client.errors import RefusedByServer, Unreachable
from securechat.client.keystore import Keys, load_keys
from securechat.client.statements import Ask
from securechat.client.store import ClientStore
from securechat.membership.renewal import (
    SIZE,
    Renewal,
    RenewalRefused,
    Secrets,
    is_for,
    make_renewal,
    open_renewal,
    read_renewal,
)
from securechat.membership.signing import public_of
from securechat.membership.statement import AccountStatement, verify_statement
from securechat.membership.vault import VaultRefused
from securechat.mls.randomness import random_bytes
from securechat.protocol.messages import Box, GetBox, PutBox

BOX: Final = "secret"

MAX_RACES: Final = 5
"""Attempts against other devices that write at the same time."""


class NotPassedOn(Unreachable):
    """A device of the account has to be online first, which has the secret that this one has not yet."""

    def __init__(self) -> None:
        super().__init__(
            "the account has a new secret since a device was removed, and none of your other devices has"
            " passed it on to this one yet; it comes when one of them is online"
        )


def secrets_of(db: apsw.Connection) -> Secrets:
    """Return what this device has: to open with, and where nothing is sealed any more to seal with."""
    ((newest,),) = cast(
        list[tuple[bytes | None]], db.execute("SELECT account_secret FROM profile").fetchall()
    )
    rows: list[Any] = db.execute("SELECT secret FROM older_secret ORDER BY place").fetchall()
    return Secrets(newest or b"", tuple(bytes(secret) for (secret,) in rows))


def keep_secrets(db: apsw.Connection, secrets: Secrets, generation: int = 0) -> None:
    """Store the account's secrets, in the caller's transaction.

    :param generation: of the account, for which the newest was made; 0: that is looked for
    """
    db.execute("UPDATE profile SET account_secret = ?, secret_generation = ?", (secrets.newest, generation))
    db.execute("DELETE FROM older_secret")
    db.executemany("INSERT INTO older_secret (place, secret) VALUES (?, ?)", list(enumerate(secrets.older)))


def forget_serials(db: apsw.Connection) -> None:
    """The server is an older copy: what it has in the boxes, and what was passed on, is looked at anew."""
    db.execute("DELETE FROM box")
    db.execute("UPDATE profile SET secret_serial = 0, secret_generation = 0")


async def fetch(ask: Ask) -> tuple[int, bytes]:
    """Return the serial of the box and what lies there; nothing yet: 0 and nothing."""
    try:
        answer = await ask(GetBox(BOX))
    except RefusedByServer as no:
        if no.code != "no_box":
            raise
        return 0, b""
    if not isinstance(answer, Box):
        raise TypeError("the connection holds answers to their kinds")
    return answer.serial, answer.sealed


@dataclass(slots=True)
class SecretKeeper:
    store: ClientStore
    ask: Ask
    device: Device
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _in_doubt: bool = False
    """A box does not open: a device may be gone of which nothing was heard here yet."""

    async def current(self) -> Secrets:
        """Return the account's secrets; the newest is one that no device has which was revoked.

        :raises BoxRefused: the server shows what no device of the account left there
        :raises NotPassedOn, Disconnected, RefusedByServer: nothing can be sealed now
        """
        async with self._turn:
            for _ in range(MAX_RACES):
                if self._is_settled():
                    return secrets_of(self.store.db)
                try:
                    await self._see_to()
                except RefusedByServer as no:
                    if no.code != "stale_box":
                        raise
        raise Unreachable("other devices of yours change the account at the same time; try again")

    async def opened(self, box: str) -> tuple[int, bytes] | None:
        """Read a box of the account; None if there is none. Raises as `current`, and as `boxes.get`.

        What does not open may be sealed under a secret that another device has just made.
        """
        secrets, uri = await self.current(), self.device.user_uri
        try:
            return await boxes.get(self.ask, secrets, user_uri=uri, box=box)
        except BoxRefused:
            self._in_doubt = True
            self._settle(0)
            newer = await self.current()
            if set(newer.every) <= set(secrets.every):
                raise
        return await boxes.get(self.ask, newer, user_uri=uri, box=box)

    def _is_settled(self) -> bool:
        """Whether it was seen to for the newest statement that is known."""
        row = self.store.row(
            "SELECT 1 FROM profile p JOIN statement s ON s.user = p.user WHERE p.secret_serial = s.serial"
        )
        return row is not None

    async def _see_to(self) -> None:
        """Take what was passed on; pass on what some device has not, or another secret where one is due."""
        keys = load_keys(self.store)
        body = statements.newest_bytes(self.store.db, keys.user) or keys.statement
        newest = said = verify_statement(body)
        if newest.generation == 1 and not self._in_doubt:  # no device was ever revoked
            self._settle(newest.serial)
            return
        serial, data = await fetch(self.ask)
        self._in_doubt = False
        secrets, generation = secrets_of(self.store.db), 0
        there = self._read(serial, data, keys, newest.generation) if data else None
        if there is not None:
            renewal, theirs = there
            if theirs.serial > newest.serial:
                body, said = renewal.statement, theirs
            secrets, generation = self._taken(renewal, theirs, said, keys), theirs.generation
            if generation == said.generation and is_for(renewal, said):
                self._settle(newest.serial)
                return
        elif not data and self.store.row("SELECT 1 FROM box WHERE name = ?", (BOX,)) is not None:
            raise BoxRefused("the server no longer has what your devices left for each other")
        elif newest.generation == 1:
            self._settle(newest.serial)
            return
        own = self.device.client_uri.encode()
        if own not in {each.client for each in said.devices}:
            raise NotPassedOn  # this device was removed
        if generation != said.generation:
            secrets = secrets.followed_by(random_bytes(SIZE))
        made = make_renewal(secrets, serial=serial + 1, statement=body, by=own, device_key=keys.device_key)
        await self.ask(PutBox(BOX, serial + 1, made))
        with self.store.transaction() as db:
            boxes.note_serial(db, BOX, serial + 1)
            keep_secrets(db, secrets, said.generation)
        self._settle(newest.serial)

    def _read(
        self, serial: int, data: bytes, keys: Keys, generation: int
    ) -> tuple[Renewal, AccountStatement] | None:
        """Read what lies there; None if that is of no use, and a device that may have put it there is gone.

        Without that a device that was stolen would leave something which no other ever writes over.
        """
        known = int(self.store.value("SELECT secret_generation FROM profile"))
        try:
            found = read_renewal(data, serial=serial, user=self.device.user_uri, account_key=keys.account_key)
        except RenewalRefused as refused:
            problem = str(refused)
        else:
            if found[1].generation >= max(known, 2):
                return found
            problem = "the server's copy of the account's secret is older than what your devices made"
        boxes.refuse_older(self.store.db, BOX, serial)
        if generation <= known:
            raise BoxRefused(problem)
        return None

    def _taken(
        self, renewal: Renewal, theirs: AccountStatement, said: AccountStatement, keys: Keys
    ) -> Secrets:
        """Return what was passed on to this device, and what it had; store it if it is the newest there is.

        A device that is gone since may have made one of before: that opens, and nothing is sealed under it.
        """
        known, uri = secrets_of(self.store.db), self.device.client_uri.encode()
        try:
            found = open_renewal(renewal, known, user=theirs.user, to=uri, key=keys.device_key)
        except RenewalRefused:
            if {each.client for each in said.devices} & {each.to for each in renewal.passed} - {uri}:
                raise NotPassedOn from None
            return known  # nobody is left who could pass it on
        with self.store.transaction() as db:
            boxes.note_serial(db, BOX, renewal.serial)
            if theirs.generation < said.generation:
                return known.and_also(found.every)
            secrets = found.and_also(known.every)
            keep_secrets(db, secrets, theirs.generation)
        return secrets

    def _settle(self, serial: int) -> None:
        with self.store.transaction() as db:
            db.execute("UPDATE profile SET secret_serial = ?", (serial,))


async def brought_back(
    ask: Ask, account_key: Ed25519PrivateKey, account_secret: bytes, *, user_uri: str, newest: int
) -> Secrets:
    """Return the secrets of an account whose vault was opened: the vault has one that may be of before.

    :param newest: serial of the newest statement that the server shows
    :raises BoxRefused: the server shows what no device of the account left there
    :raises VaultRefused: what a device left there names a statement that the server does not show
    """
    serial, data = await fetch(ask)
    known = Secrets(account_secret)
    if not data:
        return known
    user = user_uri.encode()
    try:
        renewal, signed = read_renewal(data, serial=serial, user=user_uri, account_key=public_of(account_key))
        found = open_renewal(renewal, known, user=user, to=user, key=account_key)
    except RenewalRefused as refused:
        raise BoxRefused(str(refused)) from refused
    if signed.serial > newest:
        raise VaultRefused("The server hides what the account has said of itself since the vault was made.")
    return Secrets(found.newest).and_also((*known.every, *found.older))
