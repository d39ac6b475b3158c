"""`securechat send`, `rooms`, `upgrade`: one-shots for shells and scripts."""

import asyncio
import contextlib
import secrets
import sys
from typing import Final, NamedTuple

import click

from securechat.cli.faces import face_of, next_face
from securechat.cli.json_lines import conversation_json, message_json, print_json
from securechat.cli.options import Account, account_options
from securechat.cli.pipes import ReaderGone
from securechat.cli.show import conversation_text
from securechat.cli.stdin import NOT_TEXT, StdinLines
from securechat.client.errors import ClientError, ExitCode, HolderLeft, NoHolder, ProfileBusy
from securechat.client.events import Conversation, Message, MessageState
from securechat.client.face import Face
from securechat.errors import SecureChatError
from securechat.locale.catalogue import say, told, tr

EXIT_LATER: Final = 75

MAX_STDIN_BYTES: Final = 64 * 1024
"""One message fits; what is longer is refused rather than cut."""

LINES_ON_THE_WAY: Final = 64
"""Lines sent and not yet acknowledged; then the next one waits."""


HAND_OVER_SECONDS: Final = 30.0
"""A holder that has not stored a message by then stands still."""

LATE_SECONDS: Final = 5.0
"""How much longer than the wait it was asked for a holder may take to say that it is over."""


class Said(NamedTuple):
    """One message as it was asked for; by its key it is known again, whoever holds the account then."""

    text: str
    key: str
    reply_to: str = ""
    thread: str = ""


class NotKnown(ClientError):
    """The holder ended or stopped before it said whether it has stored a message."""

    default_exit_code = ExitCode.RETRY_LATER

    def __init__(self, to: str, key: str) -> None:
        super().__init__(
            "the process that holds the account has ended or stands still, and it is not known whether it has"
            f" stored the message to {to}. Send it again with --id {key}: then it is sent once"
        )


