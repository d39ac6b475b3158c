"""A password that is to hold from now on: given, typed twice, or drawn."""

from pathlib import Path

import click

from securechat.cli.options import PASSWORD_VARIABLE, can_ask, password_in
from securechat.cli.speech import tell
from securechat.locale.catalogue import say, told, tr
from securechat.membership.passwords import PasswordRefused, check_password, generate_passphrase


def new_password(user: str, given: str | None) -> str:
    """Return a new password that the rules take; asks on a terminal where none is given.

    :raises PasswordRefused: the given one is too simple
    """
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
            tell(told(str(problem)))
            continue
        if typed == click.prompt(tr("Once more"), hide_input=True, err=True, default="", show_default=False):
            return typed
        tell(tr("These differ."))


def in_file(path: Path | None) -> str | None:
    """The password in a file; None without one."""
    return None if path is None else password_in(path, "--new-password-file")


def _generated() -> str:
    password = generate_passphrase()
    click.echo(f"{tr('Your password:')}\n\n    {password}\n", err=True)
    tell(tr("Write it down now; it is not shown again."))
    while (
        click.prompt(tr("Type it to go on"), hide_input=True, err=True, default="", show_default=False)
        != password
    ):
        tell(tr("That is not it."))
    return password
