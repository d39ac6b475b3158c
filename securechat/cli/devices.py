"""`securechat devices`: the devices that read along, and what can be done about those of one's own account.

What can be done is a table: the word after USER, and the room that does it. Options stand anywhere.
"""

import functools
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import click
import msgspec

from securechat.cli.json_lines import print_json
from securechat.cli.known import device_text
from securechat.cli.once import once
from securechat.cli.options import Account, account_options
from securechat.cli.speech import show
from securechat.client.events import DeviceInfo
from securechat.client.face import Face
from securechat.locale.catalogue import say


@dataclass(frozen=True, slots=True)
class Asked:
    """What an action is given: the words after its own, and the options."""

    account: Account
    words: tuple[str, ...]
    as_json: bool = False


Action = Callable[[Asked], int | None]

ACTIONS: Final[dict[str, str]] = {
    "approve": "securechat.cli.device_approving:approve",
    "list": "securechat.cli.device_removing:own",
    "rename": "securechat.cli.device_removing:rename",
    "revoke": "securechat.cli.device_removing:revoke",
}
"""Each action: the module that has it, and its name there."""


@click.command()
@account_options
@click.argument("words", metavar="[ACTION]", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def devices(account: Account, words: tuple[str, ...], as_json: bool) -> int | None:
    """List the devices that read along, in a conversation or in all; this one is among them.

    \b
    securechat devices alice                     whose devices read along
    securechat devices alice @bob                the same in one conversation
    securechat devices alice approve CODE        let in a new device that shows this code
    securechat devices alice list                your own devices: since when, and when last seen
    securechat devices alice rename DEVICE NAME  call one of them something
    securechat devices alice revoke DEVICE       remove one: it is cut off, and out of everything
    """  # noqa: D301 - click's mark is the character itself; raw, it is shown instead
    word = words[0] if words else ""
    if word in ACTIONS:
        module, _, name = ACTIONS[word].partition(":")
        action: Action = getattr(importlib.import_module(module), name)
        return action(Asked(account, words[1:], as_json))
    if len(words) > 1 or (word and word[0] not in "@#"):
        known = ", ".join(ACTIONS)
        raise click.UsageError(
            say("{word} is nothing to do with devices: there is {known}", word=repr(word), known=known)
        )
    for device in once(account, functools.partial(_devices, conversation=word or None), offline=True):
        if as_json:
            print_json(device_json(device))
        else:
            show(device_text(device))
    return None


def device_json(device: DeviceInfo) -> dict[str, object]:
    return {"type": "device"} | msgspec.structs.asdict(device)


async def _devices(face: Face, conversation: str | None) -> list[DeviceInfo]:
    return await face.devices(conversation)
