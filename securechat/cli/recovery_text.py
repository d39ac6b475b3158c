"""Showing a recovery key once, and reading one back."""

import sys
from pathlib import Path
from typing import Final

import click

from securechat.cli.options import MAX_PASSWORD_BYTES, can_ask
from securechat.cli.qr import qr_lines
from securechat.cli.speech import tell
from securechat.client.private_files import create_file
from securechat.locale.catalogue import mark, say, told, tr
from securechat.membership.recovery_key import RecoveryKey, RecoveryKeyRefused, read_recovery_key

KEEP: Final = mark(
    "It alone brings this account back when all devices and the password are gone: account, contacts, rooms."
    " Whoever finds it can do so too. It is kept nowhere: write it down now."
)

NONE: Final = mark(
    "No recovery key was made: who loses all devices loses this account, its contacts and rooms for good."
    " `securechat recovery` makes one."
)

BY_PASSWORD: Final = mark(
    "The password opens the vault too: the server, or who steals it, can guess at the password,"
    " at 64 MiB a try."
)


def check_place(path: Path | None) -> None:
    """Say before anything is done that a file can't be made.

    :raises click.UsageError: there is something of that name already, or no such folder
    """
    if path is None:
        return
    if path.exists() or path.is_symlink():
        raise click.UsageError(say("{path} exists already; it is not written over", path=path))
    if not path.parent.is_dir():
        raise click.UsageError(say("there is no folder {path}", path=path.parent))


def hand_over(key: RecoveryKey, path: Path | None) -> None:
    """Show a key, or write it to a file for its owner alone."""
    if path is not None:
        try:
            create_file(path, f"{key.text}\n".encode())
        except OSError as problem:  # there is no second chance to show it
            tell(say("{path} cannot be written: {why}", path=path, why=problem.strerror or problem))
        else:
            tell(say("The recovery key is in {path}.", path=path))
            tell(tr(KEEP))
            return
    click.echo(f"{tr('Your recovery key:')}\n\n    {key.text}\n", err=True)
    if sys.stderr.isatty():
        click.echo("\n".join(qr_lines(key.text.upper())), err=True)
    tell(tr(KEEP))


def known_key(user: str, path: Path | None) -> RecoveryKey:
    """The recovery key in a file, or typed on a terminal; a slip is told before anything is sent.

    :raises RecoveryKeyRefused: what the file has is none
    """
    if path is not None:
        try:
            with path.open("rb") as file:
                return read_recovery_key(file.read(MAX_PASSWORD_BYTES).decode("utf-8", "replace").strip())
        except OSError as problem:
            raise click.UsageError(f"--recovery-key-file {path}: {problem.strerror}") from problem
    if not can_ask():
        raise click.UsageError(tr("no terminal to ask for the recovery key; give --recovery-key-file"))
    while True:
        typed = click.prompt(say("Recovery key of {user}", user=user), hide_input=True, err=True)
        try:
            return read_recovery_key(str(typed))
        except RecoveryKeyRefused as slip:
            tell(told(str(slip)))
