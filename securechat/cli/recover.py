"""`securechat recover`: an account comes back with its recovery key alone."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from securechat.cli.accounts import opened_client
from securechat.cli.home import home_of
from securechat.cli.new_password import new_password
from securechat.cli.options import Account, account_options, can_ask, given_password
from securechat.cli.place import new_place
from securechat.cli.recovery_text import BY_PASSWORD, check_place, hand_over, known_key
from securechat.cli.speech import tell
from securechat.client.account_link import Place
from securechat.client.client import Client
from securechat.client.recovering import BroughtBack, Found, bring_back, is_begun, look, resume
from securechat.locale.catalogue import mark, say, told, tr
from securechat.own_memory import keep_memory_to_itself
from securechat.protocol.messages import DeviceRow

ALL: Final = "all"

SECONDS: Final = 20.0
"""How long the command waits for the conversations; they come by themselves later."""

COMES: Final = mark(
    "Account, contacts with their verification marks and conversations come back. What was said comes back as"
    " far as the account's archive has it; what lay on lost devices only does not. Nobody sees another"
    " identity."
)

LOST: Final = mark(
    "Devices that are lost are cut off at once: whoever has one reads nothing that is said from now on."
    " What is on them already stays readable there."
)

NO_LIST: Final = mark("No list of contacts is there: people and rooms have to be found again.")

BEGUN: Final = mark("A recovery was begun here and its answer never came; going on with it.")


@click.command()
@account_options
@click.option(
    "--recovery-key-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Read the recovery key from a file.",
)
@click.option(
    "--keep",
    metavar="DEVICE",
    multiple=True,
    help="A device that is not lost, by the beginning of its id; `all` keeps all. May be repeated.",
)
@click.option(
    "--new-key", is_flag=True, help="Make another recovery key; the present one opens nothing then."
)
@click.option(
    "--recovery-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the other recovery key to this new file, for you alone to read.",
)
@click.option(
    "--yes", is_flag=True, help="Do not ask which devices are lost: all others are, but those to keep."
)
def recover(
    account: Account,
    recovery_key_file: Path | None,
    keep: Sequence[str],
    new_key: bool,
    recovery_file: Path | None,
    yes: bool,
) -> None:
    """Bring USER back on this machine with the recovery key alone, and set a new password.

    Contacts, verification marks and rooms come back; devices that are lost are cut off, by default all.
    """
    check_place(recovery_file)
    keep_memory_to_itself()
    place = new_place(account, home_of(account))
    key = known_key(place.user, recovery_key_file)
    if is_begun(place):
        tell(tr(BEGUN))
        password = new_password(place.user, given_password(account))
        back = asyncio.run(resume(place, key, password))
    else:
        found = asyncio.run(look(place, key))
        _say_before(found)
        kept = _kept(found, keep, ask=not (yes or keep) and can_ask())
        password = new_password(place.user, given_password(account))
        back = asyncio.run(bring_back(place, found, key, password, keep=kept, new=new_key))
        if found.password_opened:
            tell(tr(BY_PASSWORD))
    _say_after(place, back, recovery_file)
    asyncio.run(_enter(account, password))


def _say_before(found: Found) -> None:
    tell(tr("The recovery key opens this account."))
    tell(tr(COMES))
    if found.contacts is None:
        tell(told(found.problem) or tr(NO_LIST))
    tell(tr("Its devices:"))
    rows = {row.client: row for row in found.devices}
    for client in found.clients:
        tell(f"    {_device(client, rows.get(client))}")
    tell(tr(LOST))


def _device(client: str, row: DeviceRow | None) -> str:
    if row is None:
        return say("{device}, of which the server says nothing", device=client)
    return say(
        "{device}, since {day}, last here {seen}", device=client, day=_day(row.created), seen=_day(row.seen)
    )


def _day(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).date().isoformat() if seconds else "-"


def _kept(found: Found, keep: Sequence[str], *, ask: bool) -> tuple[str, ...]:
    """Which devices are not lost.

    :raises click.UsageError: a name fits none of them, or several
    """
    if ask:
        typed = click.prompt(
            tr("Which of them are NOT lost? Ids, or all; Enter alone: none"),
            default="",
            show_default=False,
            err=True,
        )
        keep = str(typed).replace(",", " ").split()
    if ALL in keep:
        return found.clients
    return tuple(_one(found, name) for name in keep)


def _one(found: Found, name: str) -> str:
    fitting = [client for client in found.clients if client.startswith(name.lower())]
    if len(fitting) != 1:
        raise click.UsageError(say("no device, or more than one, is called {name}", name=name))
    return fitting[0]


def _say_after(place: Place, back: BroughtBack, path: Path | None) -> None:
    if back.recovery_key is not None:
        hand_over(back.recovery_key, path)
        tell(tr("The recovery key of before opens nothing any more."))
    tell(
        say(
            "{user} is back: {people} contacts ({verified} verified), {talks} conversations."
            " Devices that were cut off: {revoked}.",
            user=place.user,
            people=back.people,
            verified=back.verified,
            talks=back.talks,
            revoked=back.revoked,
        )
    )


async def _enter(account: Account, password: str) -> None:
    """Stay until the conversations are entered, or for a while."""
    async with opened_client(account, password) as client:
        try:
            async with asyncio.timeout(SECONDS):
                await client.caught_up()
                await client.entered()
        except TimeoutError:
            tell(tr("Some conversations are not entered yet; they come when they can."))
        for line in _standing(client):
            tell(line)
    tell(say("next: {command}", command=f"securechat chat {account.user}"))


def _standing(client: Client) -> list[str]:
    return [f"{each.name}: {told(each.held_text) or tr('here')}" for each in client.conversations()]
