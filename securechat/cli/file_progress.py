"""`securechat file` and `download` on an event loop: to hold the account, to show how far a file is."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import click

from securechat.cli.faces import face_of
from securechat.cli.files import ONE_WAIT
from securechat.cli.options import Account
from securechat.cli.show import moved_text
from securechat.client.events import FileMoved, Message, MessageState
from securechat.client.face import Face

_START_OF_LINE: Final = "\r\x1b[2K"


async def send_shown(account: Account, params: dict[str, Any], seconds: float | None) -> Message | None:
    """Send a file; return its message, or None if not all of it was there in time."""
    async with face_of(account) as face, _shown_progress(face, sending=True):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                message = await face.send_file(**params)
                while message.state is MessageState.QUEUED:
                    with contextlib.suppress(TimeoutError):
                        message = await face.acknowledged(message.local_id, ONE_WAIT)
                return message
    return None


async def download_shown(account: Account, message: str, to: str) -> str:
    """Fetch a file; return where it is."""
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
