"""`securechat reset`: an account begins anew, its password known and nothing else left."""

import asyncio
from pathlib import Path
from typing import Final

import click

from securechat.cli.home import home_of
from securechat.cli.options import Account, account_options, can_ask, known_password
from securechat.cli.place import new_place
from securechat.cli.recovery_text import NONE, check_place, hand_over
from securechat.cli.speech import tell
from securechat.client.registration import Wishes
from securechat.client.resetting import check, is_begun
from securechat.client.resetting import reset as reset_account
from securechat.locale.catalogue import mark, say, tr
from securechat.own_memory import keep_memory_to_itself

GOES: Final = mark(
    "This begins the account anew under the same name. Gone for good: its contacts and verification marks,"
    " its rooms, its history archive, all of its devices and its recovery key. With that key or any of the"
    " devices nothing of it need be lost: `securechat recover`, `securechat link`."
)

SEE: Final = mark(
    "Everybody who knows you sees that your key has CHANGED and sends you nothing until they have compared"
    " the new safety number with you. Rooms have to invite you again."
)


@click.command()
@account_options
@click.option(
    "--recovery-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the recovery key to this new file, for you alone to read, and show it nowhere.",
)
@click.option(
    "--no-recovery", is_flag=True, help="Make no recovery key: then nothing brings the account back."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
def reset(account: Account, recovery_file: Path | None, no_recovery: bool, yes: bool) -> None:
    """Begin USER anew with the password alone: the last resort when no device and no recovery key is left.

    Contacts, rooms and history are lost, and everybody sees another key. Says so and asks first.
    """
    check_place(recovery_file)
    keep_memory_to_itself()
    place = new_place(account, home_of(account))
    password = known_password(account)
    if not is_begun(place):
        asyncio.run(check(place, password))
        tell(tr(GOES))
        tell(tr(SEE))
        if not yes:
            _confirm()
    key = asyncio.run(reset_account(place, password, wishes=Wishes(recovery_key=not no_recovery)))
    if key is not None:
        hand_over(key, recovery_file)
    else:
        tell(tr(NONE))
    done = say("{user} has begun anew, with this machine as the only device.", user=place.user)
    tell(done)
    tell(tr(SEE))


def _confirm() -> None:
    if not can_ask():
        raise click.UsageError(tr("no terminal to ask; --yes begins anew without asking"))
    answer = click.prompt(tr("Begin anew? Type yes"), default="no", show_default=False, err=True)
    if str(answer).strip().lower() not in {"yes", tr("yes")}:
        raise click.UsageError(tr("nothing was changed"))
