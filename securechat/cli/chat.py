"""`securechat chat`: the line mode. One event per line, the same at a terminal, in a pipe and read aloud."""

import asyncio
import os
import sys
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Final, NamedTuple

import click

from securechat.cli.faces import face_of, held_face, holding, secret_of
from securechat.cli.home import profile_of
from securechat.cli.line_mode import Beginning, LineMode
from securechat.cli.options import Account, account_options
from securechat.cli.speech import tell
from securechat.cli.surface import Clearing, PlainSurface, Surface
from securechat.client.errors import NoHolder, WrongPassword
from securechat.client.face import Face
from securechat.locale.catalogue import mark, say, told, tr

WELCOME: Final = mark(
    "no conversations yet: `@bob: hello` writes to bob, `/create #garden` makes a room,"
    " /help lists the commands"
)


@click.command()
@account_options
@click.option("--line", "line", is_flag=True, help="One event per line instead of the full screen.")
@click.option(
    "--plain", "--screen-reader", "plain", is_flag=True, help="Plain lines: no editing, nothing redrawn."
)
@click.option("--typing", is_flag=True, help="Line by line: say who begins to type.")
@click.option("--bell", is_flag=True, help="Line by line: ring when somebody writes.")
@click.option(
    "--notify",
    "way",
    type=click.Choice(["bell", "osc9", "osc99", "osc777", "desktop"]),
    help="Line by line: how to be told that somebody writes.",
)
def chat(account: Account, line: bool, plain: bool, typing: bool, bell: bool, way: str | None) -> int:
    """Open USER's conversations: on a terminal the full screen (F1 is its help), else line by line.

    \b
    @bob: hello      to bob            #team: hello     to a room
    plain text       to the last one   exit             leaves   (/help for the rest)
    """  # noqa: D301 - click's mark is the character itself; raw, it is shown instead
    plain = plain or not _can_edit()
    if not line and not plain:
        from securechat.cli.screen import open_screen  # noqa: PLC0415 - Textual costs 0.2 s, a line none

        return open_screen(account)
    notices = _notices(account, "bell" if bell else way or "")
    chats = partial(_chat, account, plain=plain, typing=typing, notices=notices)
    try:
        parted = asyncio.run(chats(held_face(account), ""))
    except NoHolder:
        password = secret_of(account)  # asked here: no loop runs that would keep Ctrl-C to itself
        parted = asyncio.run(chats(holding(account, password), ""))
    while parted.locked_at is not None:
        password = _unlocked(account)
        parted = asyncio.run(chats(face_of(account, password), parted.locked_at))
    return parted.code


def _notices(account: Account, way: str) -> Beginning | None:
    """How a chat makes itself heard from its beginning: not at all, unless asked."""
    if not way:
        return None
    from securechat.cli.line_notices import as_set  # noqa: PLC0415 - who is silent needs none of it

    return as_set(profile_of(account).folder, way)


class Parted(NamedTuple):
    """How a chat ended: with an exit code, or for the lock, at this conversation."""

    code: int
    locked_at: str | None


def _unlocked(account: Account) -> str:
    """Ask for the password until it is the right one; Ctrl-C leaves."""
    from securechat.client.keystore import unlock  # noqa: PLC0415 - with all of the client: only the lock needs it

    while True:
        asked = say("Password for {user}", user=account.user)
        password = str(click.prompt(asked, hide_input=True, err=True))
        try:
            unlock(profile_of(account), password)
        except WrongPassword as problem:
            tell(told(str(problem)))
        else:
            return password


def _can_edit() -> bool:
    """Editing needs a terminal at both ends that can move its cursor."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


async def _chat(
    account: Account,
    opening: AbstractAsyncContextManager[Face],
    target: str,
    *,
    plain: bool,
    typing: bool,
    notices: Beginning | None,
) -> Parted:
    surface = _surface(account, plain=plain)
    async with opening as face:
        if sys.stdin.isatty() and not await face.conversations():
            surface.tell(f"* {tr(WELCOME)}")
        chat_ = LineMode(
            face,
            surface,
            user=account.user,
            piped=not sys.stdin.isatty(),
            typing=typing,
            notices=notices,
            folder=profile_of(account).folder,
            target=target,
        )
        code = await chat_.run(surface.lines)
    if chat_.is_locked and isinstance(surface, Clearing):
        surface.clear()
    return Parted(code, chat_.target if chat_.is_locked else None)


def _surface(account: Account, *, plain: bool) -> Surface:
    if plain:
        return PlainSurface()
    from securechat.cli.terminal import TerminalSurface  # noqa: PLC0415 - prompt_toolkit costs 0.1 s, a pipe needs none

    return TerminalSurface(profile_of(account).folder)
