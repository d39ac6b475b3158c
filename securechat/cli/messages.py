"""`securechat send`, `receive`, `rooms`, `upgrade`: one-shots for shells and scripts."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

import click
import msgspec

from securechat.cli.desk import Desk
from securechat.cli.desks import desk_of
from securechat.cli.options import Account, account_options, given_password
from securechat.cli.show import conversation_text, message_text
from securechat.client.errors import HolderLeft, ProfileBusy
from securechat.client.events import Conversation, Message, MessageState

EXIT_UNREADABLE: Final = 7
EXIT_TIMEOUT: Final = 8
EXIT_LATER: Final = 75
TAKE_OVER_ATTEMPTS: Final = 50
TAKE_OVER_PAUSE: Final = 0.2
"""A process that is being killed closes its socket before its lock; ten seconds outlast any such end."""

MAX_STDIN_BYTES: Final = 64 * 1024
"""One message fits; what is longer is refused rather than cut."""

RECEIVE_SECONDS: Final = 10.0


@click.command()
@account_options
@click.argument("to")
@click.argument("text")
@click.option("--id", "key", metavar="KEY", help="Your own name for the message: repeated, it is sent once.")
@click.option("--timeout", "seconds", type=click.FloatRange(0, 3600), default=30.0, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def send(account: Account, to: str, text: str, key: str | None, seconds: float, as_json: bool) -> int:
    """Send TEXT (or stdin, if it is -) to TO: @user or #room. Ends with 0 once the server has it on disk."""
    if to[:1] not in {"@", "#"}:
        raise click.UsageError(f"{to!r} is neither @user nor #room")
    message = asyncio.run(_send(account, to, _text(text), key=key, seconds=seconds))
    sent = message.state is MessageState.SENT
    if as_json:
        _print_json(message_json(message, kind="sent" if sent else "queued"))
    if sent:
        return 0
    click.echo(f"queued as {message.local_id}; it goes out at the next connection", err=True)
    return EXIT_LATER


@click.command()
@account_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
@click.option("--follow", is_flag=True, help="Go on as messages come.")
@click.option(
    "--timeout",
    "seconds",
    type=click.FloatRange(0),
    help="Seconds to wait (default 10; with --follow no end).",
)
@click.option("--count", type=click.IntRange(1), help="End after so many messages.")
def receive(account: Account, as_json: bool, follow: bool, seconds: float | None, count: int | None) -> int:
    """Print what others sent and `receive` has not printed yet, whatever `chat` showed."""
    wanted = Wanted(as_json=as_json, follow=follow, count=count)
    if seconds is None and not follow:
        seconds = RECEIVE_SECONDS
    return asyncio.run(_receive(account, wanted, seconds))


@click.command()
@account_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def rooms(account: Account, as_json: bool) -> None:
    """List conversations."""
    for conversation in asyncio.run(_conversations(account)):
        if as_json:
            _print_json(conversation_json(conversation))
        else:
            click.echo(conversation_text(conversation))


@click.command()
@account_options
@click.argument("conversation")
def upgrade(account: Account, conversation: str) -> None:
    """Have CONVERSATION (@user or #room) go on in the best cipher suite that all its devices have."""
    if conversation[:1] not in {"@", "#"}:
        raise click.UsageError(f"{conversation!r} is neither @user nor #room")
    upgraded = asyncio.run(_upgrade(account, conversation))
    click.echo(f"{upgraded.name} is in {upgraded.suite} now", err=True)


@dataclass(slots=True)
class Wanted:
    """What `receive` prints, and how much of it there was so far."""

    as_json: bool
    follow: bool
    count: int | None
    seen: set[int] = field(default_factory=set)
    unreadable: int = 0

    @property
    def printed(self) -> int:
        return len(self.seen)

    @property
    def enough(self) -> bool:
        return self.count is not None and self.printed >= self.count


async def _send(account: Account, to: str, text: str, *, key: str | None, seconds: float) -> Message:
    async with desk_of(account) as desk:
        return await desk.send(to, text, key=key, seconds=seconds)


async def _upgrade(account: Account, name: str) -> Conversation:
    async with desk_of(account) as desk:
        return await desk.upgrade(name)


async def _conversations(account: Account) -> list[Conversation]:
    async with desk_of(account) as desk:
        return await desk.conversations()


