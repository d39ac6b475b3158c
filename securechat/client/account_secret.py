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
    MOST_OLDER,
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
        if newest.generation == 1:  # no device was ever revoked
            self._settle(newest.serial)
            return
        serial, data = await fetch(self.ask)
        secrets, generation = secrets_of(self.store.db), 0
        if data:
            renewal, theirs = self._read(serial, data, keys)
            secrets, generation = self._taken(renewal, theirs, keys, newest.generation), theirs.generation
            if theirs.serial > newest.serial:
                body, said = renewal.statement, theirs
            if generation == said.generation and is_for(renewal, said):
                self._settle(newest.serial)
                return
        elif self.store.row("SELECT 1 FROM box WHERE name = ?", (BOX,)) is not None:
            raise BoxRefused("the server no longer has what your devices left for each other")
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

    def _read(self, serial: int, data: bytes, keys: Keys) -> tuple[Renewal, AccountStatement]:
        known = int(self.store.value("SELECT secret_generation FROM profile"))
        try:
            renewal, statement = read_renewal(
                data, serial=serial, user=self.device.user_uri, account_key=keys.account_key
            )
        except RenewalRefused as refused:
            raise BoxRefused(str(refused)) from refused
        if statement.generation < max(known, 2):
            raise BoxRefused("the server's copy of the account's secret is older than what your devices made")
        return renewal, statement

    def _taken(self, renewal: Renewal, statement: AccountStatement, keys: Keys, generation: int) -> Secrets:
        """Store what was passed on to this device; what it had stays with it.

        :param generation: the account's; what was passed on for one of before, and lacks what this device
            seals with, is a restored server's: nothing is sealed under what who was removed since has too
        """
        known, uri = secrets_of(self.store.db), self.device.client_uri.encode()
        try:
            found = open_renewal(renewal, known, user=statement.user, to=uri, key=keys.device_key)
        except RenewalRefused:
            raise NotPassedOn from None
        more = tuple(each for each in known.every if each not in found.every)
        secrets = Secrets(found.newest, (*found.older, *more)[:MOST_OLDER])
        if statement.generation < generation and known.newest in more:
            secrets = secrets.followed_by(known.newest)
        with self.store.transaction() as db:
            boxes.note_serial(db, BOX, renewal.serial)
            keep_secrets(db, secrets, statement.generation)
        return secrets

    def _settle(self, serial: int) -> None:
        with self.store.transaction() as db:
            db.execute("UPDATE profile SET secret_serial = ?", (serial,))


async def brought_back(
    ask: Ask, account_key: Ed25519PrivateKey, account_secret: bytes, *, user_uri: str
) -> Secrets:
    """Return the secrets of an account whose vault was opened: the vault has one that may be of before.

    :raises BoxRefused: the server shows what no device of the account left there
    """
    serial, data = await fetch(ask)
    known = Secrets(account_secret)
    if not data:
        return known
    user = user_uri.encode()
    try:
        renewal, _ = read_renewal(data, serial=serial, user=user_uri, account_key=public_of(account_key))
        return open_renewal(renewal, known, user=user, to=user, key=account_key)
    except RenewalRefused as refused:
        raise BoxRefused(str(refused)) from refused
