"""`securechat register`: make an account at a server, and this device's keys on this machine."""

import asyncio

import click

from securechat.cli.accounts import address_of, trust_of
from securechat.cli.home import home_of
from securechat.cli.options import PASSWORD_VARIABLE, Account, account_options, can_ask, given_password
from securechat.client.config import ServerAddress
from securechat.client.registration import register as register_account
from securechat.membership.passwords import PasswordRefused, check_password, generate_passphrase
from securechat.names import fold_user


@click.command()
@account_options
def register(account: Account) -> None:
    """Make the account USER and this device's keys.

    The password opens this device's store and, later, recovery. It never reaches the server. There
    is no way to reset it.
    """
    user = fold_user(account.user)
    password = _new_password(account, user)
    done = asyncio.run(
        register_account(
            home_of(account),
            address_of(account) or ServerAddress.parse("localhost:7443"),
            user,
            password,
            trust_of(account),
        )
    )
    click.echo(f"{done.user} is registered at {done.server} ({done.domain})", err=True)
    click.echo(f"server fingerprint {done.fingerprint}", err=True)
    click.echo(f"next: securechat chat {done.user}", err=True)


def _new_password(account: Account, user: str) -> str:
    given = given_password(account)
    if given is not None:
        check_password(given, user=user)
        return given
    if not can_ask():
        raise click.UsageError(
            f"no terminal to ask for a password; give --password-file, --password-fd or {PASSWORD_VARIABLE}"
        )
    while True:
        typed = str(
            click.prompt(
                f"Password for {user} (at least 15 characters; Enter alone makes one)",
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
            click.echo(str(problem), err=True)
            continue
        if typed == click.prompt("Once more", hide_input=True, err=True, default="", show_default=False):
            return typed
        click.echo("These differ.", err=True)


def _generated() -> str:
    password = generate_passphrase()
    click.echo(f"Your password:\n\n    {password}\n\nWrite it down now; it is not shown again.", err=True)
    while (
        click.prompt("Type it to go on", hide_input=True, err=True, default="", show_default=False)
        != password
    ):
        click.echo("That is not it.", err=True)
    return password
