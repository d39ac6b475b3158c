"""`securechat register`: make an account at a server, and this device's keys on this machine."""

import asyncio
from typing import Final

import click

from securechat.cli.accounts import address_of, trust_of
from securechat.cli.home import home_of
from securechat.cli.options import PASSWORD_VARIABLE, Account, account_options, can_ask, given_password
from securechat.client.config import ServerAddress
from securechat.client.errors import RefusedByServer
from securechat.client.registration import Registered
from securechat.client.registration import register as register_account
from securechat.locale.catalogue import say, told, tr
from securechat.membership.invite import read_invite
from securechat.membership.passwords import PasswordRefused, check_password, generate_passphrase
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
def register(account: Account, invite: str | None) -> None:
    """Make the account USER and this device's keys.

    The password opens this device's store and, later, recovery. It never reaches the server. There
    is no way to reset it.
    """
    user = fold_user(account.user)
    password = _new_password(account, user)
    try:
        done = _register(account, user, password, invite=invite or "")
    except RefusedByServer as no:
        if no.code != "invite_needed" or invite or not can_ask():
            raise
        typed = str(click.prompt(tr("This server asks for an invite token"), err=True))
        done = _register(account, user, password, invite=typed)
    at = say(
        "{user} is registered at {server} ({domain})", user=done.user, server=done.server, domain=done.domain
    )
    click.echo(at, err=True)
    click.echo(say("server fingerprint {fingerprint}", fingerprint=done.fingerprint), err=True)
    click.echo(say("next: {command}", command=f"securechat chat {done.user}"), err=True)


def _register(account: Account, user: str, password: str, *, invite: str) -> Registered:
    token = read_invite(invite).token if invite else ""  # a slip is told here, before anybody is asked
    server = address_of(account) or ServerAddress.parse("localhost:7443")
    return asyncio.run(
        register_account(home_of(account), server, user, password, trust_of(account), invite=token)
    )


def _new_password(account: Account, user: str) -> str:
    given = given_password(account)
    if given is not None:
        check_password(given, user=user)
        return given
    if not can_ask():
        raise click.UsageError(
            say(
                "no terminal to ask for a password; give --password-file, --password-fd or {variable}",
                variable=PASSWORD_VARIABLE,
            )
        )
    while True:
        typed = str(
            click.prompt(
                say("Password for {user} (at least 15 characters; Enter alone makes one)", user=user),
                default="",
                show_default=False,
                hide_input=True,
                err=True,
            )
        )
        if not typed:
            return _generated()
        try:
            check_password(typed, user=user)
        except PasswordRefused as problem:
            click.echo(told(str(problem)), err=True)
            continue
        if typed == click.prompt(tr("Once more"), hide_input=True, err=True, default="", show_default=False):
            return typed
        click.echo(tr("These differ."), err=True)


def _generated() -> str:
    password = generate_passphrase()
    click.echo(f"{tr('Your password:')}\n\n    {password}\n", err=True)
    click.echo(tr("Write it down now; it is not shown again."), err=True)
    while (
        click.prompt(tr("Type it to go on"), hide_input=True, err=True, default="", show_default=False)
        != password
    ):
        click.echo(tr("That is not it."), err=True)
    return password
