"""`securechat link`: have this machine let into an account that is on another one already."""

import asyncio
import sys
from collections.abc import Callable
from typing import Final

import click

from securechat.cli.accounts import address_of, trust_of
from securechat.cli.home import home_of
from securechat.cli.options import Account, account_options, known_password
from securechat.cli.qr import qr_lines
from securechat.cli.speech import show, tell
from securechat.client.config import ServerAddress
from securechat.client.device_name import own_name, shown_name
from securechat.client.linking import Compare, Linked, Progress, Waiting, link_device
from securechat.locale.catalogue import mark, say, tr
from securechat.membership.linking import qr_text
from securechat.own_memory import keep_memory_to_itself

_WAITS: Final = mark(
    "Waiting for one of your devices: open securechat as {user} on one of them, or give there"
    " `securechat devices {user} approve` (five minutes at most)."
)
_ON_IT: Final = mark("Now, on your device {device}, type within five minutes:")
_HISTORY: Final = mark(
    "what was said before comes from the archive of the account once it is open here, the newest first;"
    " not what is to disappear, nor what no device could read"
)
_WITHOUT_ARCHIVE: Final = mark(
    "where the archive is off, the device that let this one in hands over what it has, while it is online"
)
_ONE_TRY: Final = mark("The code is good for one try, there, and for nothing else.")


@click.command()
@account_options
@click.option(
    "--name", metavar="NAME", help="What this machine is called on your devices (default: its own)."
)
@click.option("--qr/--no-qr", "qr", default=None, help="Whether the code is drawn as a QR code too.")
@click.option("--screen-reader", is_flag=True, help="Words only, nothing that is drawn.")
def link(account: Account, name: str | None, qr: bool | None, screen_reader: bool) -> None:
    """Add this machine to the account USER as a new device.

    It shows a code; type it into `securechat devices USER approve CODE`, or `/devices approve CODE` in a
    chat, on a device that is in the account already. The password is asked for on both.
    """
    keep_memory_to_itself()
    password = known_password(account)
    draws = not screen_reader and (sys.stderr.isatty() if qr is None else qr)

    def said(progress: Progress) -> None:
        for text, is_data in progress_lines(progress, account.user, qr=draws):
            (show if is_data else tell)(text)

    done = asyncio.run(_link(account, password, name, tell=said))
    tell(
        say(
            "{user} is on this machine now, as {name}; {device} let it in",
            user=done.user,
            name=done.name,
            device=done.by,
        )
    )
    for line in (_HISTORY, _WITHOUT_ARCHIVE):
        tell(tr(line))
    tell(say("next: {command}", command=f"securechat chat {done.user}"))


async def _link(
    account: Account, password: str, name: str | None, *, tell: Callable[[Progress], None]
) -> Linked:
    called = shown_name(name or "") or own_name()
    server = address_of(account) or ServerAddress.parse("localhost:7443")
    return await link_device(
        home_of(account), server, account.user, password, trust_of(account), name=called, tell=tell
    )


def progress_lines(progress: Progress, user: str, *, qr: bool) -> list[tuple[str, bool]]:
    """What is said of how far it is: each line, and whether it is data (the code) or words for a person."""
    match progress:
        case Waiting():
            return [(say(_WAITS, user=user), False)]
        case Compare(codes=codes):
            lines: list[tuple[str, bool]] = []
            for device, code in codes:
                lines += [(say(_ON_IT, device=device), False), (code, True)]
                lines += [(f"securechat devices {user} approve {code}", False)]
            lines.append((tr(_ONE_TRY), False))
            if qr and len(codes) == 1:
                lines += [(each, False) for each in qr_lines(qr_text(codes[0][1]), colours=True)]
            return lines
