"""Options that several commands share, and what they become.

A password comes from ``--password-file``, ``--password-fd``, ``SECURECHAT_PASSWORD`` (the weakest way:
other processes of the user can read it) or a terminal; never from the command line, where every
user of the machine can see it. Without a terminal nothing is ever asked.
"""

import functools
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from securechat.locale.catalogue import say, tr

Function = TypeVar("Function", bound=Callable[..., Any])

MAX_PASSWORD_BYTES: Final = 4096
"""More is read from no file: the law allows 1,024 bytes, and says so itself."""

PASSWORD_VARIABLE: Final = "SECURECHAT_PASSWORD"  # noqa: S105 - the variable's name, not a password


@dataclass(frozen=True, slots=True)
class Account:
    """Where an account lives on this machine and how its server is reached and trusted."""

    user: str
    home: Path | None
    server: str | None
    cafile: Path | None
    fingerprint: str | None
    accept_new: bool
    password_file: Path | None
    password_fd: int | None
    remember: bool = False


# click hands a command its options by keyword; what else a command takes passes through untouched.
# ruff: noqa: ANN401


def account_options(function: Function) -> Function:
    """Give a command the argument USER and the options of an account, as one value ``account``."""

    @functools.wraps(function)
    def command(  # noqa: PLR0913 - one parameter per option, as click passes them
        *args: Any,
        user: str,
        home: Path | None,
        server: str | None,
        cafile: Path | None,
        fingerprint: str | None,
        accept_new: bool,
        password_file: Path | None,
        password_fd: int | None,
        remember: bool,
        **rest: Any,
    ) -> Any:
        account = Account(
            user=user,
            home=home,
            server=server,
            cafile=cafile,
            fingerprint=fingerprint,
            accept_new=accept_new,
            password_file=password_file,
            password_fd=password_fd,
            remember=remember,
        )
        return function(*args, account=account, **rest)

    wrapped: Any = command
    for option in reversed(_ACCOUNT_OPTIONS):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[no-any-return]  # click's decorators are untyped here


_ACCOUNT_OPTIONS: Final = (
    click.argument("user"),
    click.option(
        "--server", metavar="HOST:PORT", help="The server (default localhost:7443; register remembers it)."
    ),
    click.option(
        "--home",
        type=click.Path(path_type=Path, file_okay=False),
        envvar="SECURECHAT_HOME",
        help="Folder of this machine's accounts.",
    ),
    click.option(
        "--cafile",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="Certificate authorities to trust instead of the system's.",
    ),
    click.option("--fingerprint", metavar="FP", help="The server's fingerprint, known from elsewhere."),
    click.option("--accept-new", is_flag=True, help="Trust a server seen for the first time without asking."),
    click.option(
        "--password-file",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="Read the password from a file.",
    ),
    click.option(
        "--password-fd", type=int, metavar="N", help="Read the password from an open file descriptor."
    ),
    click.option(
        "--remember",
        is_flag=True,
        help="Keep what opens this device in the system's keyring, and ask for no password from then on.",
    ),
)


def given_password(account: Account) -> str | None:
    """The password from a file, a descriptor or the environment; None when none of them is given.

    From here on this process may have secrets, whichever way they come: its memory is its own.
    """
    from securechat.own_memory import keep_memory_to_itself  # noqa: PLC0415 - a one-shot has no secrets

    keep_memory_to_itself()
    if account.password_file is not None:
        return password_in(account.password_file, "--password-file")
    if account.password_fd is not None:
        try:
            with os.fdopen(account.password_fd, "rb") as file:
                return _decoded(file.read(MAX_PASSWORD_BYTES + 1))
        except OSError as problem:
            raise click.UsageError(f"--password-fd {account.password_fd}: {problem.strerror}") from problem
    return os.environ.get(PASSWORD_VARIABLE)


def password_in(path: Path, option: str) -> str:
    """The password that a file has; ``option`` is what named it."""
    try:
        with path.open("rb") as file:
            return _decoded(file.read(MAX_PASSWORD_BYTES + 1))
    except OSError as problem:
        raise click.UsageError(f"{option} {path}: {problem.strerror}") from problem


def known_password(account: Account) -> str:
    """The password of an existing account; asks on a terminal, else says how to give one."""
    password = given_password(account)
    if password is not None:
        return password
    if not can_ask():
        raise click.UsageError(
            say(
                "no terminal to ask for the password; give --password-file, --password-fd or {variable}",
                variable=PASSWORD_VARIABLE,
            )
        )
    return str(click.prompt(say("Password for {user}", user=account.user), hide_input=True, err=True))


def can_ask() -> bool:
    """Whether there is a person at a terminal to answer a question."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def _decoded(data: bytes) -> str:
    if len(data) > MAX_PASSWORD_BYTES:
        raise click.UsageError(tr("the password is too long"))
    try:
        return data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as problem:
        raise click.UsageError(tr("the password is not UTF-8")) from problem
