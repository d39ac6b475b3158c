"""Boxes: what the devices of one account keep for each other at the server, sealed by all of them.

A box is sealed under a key of its own from the account's secret, bound to user, name and serial. The
server can withhold one; it can neither read nor change it, and what is older than a device has seen is
refused by that device.
"""

import contextlib
from typing import Final

import apsw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from securechat.client.errors import ClientError, ExitCode, RefusedByServer
from securechat.client.statements import Ask
from securechat.membership.renewal import Secrets
from securechat.mls.codec import encode_opaque
from securechat.mls.randomness import random_bytes
from securechat.protocol.messages import Box, GetBox, PutBox

NONCE_SIZE: Final = 12


class BoxRefused(ClientError):
    """A box is not what this account sealed, or older than what was there."""

    exit_code = ExitCode.UNTRUSTED


def derive(account_secret: bytes, label: str) -> bytes:
    """Return the account's key for one purpose, 32 bytes."""
    return HKDFExpand(SHA256(), 32, b"securechat/1 account " + label.encode()).derive(account_secret)


def seal(account_secret: bytes, content: bytes, *, user_uri: str, box: str, serial: int) -> bytes:
    nonce = random_bytes(NONCE_SIZE)
    key = derive(account_secret, "box " + box)
    return nonce + ChaCha20Poly1305(key).encrypt(nonce, content, _bound(user_uri, box, serial))


def open_box(account_secret: bytes, sealed: bytes, *, user_uri: str, box: str, serial: int) -> bytes:
    """Open a box.

    :raises BoxRefused: the account did not seal this under this name and serial
    """
    key = derive(account_secret, "box " + box)
    try:
        return ChaCha20Poly1305(key).decrypt(
            sealed[:NONCE_SIZE], sealed[NONCE_SIZE:], _bound(user_uri, box, serial)
        )
    except (InvalidTag, ValueError):
        raise _not_ours(box) from None


async def get(ask: Ask, secrets: Secrets, *, user_uri: str, box: str) -> tuple[int, bytes] | None:
    """Read a box: its serial and its content; None if there is none.

    What was not replaced since the account's secret is another one lies there under one of before.

    :raises BoxRefused, Disconnected, RefusedByServer: it could not be read
    """
    try:
        answer = await ask(GetBox(box))
    except RefusedByServer as no:
        if no.code == "no_box":
            return None
        raise
    if not isinstance(answer, Box):
        raise TypeError("the connection holds answers to their kinds")
    for secret in secrets.every:
        with contextlib.suppress(BoxRefused):
            content = open_box(secret, answer.sealed, user_uri=user_uri, box=box, serial=answer.serial)
            return answer.serial, content
    raise _not_ours(box)


async def put(ask: Ask, secrets: Secrets, content: bytes, *, user_uri: str, box: str, serial: int) -> None:
    """Replace a box; ``serial`` is one more than that of the box that was read.

    :raises RefusedByServer: ``stale_box``: another device was faster; read it and decide anew
    """
    sealed = seal(secrets.newest, content, user_uri=user_uri, box=box, serial=serial)
    await ask(PutBox(box, serial, sealed))


def refuse_older(db: apsw.Connection, box: str, serial: int) -> None:
    """Hold a box's serial to the one that is remembered.

    :raises BoxRefused: the server went back behind one that was seen
    """
    row = db.execute("SELECT serial FROM box WHERE name = ?", (box,)).fetchone()
    if row is not None and serial < row[0]:
        raise BoxRefused(f"the server's copy of {box} is older than what your devices stored there")


def note_serial(db: apsw.Connection, box: str, serial: int) -> None:
    """Remember a box's serial, in the caller's transaction; raises as `refuse_older`."""
    refuse_older(db, box, serial)
    db.execute(
        "INSERT INTO box (name, serial) VALUES (?, ?)"
        " ON CONFLICT (name) DO UPDATE SET serial = excluded.serial",
        (box, serial),
    )


def _not_ours(box: str) -> BoxRefused:
    return BoxRefused(f"the server's copy of {box} is not what your devices stored there")


def _bound(user_uri: str, box: str, serial: int) -> bytes:
    return (
        b"securechat/1 box"
        + encode_opaque(user_uri.encode())
        + encode_opaque(box.encode())
        + serial.to_bytes(8, "big")
    )
