"""`securechat password`: another password, here and at the server."""

import asyncio
from pathlib import Path
from typing import Final

import click

from securechat.cli.home import home_of
from securechat.cli.new_password import in_file, new_password
from securechat.cli.options import Account, account_options, known_password
from securechat.cli.place import place_of
from securechat.cli.recovery_text import known_key
from securechat.cli.speech import tell
from securechat.client.config import ProfileFolder
from securechat.client.password_change import change_password
from securechat.client.remembered import NoKeyring, recalled
from securechat.client.store_key import StoreKey
from securechat.locale.catalogue import mark, say, tr
from securechat.own_memory import keep_memory_to_itself

BEFORE: Final = mark(
    "The password changes on this device and at the server. Keys, messages, contacts and the recovery key"
    " stay. All other sessions end, and log in again by themselves."
)
EARLIER: Final = mark(
    "The change that was begun before is done: the password that you chose then holds now, not this one."
)
TAKEN_OVER: Final = mark(
    "The password that you chose on another device holds here too from now on. Nothing else was changed."
)
OTHERS: Final = mark(
    "Your other devices are told. Each opens with the password it had until you change it there too."
)


@click.command()
@account_options
@click.option(
    "--new-password-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Read the new password from a file.",
)
@click.option(
    "--recovery-key", is_flag=True, help="Use the recovery key, where the keyring opens this device's store."
)
@click.option(
    "--recovery-key-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="The same, with the recovery key from a file.",
)
def password(
    account: Account, new_password_file: Path | None, recovery_key: bool, recovery_key_file: Path | None
) -> None:
    """Change the password of USER. Needs the present one, or the recovery key.

    Nobody sees another identity by it: the account key stays. A change that is interrupted leaves the old
    password or the new one working everywhere; the same command goes on with it.
    """
    keep_memory_to_itself()
    home = home_of(account)
    place = place_of(account, home)
    key = known_key(place.user, recovery_key_file) if recovery_key or recovery_key_file else None
    old: str | StoreKey
    old = known_password(account) if key is None else _opener(home.profile(place.user))
    tell(tr(BEFORE))
    new = new_password(place.user, in_file(new_password_file))
    done = asyncio.run(change_password(place, old, new, recovery=key))
    if done.taken_over:
        tell(tr(TAKEN_OVER))
        return
    if done.earlier:
        tell(tr(EARLIER))
    else:
        tell(say("The new password of {user} holds from now on.", user=place.user))
    if done.opens_vault:
        tell(tr("It opens the vault too, as the one before it did."))
    tell(tr(OTHERS))


def _opener(profile: ProfileFolder) -> StoreKey:
    """What opens the store without the password; the recovery key does not."""
    found = recalled(profile)
    if found is None:
        raise NoKeyring(
            "this device's store opens by its password alone; `securechat recover` with the recovery key"
            " makes a new device"
        )
    return found
