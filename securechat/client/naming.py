"""What an account calls its devices: a sealed box that all of them read, so that the server learns no name.

A name is for the owner's eyes. Where there is none, a device is called by the beginning of its name at the
server. A server may show names of before, as after a restore: so whoever removes a device is shown both.
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Struct

from securechat.client import boxes, statements
from securechat.client.boxes import BoxRefused
from securechat.client.device_name import shown_name
from securechat.client.engine import Engine
from securechat.client.errors import RefusedByServer, Unreachable
from securechat.client.keystore import load_keys
from securechat.membership.identity import MAX_LEAVES_PER_USER
from securechat.membership.linking import MAX_NAME
from securechat.names import parse_client_uri

BOX: Final = "devices"
VERSION: Final = 1

MAX_RACES: Final = 5
"""Attempts against other devices that write at the same time."""

MAX_NAMED: Final = 4 * MAX_LEAVES_PER_USER
"""Names in a box: those of devices that are gone are dropped with the next one that is given."""


class _Names(Struct, frozen=True):
    version: int
    names: Annotated[
        dict[Annotated[str, Meta(max_length=32)], Annotated[str, Meta(max_length=4 * MAX_NAME)]],
        Meta(max_length=MAX_NAMED),
    ]


_READ: Final = msgspec.msgpack.Decoder(_Names)


async def names_of(engine: Engine) -> dict[str, str]:
    """Return what the account's devices are called, by their local ids.

    :raises BoxRefused, Disconnected, RefusedByServer: it could not be read
    """
    _, names = await _read(engine)
    return names


async def rename(engine: Engine, given: dict[str, str]) -> None:
    """Call devices something, by their local ids; an empty name takes one away.

    :raises BoxRefused, Disconnected, RefusedByServer: nothing was changed
    """
    keys = load_keys(engine.store)
    statement = statements.newest(engine.store.db, keys.user)
    devices = () if statement is None else statement.devices
    there = {parse_client_uri(device.client).name for device in devices} | set(given)
    for _ in range(MAX_RACES):
        serial, before = await _read(engine)
        named = before | {client: shown_name(name) for client, name in given.items()}
        names = {client: name for client, name in named.items() if name and client in there}
        if names == before:
            return
        content = msgspec.msgpack.encode(_Names(VERSION, names))
        try:
            await boxes.put(
                engine.ask,
                await engine.secrets.current(),
                content,
                user_uri=engine.device.user_uri,
                box=BOX,
                serial=serial + 1,
            )
        except RefusedByServer as no:
            if no.code != "stale_box":
                raise
        else:
            return
    raise Unreachable("other devices of yours change the account at the same time; try again")


async def _read(engine: Engine) -> tuple[int, dict[str, str]]:
    found = await engine.secrets.opened(BOX)
    serial, content = (0, b"") if found is None else found
    if not content:
        return serial, {}
    try:
        read = _READ.decode(content)
    except msgspec.MsgspecError as problem:
        raise BoxRefused(f"the server's copy of {BOX} is not what your devices stored there") from problem
    return serial, {client: shown_name(name) for client, name in read.names.items()}
