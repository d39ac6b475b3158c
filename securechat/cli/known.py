"""`securechat contacts`, `status`: who is known here, and how it stands."""

from typing import Any

import click
import msgspec

from securechat.cli.json_lines import print_json
from securechat.cli.once import once
from securechat.cli.options import Account, account_options
from securechat.cli.speech import show
from securechat.client.doubt import identity_word
from securechat.client.events import Contact, DeviceInfo, Status
from securechat.client.face import Face
from securechat.locale.catalogue import tr


@click.command()
@account_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def contacts(account: Account, as_json: bool) -> None:
    """List whose keys are known here, with the safety numbers to compare. Needs no network."""
    for contact in once(account, _contacts, offline=True):
        if as_json:
            print_json({"type": "contact"} | msgspec.structs.asdict(contact))
        else:
            show(contact_text(contact))


@click.command()
@account_options
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def status(account: Account, as_json: bool) -> None:
    """Say how the account stands: its server, whether a process holds it, what waits. Needs no network."""
    found = status_json(once(account, _status, offline=True))
    if as_json:
        print_json(found)
        return
    for name, value in found.items():
        if name != "type":
            show(f"{name}: {value}")


def contact_text(contact: Contact) -> str:
    """One line of `/contacts`."""
    return f"@{contact.user} ({tr(identity_word(contact.identity))}): {contact.safety_number}"


def device_text(device: DeviceInfo) -> str:
    """One line of `/devices`."""
    where = ", ".join(device.conversations) or tr("no conversation")
    this = f" {tr('(this one)')}" if device.this else ""
    return f"@{device.user} {device.device}{this}: {where}"


def status_json(found: Status) -> dict[str, Any]:
    return {"type": "status"} | msgspec.structs.asdict(found)


async def _contacts(face: Face) -> list[Contact]:
    return await face.contacts()


async def _status(face: Face) -> Status:
    return await face.status()
