"""`securechat logout`: leave nothing of an account on this machine."""

import contextlib
from typing import Final

import click

from securechat.cli.home import home_of
from securechat.cli.options import Account, account_options, can_ask
from securechat.cli.speech import tell
from securechat.client.config import ProfileFolder
from securechat.client.errors import ClientError
from securechat.client.remembered import SERVICE, forget, remembered_as
from securechat.client.wiping import wipe as wipe_profile
from securechat.locale.catalogue import mark, say, tr
from securechat.names import fold_user

OLD_COPIES: Final = mark(
    "Their files were overwritten before they were removed. Old copies that a disk or a file system may"
    " keep are sealed under a key that is gone; a backup of the folder is not."
)


class StillRemembered(ClientError):
    """The account was wiped, and the system's keyring has the key of its store still."""

    def __init__(self, entry: str, why: Exception) -> None:
        named = f"entry {entry!r} of {SERVICE!r}" if entry else f"entry of {SERVICE!r} for this account"
        super().__init__(
            f"the keyring may still have the key of the store ({why}); it opens every copy of the files that"
            f" a disk, a snapshot or a backup has kept. Remove the {named} with the keyring's own program"
        )


@click.command()
@account_options
@click.option(
    "--wipe", is_flag=True, help="Remove the account's keys and history from this machine, for good."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def logout(account: Account, wipe: bool, yes: bool) -> None:
    """Have the system's keyring forget what `--remember` gave it; with --wipe, take USER off this machine.

    Keys, history, everything goes then. Needs no password and no network.
    The account stays at the server. Without another device of its own nobody can enter it again.
    """
    user = fold_user(account.user)
    profile = home_of(account).profile(user)
    if not wipe:
        forget(profile)
        tell(say("What is here of {user} opens by the password only; --wipe removes it for good.", user=user))
        return
    if not yes:
        _confirm(user)
    left = _left_in_the_keyring(profile)
    wipe_profile(profile)
    tell(say("The keys and the history of {user} are gone from this machine.", user=user))
    if left is not None:
        raise left
    tell(tr(OLD_COPIES))


def _left_in_the_keyring(profile: ProfileFolder) -> StillRemembered | None:
    """Have the keyring forget; what hinders that is told afterwards, and hinders no wipe."""
    try:
        forget(profile)
    except (ClientError, OSError) as problem:
        entry = ""
        with contextlib.suppress(ClientError, OSError):
            entry = remembered_as(profile)
        return StillRemembered(entry, problem)
    return None


def _confirm(user: str) -> None:
    if not can_ask():
        raise click.UsageError(tr("no terminal to ask; --yes wipes without asking"))
    removes = say("This removes the keys and all messages of {user} from this machine, for good.", user=user)
    tell(removes)
    asked = say("Type {user} to go on", user=user)
    typed = str(click.prompt(asked, default="", show_default=False, err=True))
    if typed.strip() != user:
        raise click.UsageError(tr("nothing was removed"))
