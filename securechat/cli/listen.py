"""`securechat listen`: everything that happens, as it happens."""

import asyncio
import contextlib
import sys
from dataclasses import dataclass
from typing import Final

import click

from securechat.cli.faces import face_of
from securechat.cli.json_lines import event_json, print_json
from securechat.cli.options import Account, account_options
from securechat.cli.show import event_text
from securechat.cli.speech import show
from securechat.client.events import Event
from securechat.client.resuming import events_since

EXIT_TIMEOUT: Final = 8


@dataclass(slots=True)
class Heard:
    """What to print, and how much of it there was."""

    as_json: bool
    count: int | None
    printed: int = 0

    @property
    def enough(self) -> bool:
        return self.count is not None and self.printed >= self.count


@click.command()
@account_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
@click.option(
    "--since",
    metavar="LOCAL_ID",
    type=click.IntRange(0, (1 << 63) - 1),
    help="First what others said after this message.",
)
@click.option("--timeout", "seconds", type=click.FloatRange(0), help="Seconds to listen (default: no end).")
@click.option("--count", type=click.IntRange(1), help="End after so many events.")
def listen(
    account: Account, as_json: bool, since: int | None, seconds: float | None, count: int | None
) -> int:
    """Print every event from now on: messages, acknowledgements, members, holds, the connection.

    Nothing is marked as printed. What happened while nobody listened is not told, but with --since what
    others said: LOCAL_ID is that of the last message one has dealt with. A program that must lose no
    message and keeps no number uses `receive --follow --ack`.
    """
    heard = Heard(as_json, count)
    asyncio.run(_listen(account, heard, seconds, since=since))
    return 0 if heard.printed else EXIT_TIMEOUT


async def _listen(account: Account, heard: Heard, seconds: float | None, *, since: int | None) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds), face_of(account) as face:
            events = await face.events() if since is None else events_since(face, since)
            async for event in events:
                _print(event, heard)
                if heard.enough:
                    return


def _print(event: Event, heard: Heard) -> None:
    if heard.as_json:
        print_json(event_json(event))
    elif (text := event_text(event)) is not None:
        show(text)
    else:
        return
    sys.stdout.flush()
    heard.printed += 1
