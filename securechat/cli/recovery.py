"""`securechat recovery`: make the account a recovery key, the first one or another."""

import asyncio
from pathlib import Path

import click

from securechat.cli.home import home_of
from securechat.cli.options import Account, account_options, known_password
from securechat.cli.place import place_of
from securechat.cli.recovery_text import BY_PASSWORD, check_place, hand_over
from securechat.cli.speech import tell
from securechat.client.recovery_keys import make_recovery_key
from securechat.locale.catalogue import say, tr
from securechat.own_memory import keep_memory_to_itself


@click.command()
@account_options
@click.option(
    "--recovery-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the recovery key to this new file, for you alone to read, and show it nowhere.",
)
@click.option(
    "--password-opens",
    is_flag=True,
    help="Have the password open the vault too; the server can then guess at it, at 64 MiB a try.",
)
def recovery(account: Account, recovery_file: Path | None, password_opens: bool) -> None:
    """Make USER a recovery key. It is shown once; one of before opens nothing any more.

    Asks for the password. Keys, messages, contacts and devices stay as they are.
    """
    check_place(recovery_file)
    keep_memory_to_itself()
    place = place_of(account, home_of(account))
    key = asyncio.run(make_recovery_key(place, known_password(account), password_opens=password_opens))
    hand_over(key, recovery_file)
    tell(say("It is the recovery key of {user} from now on; no other is.", user=place.user))
    if password_opens:
        tell(tr(BY_PASSWORD))
