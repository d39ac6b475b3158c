"""`securechat receive`: what others sent, each at least once, until it was acknowledged.

Without ``--ack`` a message is acknowledged when it is written to stdout. With it the reader says so:
a line on stdin for each, ``{"ack": LOCAL_ID}`` or the number alone. What nobody acknowledged is
printed again by the next `receive`.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

import click
import msgspec

from securechat.cli.faces import TAKE_OVER_ATTEMPTS, TAKE_OVER_PAUSE, face_of
from securechat.cli.json_lines import message_json, print_json
from securechat.cli.options import Account, account_options, given_password
from securechat.cli.pipes import ReaderGone
from securechat.cli.show import message_text
from securechat.cli.stdin import StdinLines
from securechat.client.errors import HolderLeft, ProfileBusy
from securechat.client.events import Message, MessageState
from securechat.client.face import Face
from securechat.client.follow import Follower, following
from securechat.locale.catalogue import say, tr

EXIT_UNREADABLE: Final = 7
EXIT_TIMEOUT: Final = 8
EXIT_LATER: Final = 75
RECEIVE_SECONDS: Final = 10.0
QUIET_SECONDS: Final = 0.2
"""Stored messages follow each other at once; a pause means that there are no more."""


class Ack(msgspec.Struct, frozen=True):
    """A line on stdin; it may also be the number alone."""

    ack: int


@click.command()
@account_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
@click.option("--follow", is_flag=True, help="Go on as messages come.")
@click.option(
    "--ack",
    "with_acks",
    is_flag=True,
    help='With --follow --json: a message comes again until stdin has said {"ack": LOCAL_ID}.',
)
@click.option(
    "--timeout",
    "seconds",
    type=click.FloatRange(0),
    help="Seconds to wait (default 10; with --follow no end).",
)
@click.option("--count", type=click.IntRange(1), help="End after so many messages.")
def receive(
    account: Account, as_json: bool, follow: bool, with_acks: bool, seconds: float | None, count: int | None
) -> int:
    """Print what others sent and `receive` has not printed yet, whatever `chat` showed."""
    if with_acks and not (follow and as_json):
        raise click.UsageError(
            tr("--ack goes with --follow and --json, which shows the local_id to acknowledge")
        )
    wanted = Wanted(as_json=as_json, follow=follow, count=count)
    if seconds is None and not follow:
        seconds = RECEIVE_SECONDS
    try:
        return asyncio.run(_receive(account, wanted, seconds, with_acks=with_acks))
    except BrokenPipeError:
        if with_acks and wanted.open:
            raise ReaderGone(EXIT_LATER) from None
        raise


@dataclass(slots=True)
class Wanted:
    """What `receive` prints, and what became of it so far."""

    as_json: bool
    follow: bool
    count: int | None
    acks: StdinLines | None = None
    acks_ended: bool = False
    seen: set[int] = field(default_factory=set)
    open: set[int] = field(default_factory=set)
    unreadable: int = 0

    @property
    def done(self) -> int:
        return len(self.seen) - len(self.open)

    @property
    def enough(self) -> bool:
        return self.acks_ended or (self.count is not None and self.done >= self.count)

    @property
    def exit_code(self) -> int:
        if self.acks is not None:
            return EXIT_LATER if self.open else EXIT_UNREADABLE if self.unreadable else 0
        if self.unreadable:
            return EXIT_UNREADABLE
        return 0 if self.seen else EXIT_TIMEOUT


async def _receive(account: Account, wanted: Wanted, seconds: float | None, *, with_acks: bool) -> int:
    """Print until enough, caught up or out of time; a follower whose holder ends goes on alone if it can."""
    if with_acks:
        wanted.acks = StdinLines()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            try:
                async with face_of(account) as face:
                    await _print_messages(face, wanted)
            except HolderLeft:
                password = given_password(account)
                if password is None:
                    raise
                await _take_over(account, password, wanted)
    return wanted.exit_code


async def _take_over(account: Account, password: str, wanted: Wanted) -> None:
    """Go on with the password: through a new holder, or as one once the old has let go of the lock."""
    attempts = TAKE_OVER_ATTEMPTS
    while True:
        try:
            async with face_of(account, password) as face:
                return await _print_messages(face, wanted)
        except (HolderLeft, ProfileBusy):
            attempts -= 1
            if not attempts:
                raise
        await asyncio.sleep(TAKE_OVER_PAUSE)


async def _print_messages(face: Face, wanted: Wanted) -> None:
    async with following(face) as messages:
        if wanted.acks is not None:
            await _print_until_acknowledged(messages, wanted.acks, wanted)
            return
        async for message in _until_quiet(face, messages, wanted):
            _print(message, wanted)
            await messages.acknowledge([message.local_id])
            if wanted.enough:
                return


async def _print_until_acknowledged(messages: Follower, acks: StdinLines, wanted: Wanted) -> None:
    """Print as messages come and take acknowledgements as they come, until enough or the reader has gone."""
    message: asyncio.Future[Message] | None = None
    line: asyncio.Future[str] | None = None
    try:
        while not wanted.enough:
            message = message or asyncio.ensure_future(anext(messages))
            line = line or asyncio.ensure_future(anext(acks))
            await asyncio.wait((message, line), return_when=asyncio.FIRST_COMPLETED)
            if line.done():
                if isinstance(line.exception(), StopAsyncIteration):
                    wanted.acks_ended = True
                else:
                    await _acknowledge(line.result(), messages, wanted)
                line = None
            if message.done():
                if message.result().local_id not in wanted.seen:
                    wanted.open.add(message.result().local_id)
                _print(message.result(), wanted)
                message = None
    finally:
        waiting = [future for future in (message, line) if future is not None]
        for future in waiting:
            future.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def _acknowledge(text: str, messages: Follower, wanted: Wanted) -> None:
    try:
        ack = msgspec.json.decode(text, type=Ack | int)
    except (msgspec.MsgspecError, UnicodeEncodeError):
        click.echo(f"securechat: {say('not an acknowledgement: {text}', text=repr(text[:80]))}", err=True)
        return
    local_id = ack.ack if isinstance(ack, Ack) else ack
    if local_id not in wanted.open:
        wrong = say("{number} was not printed here or is done already", number=local_id)
        click.echo(f"securechat: {wrong}", err=True)
        return
    await messages.acknowledge([local_id])
    wanted.open.discard(local_id)


def _print(message: Message, wanted: Wanted) -> None:
    if message.local_id in wanted.seen:
        return  # printed before its holder ended
    readable = message.state is not MessageState.UNREADABLE
    if wanted.as_json:
        print_json(message_json(message, kind="message" if readable else "undecryptable"))
    else:
        click.echo(message_text(message))
    sys.stdout.flush()
    # Counted before it is marked: a holder that ends in between must not cost or repeat one.
    wanted.seen.add(message.local_id)
    wanted.unreadable += not readable


async def _until_quiet(face: Face, messages: Follower, wanted: Wanted) -> AsyncIterator[Message]:
    """All of them; without ``--follow`` or ``--count`` only what is there once one was printed."""
    caught_up = asyncio.ensure_future(face.caught_up())
    waiting: asyncio.Future[Message] | None = None
    try:
        while True:
            waiting = asyncio.ensure_future(anext(messages))
            if wanted.seen and not wanted.follow and wanted.count is None:
                await asyncio.wait([waiting, caught_up], return_when=asyncio.FIRST_COMPLETED)
                await asyncio.wait([waiting], timeout=QUIET_SECONDS)
                if not waiting.done():
                    return
            try:
                message = await waiting
            except StopAsyncIteration:
                return
            yield message
    finally:
        for task in (caught_up, waiting):
            if task is not None and not task.done():
                task.cancel()
        await asyncio.gather(caught_up, *([waiting] if waiting else []), return_exceptions=True)
