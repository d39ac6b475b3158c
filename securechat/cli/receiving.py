"""What `securechat receive` needs an event loop for: to hold the account itself, to wait, to follow it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Final

import msgspec

from securechat.cli.faces import TAKE_OVER_ATTEMPTS, TAKE_OVER_PAUSE, face_of
from securechat.cli.options import Account, given_password
from securechat.cli.receive import Wanted, print_message
from securechat.cli.speech import tell
from securechat.cli.stdin import StdinLines
from securechat.client.errors import HolderLeft, ProfileBusy
from securechat.client.events import Message
from securechat.client.face import Face
from securechat.client.follow import Follower, following
from securechat.locale.catalogue import say

LOOK_AGAIN: Final = 0.2
"""Seconds until the store is asked again whether there is a message that was not told yet."""


class Ack(msgspec.Struct, frozen=True):
    """A line on stdin; it may also be the number alone."""

    ack: int


async def received(
    account: Account, wanted: Wanted, seconds: float | None, *, left: HolderLeft | None
) -> None:
    """Print until enough, caught up or out of time; a follower whose holder ends goes on alone if it can.

    :param left: a holder has ended already
    """
    acks = StdinLines() if wanted.with_acks else None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            try:
                if left is not None:
                    raise left
                async with face_of(account) as face:
                    await _print_messages(face, wanted, acks)
            except HolderLeft:
                password = given_password(account)
                if password is None:
                    raise
                await _take_over(account, password, wanted, acks)


async def _take_over(account: Account, password: str, wanted: Wanted, acks: StdinLines | None) -> None:
    """Go on with the password: through a new holder, or as one once the old has let go of the lock."""
    attempts = TAKE_OVER_ATTEMPTS
    while True:
        try:
            async with face_of(account, password) as face:
                return await _print_messages(face, wanted, acks)
        except (HolderLeft, ProfileBusy):
            attempts -= 1
            if not attempts:
                raise
        await asyncio.sleep(TAKE_OVER_PAUSE)


async def _print_messages(face: Face, wanted: Wanted, acks: StdinLines | None) -> None:
    async with following(face) as messages:
        if acks is not None:
            await _print_until_acknowledged(messages, acks, wanted)
            return
        async for message in _until_quiet(face, messages, wanted):
            print_message(message, wanted)
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
                print_message(message.result(), wanted)
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
        tell(f"securechat: {say('not an acknowledgement: {text}', text=repr(text[:80]))}")
        return
    local_id = ack.ack if isinstance(ack, Ack) else ack
    if local_id not in wanted.open:
        wrong = say("{number} was not printed here or is done already", number=local_id)
        tell(f"securechat: {wrong}")
        return
    await messages.acknowledge([local_id])
    wanted.open.discard(local_id)


async def _until_quiet(face: Face, messages: Follower, wanted: Wanted) -> AsyncIterator[Message]:
    """All of them; without ``--follow`` or ``--count`` only what is there once one was printed."""
    caught_up = asyncio.ensure_future(face.caught_up())
    waiting: asyncio.Future[Message] | None = None
    try:
        while True:
            waiting = asyncio.ensure_future(anext(messages))
            if wanted.seen and not wanted.follow and wanted.count is None:
                await asyncio.wait([waiting, caught_up], return_when=asyncio.FIRST_COMPLETED)
                while not waiting.done():
                    if not await face.unprinted(1):
                        return
                    messages.stir()  # unless it goes before that is seen: another acknowledged it
                    await asyncio.wait([waiting], timeout=LOOK_AGAIN)
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
