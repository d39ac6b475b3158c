"""`securechat register`: make an account at a server, and this device's keys on this machine."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Final

import click

from securechat.cli.accounts import address_of, trust_of
from securechat.cli.home import home_of
from securechat.cli.new_password import new_password
from securechat.cli.options import Account, account_options, can_ask, given_password
from securechat.cli.recovery_text import BY_PASSWORD, NONE, check_place, hand_over
from securechat.cli.speech import tell
from securechat.client.config import ServerAddress
from securechat.client.errors import RefusedByServer
from securechat.client.registration import Registered, Wishes
from securechat.client.registration import register as register_account
from securechat.locale.catalogue import say, tr
from securechat.membership.invite import read_invite
from securechat.names import fold_user

INVITE_VARIABLE: Final = "SECURECHAT_INVITE"


@click.command()
@account_options
@click.option(
    "--invite",
    metavar="TOKEN",
    envvar=INVITE_VARIABLE,
    help="The token of an invite, for a server that takes new accounts by invite.",
)
@click.option(
    "--recovery-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the recovery key to this new file, for you alone to read, and show it nowhere.",
)
@click.option(
    "--no-recovery", is_flag=True, help="Make no recovery key: then nothing brings the account back."
)
@click.option(
    "--password-opens",
    is_flag=True,
    help="Have the password open the vault too; the server can then guess at it, at 64 MiB a try.",
)
def register(
    account: Account,
    invite: str | None,
    recovery_file: Path | None,
    no_recovery: bool,
    password_opens: bool,
) -> None:
    """Make the account USER, its recovery key and this device's keys.

    The password opens this device's store and the account key; it never reaches the server. The recovery key
    is shown once: with it alone `securechat recover` brings the account back when everything else is gone.
    """
    if no_recovery and (recovery_file or password_opens):
        raise click.UsageError(tr("without a recovery key there is no vault, and nothing to write to a file"))
    check_place(recovery_file)
    user = fold_user(account.user)
    password = new_password(user, given_password(account))
    wishes = Wishes(invite or "", not no_recovery, password_opens)
    try:
        done = _register(account, user, password, wishes)
    except RefusedByServer as no:
        if no.code != "invite_needed" or invite or not can_ask():
            raise
        typed = str(click.prompt(tr("This server asks for an invite token"), err=True))
        done = _register(account, user, password, replace(wishes, invite=typed))
    at = say(
        "{user} is registered at {server} ({domain})", user=done.user, server=done.server, domain=done.domain
    )
    tell(at)
    tell(say("server fingerprint {fingerprint}", fingerprint=done.fingerprint))
    if done.recovery_key is not None:
        hand_over(done.recovery_key, recovery_file)
    if no_recovery:
        tell(tr(NONE))
    if password_opens:
        tell(tr(BY_PASSWORD))
    tell(say("next: {command}", command=f"securechat chat {done.user}"))


def _register(account: Account, user: str, password: str, wishes: Wishes) -> Registered:
    # A slip in the token is told here, before anybody is asked.
    wishes = replace(wishes, invite=read_invite(wishes.invite).token if wishes.invite else "")
    server = address_of(account) or ServerAddress.parse("localhost:7443")
    return asyncio.run(
        register_account(home_of(account), server, user, password, trust_of(account), wishes=wishes)
    )
