"""What `securechat send` needs an event loop for: to hold the account itself, to follow it, many lines."""

import asyncio
import contextlib
import sys
from typing import Final

from securechat.cli.faces import face_of, next_face
from securechat.cli.lines import NOT_TEXT
from securechat.cli.only_verified import only_verified
from securechat.cli.options import Account
from securechat.cli.pipes import ReaderGone
from securechat.cli.send import EXIT_LATER, HAND_OVER_SECONDS, LATE_SECONDS, NotKnown, Said, own_key, report
from securechat.cli.speech import tell
from securechat.cli.stdin import StdinLines
from securechat.client.errors import HolderLeft, NoHolder, ProfileBusy
from securechat.client.events import Message
from securechat.client.face import Face
from securechat.errors import SecureChatError
from securechat.locale.catalogue import say, told, tr

LINES_ON_THE_WAY: Final = 64
"""Lines sent and not yet acknowledged; then the next one waits."""


async def send_as_holder(account: Account, to: str, said: Said, *, seconds: float) -> Message:
    """Send as the account's holder, or through who was faster."""
    try:
        async with face_of(account) as face:
            return await sent_through(face, to, said, seconds)
    except HolderLeft:  # before it said whether it has stored the message
        return await send_again(account, to, said, seconds=seconds)


async def send_again(account: Account, to: str, said: Said, *, seconds: float) -> Message:
    """Send after a holder has left with a message: the next one knows by the key whether it was stored."""
    try:
        async with next_face(account) as face:
            return await sent_through(face, to, said, seconds)
    except (HolderLeft, NoHolder, ProfileBusy):
        raise NotKnown(to, said.key) from None


async def sent_through(face: Face, to: str, said: Said, seconds: float) -> Message:
    """Send through this one, whoever it is; raises `HolderLeft` before it said whether it has it."""
    return await _settled(face, await _stored(face, to, said), seconds)


async def _stored(face: Face, to: str, said: Said) -> Message:
    try:
        async with asyncio.timeout(HAND_OVER_SECONDS):
            return await face.send(to, said.text, key=said.key, reply_to=said.reply_to, thread=said.thread)
    except TimeoutError:
        raise NotKnown(to, said.key) from None


async def send_lines(
    account: Account, to: str, seconds: float, *, as_json: bool, verified: bool = False
) -> int:
    """Send each line as it comes, say what became of each in order; the first failure is the exit code."""
    if sys.stdin.isatty():
        tell(tr("each line is a message; Ctrl-D ends"))
    async with face_of(account) as face:
        on_the_way: asyncio.Queue[Message | None] = asyncio.Queue(LINES_ON_THE_WAY)
        handing = asyncio.create_task(_hand_over(face, to, on_the_way, verified=verified))
        reporting = asyncio.create_task(_report_all(face, on_the_way, seconds, as_json=as_json))
        both = (handing, reporting)
        try:
            # Neither waits for the other in vain: what ends one ends both.
            await asyncio.wait(both, return_when=asyncio.FIRST_EXCEPTION)
            failed = [task.result() for task in both if task.done()]
        except BrokenPipeError:
            raise ReaderGone(EXIT_LATER) from None
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)
        return next(filter(None, failed), 0)


async def _hand_over(
    face: Face, to: str, on_the_way: "asyncio.Queue[Message | None]", *, verified: bool
) -> int:
    failed, number = 0, 0
    async for line in StdinLines():
        number += 1
        if not line.strip():
            continue
        if NOT_TEXT in line:
            _complain(say("line {number} is too long or no text; it was not sent", number=number))
            failed = failed or 1
            continue
        said = Said(line, own_key())
        try:
            if verified:
                await only_verified(face, to)
            await on_the_way.put(await _stored(face, to, said))
        except (HolderLeft, NotKnown):
            # What was stored before is still to be told; what comes after was not asked for.
            failed = failed or failure(f"line {number}", NotKnown(to, said.key))
            break
        except SecureChatError as problem:
            failed = failed or failure(say("line {number}", number=number), problem)
    await on_the_way.put(None)
    return failed


async def _report_all(
    face: Face, on_the_way: "asyncio.Queue[Message | None]", seconds: float, *, as_json: bool
) -> int:
    """Say what became of each message; goes on whatever that was, since others wait behind it."""
    failed = 0
    while (message := await on_the_way.get()) is not None:
        try:
            code = report(await _settled(face, message, seconds), as_json=as_json)
        except SecureChatError as problem:
            code = failure(say("message {number}", number=message.local_id), problem)
        failed = failed or code
    return failed


def failure(what: str, problem: SecureChatError) -> int:
    _complain(f"{what}: {told(str(problem))}")
    return int(getattr(problem, "exit_code", 1))


def _complain(sentence: str) -> None:
    tell(f"securechat: {sentence}")


async def _settled(face: Face, message: Message, seconds: float) -> Message:
    """Wait for the server's word; without it the message comes back queued: whoever held it has stored it."""
    with contextlib.suppress(TimeoutError, HolderLeft):
        async with asyncio.timeout(seconds + LATE_SECONDS):
            return await face.acknowledged(message.local_id, seconds)
    return message