@click.command()
@account_options
@click.argument("to")
@click.argument("text", required=False)
@click.option("--lines", is_flag=True, help="Each line of stdin is a message, sent as it comes.")
@click.option("--id", "key", metavar="KEY", help="Your own name for the message: repeated, it is sent once.")
@click.option(
    "--reply-to", metavar="ID", default="", help="The id of the message it answers, or its beginning."
)
@click.option(
    "--thread", metavar="TOPIC", default="", help="What it belongs to; an answer stays in its topic."
)
@click.option("--timeout", "seconds", type=click.FloatRange(0, 3600), default=30.0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def send(  # noqa: PLR0913, PLR0917 - one parameter per option, as click passes them
    account: Account,
    to: str,
    text: str | None,
    lines: bool,
    key: str | None,
    reply_to: str,
    thread: str,
    seconds: float,
    as_json: bool,
) -> int:
    """Send TEXT to TO: @user or #room. Ends with 0 once the server has it on disk.

    TEXT that is - or missing is read from stdin.
    """
    if to[:1] not in {"@", "#"}:
        raise click.UsageError(say("{name} is neither @user nor #room", name=repr(to)))
    if lines:
        if text is not None or key is not None or reply_to or thread:
            raise click.UsageError(
                tr("--lines takes the messages from stdin: no TEXT, --id, --reply-to or --thread")
            )
        return asyncio.run(_send_lines(account, to, seconds, as_json=as_json))
    said = Said(_text(text), key if key is not None else _own_key(), reply_to, thread)
    message = asyncio.run(_send(account, to, said, seconds=seconds))
    return _report(message, as_json=as_json)


@click.command()
@account_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def rooms(account: Account, as_json: bool) -> None:
    """List conversations."""
    for conversation in asyncio.run(_conversations(account)):
        if as_json:
            print_json(conversation_json(conversation))
        else:
            click.echo(conversation_text(conversation))


@click.command()
@account_options
@click.argument("conversation")
def upgrade(account: Account, conversation: str) -> None:
    """Have CONVERSATION (@user or #room) go on in the best cipher suite that all its devices have."""
    if conversation[:1] not in {"@", "#"}:
        raise click.UsageError(say("{name} is neither @user nor #room", name=repr(conversation)))
    upgraded = asyncio.run(_upgrade(account, conversation))
    click.echo(say("{name} is in {suite} now", name=upgraded.name, suite=upgraded.suite), err=True)


async def _send(account: Account, to: str, said: Said, *, seconds: float) -> Message:
    try:
        async with face_of(account) as face:
            return await _settled(face, await _stored(face, to, said), seconds)
    except HolderLeft:
        pass  # before it said whether it has stored the message; the next one knows by the key
    try:
        async with next_face(account) as face:
            return await _settled(face, await _stored(face, to, said), seconds)
    except (HolderLeft, NoHolder, ProfileBusy):
        raise NotKnown(to, said.key) from None


async def _stored(face: Face, to: str, said: Said) -> Message:
    try:
        async with asyncio.timeout(HAND_OVER_SECONDS):
            return await face.send(to, said.text, key=said.key, reply_to=said.reply_to, thread=said.thread)
    except TimeoutError:
        raise NotKnown(to, said.key) from None


def _own_key() -> str:
    return secrets.token_hex(16)


async def _upgrade(account: Account, name: str) -> Conversation:
    async with face_of(account) as face:
        return await face.upgrade(name)


async def _conversations(account: Account) -> list[Conversation]:
    async with face_of(account) as face:
        return await face.conversations()


async def _send_lines(account: Account, to: str, seconds: float, *, as_json: bool) -> int:
    """Send each line as it comes, say what became of each in order; the first failure is the exit code."""
    if sys.stdin.isatty():
        click.echo(tr("each line is a message; Ctrl-D ends"), err=True)
    async with face_of(account) as face:
        on_the_way: asyncio.Queue[Message | None] = asyncio.Queue(LINES_ON_THE_WAY)
        handing = asyncio.create_task(_hand_over(face, to, on_the_way))
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


async def _hand_over(face: Face, to: str, on_the_way: "asyncio.Queue[Message | None]") -> int:
    failed, number = 0, 0
    async for line in StdinLines():
        number += 1
        if not line.strip():
            continue
        if NOT_TEXT in line:
            _complain(say("line {number} is too long or no text; it was not sent", number=number))
            failed = failed or 1
            continue
        said = Said(line, _own_key())
        try:
            await on_the_way.put(await _stored(face, to, said))
        except (HolderLeft, NotKnown):
            # What was stored before is still to be told; what comes after was not asked for.
            failed = failed or _failure(f"line {number}", NotKnown(to, said.key))
            break
        except SecureChatError as problem:
            failed = failed or _failure(say("line {number}", number=number), problem)
    await on_the_way.put(None)
    return failed


async def _report_all(
    face: Face, on_the_way: "asyncio.Queue[Message | None]", seconds: float, *, as_json: bool
) -> int:
    """Say what became of each message; goes on whatever that was, since others wait behind it."""
    failed = 0
    while (message := await on_the_way.get()) is not None:
        try:
            code = _report(await _settled(face, message, seconds), as_json=as_json)
        except SecureChatError as problem:
            code = _failure(say("message {number}", number=message.local_id), problem)
        failed = failed or code
    return failed


def _failure(what: str, problem: SecureChatError) -> int:
    _complain(f"{what}: {told(str(problem))}")
    return int(getattr(problem, "exit_code", 1))


def _complain(sentence: str) -> None:
    click.echo(f"securechat: {sentence}", err=True)


async def _settled(face: Face, message: Message, seconds: float) -> Message:
    """Wait for the server's word; without it the message comes back queued: whoever held it has stored it."""
    with contextlib.suppress(TimeoutError, HolderLeft):
        async with asyncio.timeout(seconds + LATE_SECONDS):
            return await face.acknowledged(message.local_id, seconds)
    return message


def _report(message: Message, *, as_json: bool) -> int:
    sent = message.state is MessageState.SENT
    if as_json:
        print_json(message_json(message, kind="sent" if sent else "queued"))
        sys.stdout.flush()
    if sent:
        return 0
    click.echo(
        say("queued as {number}; it goes out at the next connection", number=message.local_id), err=True
    )
    return EXIT_LATER


def _text(given: str | None) -> str:
    """The text to send: the argument itself, or all of stdin for ``-`` or none."""
    if given is not None and given != "-":
        return given
    if sys.stdin.isatty():
        click.echo(tr("type the message, then Ctrl-D"), err=True)
    data = sys.stdin.buffer.read(MAX_STDIN_BYTES + 1)
    if len(data) > MAX_STDIN_BYTES:
        raise click.UsageError(
            say("stdin has more than the {count} bytes of one message", count=MAX_STDIN_BYTES)
        )
    try:
        return data.decode().removesuffix("\n")
    except UnicodeDecodeError as problem:
        raise click.UsageError(tr("stdin is not UTF-8 text; nothing was sent")) from problem
