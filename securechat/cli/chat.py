"""`securechat chat`: the line mode. One event per line, the same at a terminal, in a pipe and read aloud."""

import asyncio
import os
import sys
from contextlib import AbstractAsyncContextManager

import click

from securechat.cli.faces import held_face, holding, secret_of
from securechat.cli.line_mode import LineMode
from securechat.cli.options import Account, account_options
from securechat.cli.surface import PlainSurface, Surface
from securechat.client.errors import NoHolder
from securechat.client.face import Face


@click.command()
@account_options
@click.option("--line", "line", is_flag=True, help="One event per line instead of the full screen.")
@click.option(
    "--plain", "--screen-reader", "plain", is_flag=True, help="Plain lines: no editing, nothing redrawn."
)
@click.option("--typing", is_flag=True, help="Line by line: say who begins to type.")
def chat(account: Account, line: bool, plain: bool, typing: bool) -> int:
    """Open USER's conversations: on a terminal the full screen (F1 is its help), else line by line.

    \b
    @bob: hello      to bob            #team: hello     to a room
    plain text       to the last one   exit             leaves   (/help for the rest)
    """  # noqa: D301 - click's mark is the character itself; raw, it is shown instead
    plain = plain or not _can_edit()
    if not line and not plain:
        from securechat.cli.screen import open_screen  # noqa: PLC0415 - Textual costs 0.2 s, a line none

        return open_screen(account)
    try:
        return asyncio.run(_chat(held_face(account), account.user, plain=plain, typing=typing))
    except NoHolder:
        password = secret_of(account)  # asked here: no loop runs that would keep Ctrl-C to itself
    return asyncio.run(_chat(holding(account, password), account.user, plain=plain, typing=typing))


def _can_edit() -> bool:
    """Editing needs a terminal at both ends that can move its cursor."""
    return sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"


async def _chat(opening: AbstractAsyncContextManager[Face], user: str, *, plain: bool, typing: bool) -> int:
    async with opening as face:
        surface = _surface(plain=plain)
        chat_ = LineMode(face, surface, user=user, piped=not sys.stdin.isatty(), typing=typing)
        return await chat_.run(surface.lines)


def _surface(*, plain: bool) -> Surface:
    if plain:
        return PlainSurface()
    from securechat.cli.terminal import TerminalSurface  # noqa: PLC0415 - prompt_toolkit costs 0.1 s, a pipe needs none

    return TerminalSurface()
