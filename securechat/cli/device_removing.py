"""`securechat devices USER list`, `rename` and `revoke`: the devices of one's own account (D-02, M-17)."""

import asyncio
from contextlib import AsyncExitStack

import click
import msgspec

from securechat.cli.devices import Asked
from securechat.cli.faces import held_face, holding
from securechat.cli.json_lines import print_json
from securechat.cli.options import PASSWORD_VARIABLE, can_ask, given_password, known_password
from securechat.cli.show import clock
from securechat.cli.speech import show
from securechat.client.errors import NoHolder
from securechat.client.events import OwnDevice
from securechat.client.face import Face
from securechat.client.own_devices import own_device_text, removed_text
from securechat.locale.catalogue import say, tr


def own(asked: Asked) -> int | None:
    if asked.words:
        raise click.UsageError(tr("list takes nothing more"))
    for device in asyncio.run(_list(asked)):
        if asked.as_json:
            print_json({"type": "own_device"} | msgspec.structs.asdict(device))
        else:
            show(own_device_text(device, clock))
    return None


def revoke(asked: Asked) -> int | None:
    if len(asked.words) != 1:
        raise click.UsageError(tr("say which device, by the beginning of its name"))
    password = given_password(asked.account)
    if password is None and not can_ask():
        raise click.UsageError(
            say(
                "no terminal to ask for the password; give --password-file, --password-fd or {variable}",
                variable=PASSWORD_VARIABLE,
            )
        )
    return asyncio.run(_revoke(asked, password))


def rename(asked: Asked) -> int | None:
    if len(asked.words) != 2:
        raise click.UsageError(tr("say which device, and what to call it"))
    device = asyncio.run(_rename(asked, *asked.words))
    if asked.as_json:
        print_json({"type": "own_device"} | msgspec.structs.asdict(device))
    else:
        show(own_device_text(device, clock))
    return None


async def _rename(asked: Asked, device: str, name: str) -> OwnDevice:
    async with AsyncExitStack() as stack:
        face = await _face(asked, stack, given_password(asked.account))
        return await face.rename_device(device, name)


async def _face(asked: Asked, stack: AsyncExitStack, password: str | None) -> Face:
    try:
        return await stack.enter_async_context(held_face(asked.account))
    except NoHolder:
        given = password if password is not None else known_password(asked.account)
        return await stack.enter_async_context(holding(asked.account, given))


async def _list(asked: Asked) -> list[OwnDevice]:
    async with AsyncExitStack() as stack:
        face = await _face(asked, stack, given_password(asked.account))
        return await face.own_devices()


async def _revoke(asked: Asked, password: str | None) -> int | None:
    if password is None:
        password = str(click.prompt(tr("Password"), hide_input=True, err=True))
    async with AsyncExitStack() as stack:
        face = await _face(asked, stack, password)
        done = await face.revoke_device(asked.words[0], password)
    if asked.as_json:
        print_json({"type": "revoked"} | msgspec.structs.asdict(done))
    else:
        show(
            removed_text(
                done.device[:8], out=done.conversations - done.left, conversations=done.conversations
            )
        )
    return None
