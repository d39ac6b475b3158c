"""`securechat file`, `securechat download`: one file to somebody, and one that somebody sent.

A script's file goes through the account's holder over a plain socket, as `send` does; who looks on is shown
how far it is, which takes an event loop (`file_progress`).
"""

import contextlib
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

from securechat.cli.home import profile_of
from securechat.cli.options import Account, account_options
from securechat.cli.send import IS_SENT, LATE_SECONDS, Sent, print_message, reported
from securechat.cli.speech import tell
from securechat.client.asking import asking
from securechat.client.errors import NoHolder
from securechat.locale.catalogue import say, tr

EXIT_LATER: Final = 75

ONE_WAIT: Final = 60.0
"""Seconds for which the holder is asked to wait at once; then again."""

HAND_OVER_SECONDS: Final = 0.5
"""However little time is given, the holder has heard what is asked of it."""

IS_QUEUED: Final = "queued"
"""The state of a message that the server does not have yet (`events.MessageState`)."""


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
        params = {"to": to, "path": str(path.absolute()), "caption": caption}
        message = _sent(account, params | ({"thumbnail": False} if bare else {}), seconds)
    sent = message is not None and message.state == IS_SENT
    if as_json and message is not None:
        print_message(message, kind=IS_SENT if sent else "queued")
    if sent:
        return 0
    tell(tr("not all of it is sent; it goes on at the next connection"))
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
        path = _downloaded(account, message, "" if folder is None else str(folder.absolute()))
    if as_json:
        from securechat.cli.json_lines import print_json  # noqa: PLC0415 - large

        print_json({"type": "saved", "id": message, "path": path})
    else:
        click.echo(path)


@contextmanager
def _interrupted(what_follows: str) -> Iterator[None]:
    """Say at Ctrl-C what becomes of a file that is on its way."""
    try:
        yield
    except KeyboardInterrupt:
        tell(f"securechat: {say('interrupted; {what}', what=tr(what_follows))}")
        raise


def _sent(account: Account, params: dict[str, Any], seconds: float | None) -> Sent | None:
    """Send a file; return its message as it stands in the end, None if not even that is known by then."""
    if not sys.stderr.isatty():
        with contextlib.suppress(NoHolder):
            return _through_holder(account, params, seconds)
    import asyncio  # noqa: PLC0415 - see above

    from securechat.cli.file_progress import send_shown  # noqa: PLC0415 - as above

    return asyncio.run(send_shown(account, params, seconds))


def _through_holder(account: Account, params: dict[str, Any], seconds: float | None) -> Sent | None:
    """Have the holder send a file.

    :raises NoHolder: nobody holds the account
    """
    until = math.inf if seconds is None else time.monotonic() + seconds
    with asking(profile_of(account)) as line:
        try:
            whole = None if seconds is None else max(seconds, HAND_OVER_SECONDS)
            message = reported(account, line.ask("send_file", params, seconds=whole))
        except TimeoutError:
            return None  # it goes on with it
        while message.state == IS_QUEUED and (left := until - time.monotonic()) > 0:
            wait = min(left, ONE_WAIT)
            with contextlib.suppress(TimeoutError):
                asked = {"local_id": message.local_id, "timeout": wait}
                message = reported(account, line.ask("acknowledged", asked, seconds=wait + LATE_SECONDS))
        return message


def _downloaded(account: Account, message: str, to: str) -> str:
    if not sys.stderr.isatty():
        with contextlib.suppress(NoHolder), asking(profile_of(account)) as line:
            return str(line.ask("fetch_file", {"id": message, "to": to}))
    import asyncio  # noqa: PLC0415 - see above

    from securechat.cli.file_progress import download_shown  # noqa: PLC0415 - as above

    return asyncio.run(download_shown(account, message, to))
