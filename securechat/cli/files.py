"""`securechat file`, `securechat download`: one file to somebody, and one that somebody sent."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import click

from securechat.cli.faces import face_of
from securechat.cli.json_lines import message_json, print_json
from securechat.cli.options import Account, account_options
from securechat.cli.show import moved_text
from securechat.client.events import FileMoved, Message, MessageState
from securechat.client.face import Face
from securechat.locale.catalogue import say, tr

EXIT_LATER: Final = 75

ONE_WAIT: Final = 60.0
"""Seconds for which the holder is asked to wait at once; then again."""

_START_OF_LINE: Final = "\r\x1b[2K"


@click.command()
@account_options
@click.argument("to")
@click.argument("path", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--caption", default="", help="Some words to go with it.")
@click.option("--no-thumbnail", "bare", is_flag=True, help="If it is a picture, send no small one with it.")
@click.option(
    "--timeout",
    "seconds",
    type=click.FloatRange(0, 7 * 86_400),
    help="Seconds to wait (default: until it is sent).",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def file(
    account: Account,
    to: str,
    path: Path,
    caption: str,
    bare: bool,
    seconds: float | None,
    as_json: bool,
) -> int:
    """Send the file PATH to TO: @user or #room. Ends with 0 once the server has it and its message on disk.

    What is interrupted goes on the next time that the account is open.
    """
    if to[:1] not in {"@", "#"}:
        raise click.UsageError(say("{name} is neither @user nor #room", name=repr(to)))
    with _interrupted("it goes on while the account is open, and when it is again; /cancel ends it"):
        message = asyncio.run(
            _send(account, to, path.absolute(), caption=caption, bare=bare, seconds=seconds)
        )
    sent = message is not None and message.state is MessageState.SENT
    if as_json and message is not None:
        print_json(message_json(message, kind="sent" if sent else "queued"))
    if sent:
        return 0
    click.echo(tr("not all of it is sent; it goes on at the next connection"), err=True)
    return EXIT_LATER


@click.command()
@account_options
@click.argument("message", metavar="ID")
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder (default: yours for downloads).",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def download(account: Account, message: str, folder: Path | None, as_json: bool) -> None:
    """Fetch the file of the message ID and print where it was saved.

    ID is the message's id, six digits of it or more, or its number on this machine. What is interrupted
    goes on when it is asked for again.
    """
    with _interrupted("what is here stays, and asked for again it goes on"):
        path = asyncio.run(_download(account, message, "" if folder is None else str(folder.absolute())))
    if as_json:
        print_json({"type": "saved", "id": message, "path": path})
    else:
        click.echo(path)


@contextmanager
def _interrupted(what_follows: str) -> Iterator[None]:
    """Say at Ctrl-C what becomes of a file that is on its way."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"securechat: {say('interrupted; {what}', what=tr(what_follows))}", err=True)
        raise


async def _send(
    account: Account, to: str, path: Path, *, caption: str, bare: bool, seconds: float | None
) -> Message | None:
    more = {"thumbnail": False} if bare else {}
    async with face_of(account) as face, _shown_progress(face, sending=True):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                message = await face.send_file(to, str(path), caption=caption, **more)
                while message.state is MessageState.QUEUED:
                    with contextlib.suppress(TimeoutError):
                        message = await face.acknowledged(message.local_id, ONE_WAIT)
                return message
    return None


async def _download(account: Account, message: str, to: str) -> str:
    async with face_of(account) as face, _shown_progress(face, sending=False):
        return await face.fetch_file(message, to=to)


@asynccontextmanager
async def _shown_progress(face: Face, *, sending: bool) -> AsyncIterator[None]:
    """Show on a terminal how far files of this direction are while the block runs."""
    if not sys.stderr.isatty():
        yield
        return
    showing = asyncio.create_task(_show(face, sending=sending))
    try:
        yield
    finally:
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)
        click.echo(_START_OF_LINE, nl=False, err=True)


async def _show(face: Face, *, sending: bool) -> None:
    async for event in await face.events():
        if isinstance(event, FileMoved) and event.sending is sending:
            click.echo(f"{_START_OF_LINE}{moved_text(event)}", nl=False, err=True)