async def _receive(account: Account, wanted: Wanted, seconds: float | None) -> int:
    """Print until enough, caught up or out of time; a follower whose holder ends goes on alone if it can."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            try:
                async with desk_of(account) as desk:
                    await _print_messages(desk, wanted)
            except HolderLeft:
                password = given_password(account)
                if password is None:
                    raise
                await _take_over(account, password, wanted)
    if wanted.unreadable:
        return EXIT_UNREADABLE
    return 0 if wanted.printed else EXIT_TIMEOUT


async def _take_over(account: Account, password: str, wanted: Wanted) -> None:
    """Go on with the password: through a new holder, or as one once the old has let go of the lock."""
    attempts = TAKE_OVER_ATTEMPTS
    while True:
        try:
            async with desk_of(account, password) as desk:
                return await _print_messages(desk, wanted)
        except (HolderLeft, ProfileBusy):
            attempts -= 1
            if not attempts:
                raise
        await asyncio.sleep(TAKE_OVER_PAUSE)


async def _print_messages(desk: Desk, wanted: Wanted) -> None:
    """Print each, then mark it: at least once, should we die in between."""
    async for message in _until_quiet(desk, wanted):
        if message.local_id not in wanted.seen:
            _print(message, wanted)
        await desk.printed(message)
        if wanted.enough:
            return


def _print(message: Message, wanted: Wanted) -> None:
    readable = message.state is not MessageState.UNREADABLE
    if wanted.as_json:
        _print_json(message_json(message, kind="message" if readable else "undecryptable"))
    else:
        click.echo(message_text(message))
    sys.stdout.flush()
    # Counted before it is marked: a holder that ends in between must not cost or repeat one.
    wanted.seen.add(message.local_id)
    wanted.unreadable += not readable


async def _until_quiet(desk: Desk, wanted: Wanted) -> AsyncIterator[Message]:
    """All of them; without ``--follow`` or ``--count`` only what is there once one was printed."""
    messages = desk.messages()
    caught_up = asyncio.ensure_future(desk.caught_up())
    waiting: asyncio.Future[Message] | None = None
    try:
        while True:
            waiting = asyncio.ensure_future(anext(messages))
            if wanted.printed and not wanted.follow and wanted.count is None:
                await asyncio.wait([waiting, caught_up], return_when=asyncio.FIRST_COMPLETED)
                await asyncio.wait([waiting], timeout=QUIET_SECONDS)
                if not waiting.done():
                    return
            yield await waiting
    finally:
        for task in (caught_up, waiting):
            if task is not None and not task.done():
                task.cancel()
        await asyncio.gather(caught_up, *([waiting] if waiting else []), return_exceptions=True)


QUIET_SECONDS: Final = 0.2
"""Stored messages follow each other at once; a pause means that there are no more."""


def message_json(message: Message, *, kind: str) -> dict[str, Any]:
    """The JSON of a message, as docs/cli.md lists it."""
    return {
        "type": kind,
        "id": message.id,
        "room": message.conversation,
        "from": message.sender,
        "text": message.text,
        "ts": message.timestamp,
        "epoch": message.epoch,
        "sequence": message.sequence,
        "verified": message.verified,
        "code": message.code,
        "local_id": message.local_id,
    }


def conversation_json(conversation: Conversation) -> dict[str, Any]:
    """The JSON of a conversation, as docs/cli.md lists it."""
    return {
        "type": "room",
        "room": conversation.name,
        "kind": conversation.kind,
        "state": conversation.state,
        "epoch": conversation.epoch,
        "suite": conversation.suite,
        "topic": conversation.topic,
        "members": [msgspec.structs.asdict(member) for member in conversation.members],
    }


def _print_json(value: dict[str, Any]) -> None:
    click.echo(msgspec.json.encode(value).decode())


def _text(given: str) -> str:
    """The text to send: the argument itself, or all of stdin for ``-``."""
    if given != "-":
        return given
    if sys.stdin.isatty():
        click.echo("type the message, then Ctrl-D", err=True)
    data = sys.stdin.buffer.read(MAX_STDIN_BYTES + 1)
    if len(data) > MAX_STDIN_BYTES:
        raise click.UsageError(f"stdin has more than the {MAX_STDIN_BYTES} bytes of one message")
    try:
        return data.decode().removesuffix("\n")
    except UnicodeDecodeError as problem:
        raise click.UsageError("stdin is not UTF-8 text; nothing was sent") from problem
