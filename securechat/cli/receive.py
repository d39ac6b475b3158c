"""`securechat receive`: what others sent, each at least once, until it was acknowledged.

Without ``--ack`` a message is acknowledged when it is written to stdout. With it the reader says so:
a line on stdin for each, ``{"ack": LOCAL_ID}`` or the number alone. What nobody acknowledged is
printed again by the next `receive`.

What is there already is printed straight through the holder, without an event loop; who has to wait for
something has the time to import one.
"""

import contextlib
import sys
import time
from dataclasses import dataclass, field
from typing import Final

import click
import msgspec

from securechat.cli.home import profile_of
from securechat.cli.json_lines import message_json, print_json
from securechat.cli.options import Account, account_options
from securechat.cli.pipes import ReaderGone
from securechat.cli.show import message_text
from securechat.cli.speech import show
from securechat.client.asking import Asking, asking
from securechat.client.errors import HolderLeft, HolderRefused, NoHolder
from securechat.client.events import Message, MessageState
from securechat.locale.catalogue import tr

EXIT_UNREADABLE: Final = 7
EXIT_TIMEOUT: Final = 8
EXIT_LATER: Final = 75
RECEIVE_SECONDS: Final = 10.0
MOST_AT_ONCE: Final = 100
"""Messages asked for at a time: what a reader that ends in between has printed again at most is one."""

LEAST_SECONDS: Final = 1.0
"""For one look, however little time there is."""


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
    wanted = Wanted(as_json=as_json, follow=follow, with_acks=with_acks, count=count)
    if seconds is None and not follow:
        seconds = RECEIVE_SECONDS
    try:
        _receive(account, wanted, seconds)
    except BrokenPipeError:
        if with_acks and wanted.open:
            raise ReaderGone(EXIT_LATER) from None
        raise
    return wanted.exit_code


@dataclass(slots=True)
class Wanted:
    """What `receive` prints, and what became of it so far."""

    as_json: bool
    follow: bool
    with_acks: bool
    count: int | None
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
        if self.with_acks:
            return EXIT_LATER if self.open else EXIT_UNREADABLE if self.unreadable else 0
        if self.unreadable:
            return EXIT_UNREADABLE
        return 0 if self.seen else EXIT_TIMEOUT


def print_message(message: Message, wanted: Wanted) -> None:
    if message.local_id in wanted.seen:
        return  # printed before its holder ended
    readable = message.state is not MessageState.UNREADABLE
    if wanted.as_json:
        print_json(message_json(message, kind="message" if readable else "undecryptable"))
    else:
        show(message_text(message))
    sys.stdout.flush()
    # Counted before it is marked: a holder that ends in between must not cost or repeat one.
    wanted.seen.add(message.local_id)
    wanted.unreadable += not readable


def _receive(account: Account, wanted: Wanted, seconds: float | None) -> None:
    until = None if seconds is None else time.monotonic() + seconds
    left: HolderLeft | None = None
    if until is not None and not wanted.follow:
        try:
            if _all_is_there(account, wanted, until):
                return
        except NoHolder:
            pass  # then this process is it
        except HolderLeft as problem:
            left = problem
    import asyncio  # noqa: PLC0415 - see above

    from securechat.cli.receiving import received  # noqa: PLC0415 - as above

    asyncio.run(received(account, wanted, None if until is None else until - time.monotonic(), left=left))


def _all_is_there(account: Account, wanted: Wanted, until: float) -> bool:
    """Print what the holder has; whether that was all that was wanted, and nothing is waited for.

    :raises NoHolder: nobody holds the account
    """
    caught_up = False
    with asking(profile_of(account)) as line, contextlib.suppress(TimeoutError):
        while True:
            found = _unprinted(line, account, until)
            for message in found:
                print_message(message, wanted)
                line.ask("mark_printed", {"local_ids": [message.local_id]}, seconds=_left(until))
                if wanted.enough:
                    return True
            if found and until <= time.monotonic():
                return True  # who is spoken to without end has waited long enough
            if found:
                continue
            if wanted.count is not None or not wanted.seen:
                return False
            if caught_up or until <= time.monotonic():
                return True
            with contextlib.suppress(HolderRefused):  # what ended its session hides nothing that it has
                line.ask("caught_up", {}, seconds=_left(until))
            caught_up = True
    return True


def _unprinted(line: Asking, account: Account, until: float) -> list[Message]:
    found = line.ask("unprinted", {"limit": MOST_AT_ONCE}, seconds=_left(until))
    try:
        return msgspec.convert(found, list[Message])
    except msgspec.ValidationError as problem:
        raise HolderLeft(account.user) from problem


def _left(until: float) -> float:
    return max(until - time.monotonic(), LEAST_SECONDS)
