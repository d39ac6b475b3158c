"""`securechat do`: one command of a chat, for a shell. Nothing is shown or marked but what it says."""

import click

from securechat.cli.line_commands import LineCommands
from securechat.cli.once import once
from securechat.cli.options import Account, account_options
from securechat.cli.surface import ByWords
from securechat.client.commands import Command, read_line
from securechat.client.face import Face
from securechat.locale.catalogue import say


@click.command(context_settings={"ignore_unknown_options": True})
@account_options
@click.argument("to")
@click.argument("words", metavar="COMMAND", nargs=-1, required=True)
def do(account: Account, to: str, words: tuple[str, ...]) -> int:
    """Do one slash COMMAND of a chat in the conversation TO: @user or #room.

    \b
    securechat do alice @bob /poll 'Tea? | green | black'
    securechat do alice @bob /vote 2
    securechat do alice @bob /close
    """  # noqa: D301 - click's mark is the character itself; raw, it is shown instead
    if to[:1] not in {"@", "#"}:
        raise click.UsageError(say("{name} is neither @user nor #room", name=repr(to)))
    line = "/" + " ".join(words).removeprefix("/")
    if not isinstance(read_line(line), Command):
        raise click.UsageError(say("{line} is no command of a chat", line=repr(line)))
    return once(account, lambda face: _do(face, account.user, to, line))


async def _do(face: Face, user: str, to: str, line: str) -> int:
    return await LineCommands(face, ByWords(), user=user, piped=True).once(line, to)
