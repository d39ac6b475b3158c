"""`securechat chat` on a terminal: the full screen, given what it needs of the floors it does not see."""

import asyncio
import importlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from copy import copy
from dataclasses import replace
from functools import partial
from typing import Any, cast

from securechat.cli.faces import held_face, secret_of
from securechat.cli.home import home_of
from securechat.cli.options import Account
from securechat.client.errors import NoHolder, ProfileBusy
from securechat.client.face import Face, own_face
from securechat.client.store_key import StoreKey
from securechat.locale.catalogue import tr
from securechat.names import fold_user
from securechat.own_memory import keep_memory_to_itself
from securechat.tui.backend import Backend, Tell

Confirm = Callable[[str], Awaitable[bool]]


class _Answers:
    """Where the line mode writes when the screen has it do a command."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.redrawn = True
        self.show = tell
        self.tell = tell

    def draw(self, rows: list[str]) -> None:
        self.tell("\n".join(rows))


class Commands:
    """A chat's commands for a screen: lines that are done at a time each have a conversation of their own."""

    def __init__(self, user: str, face: Backend, tell: Tell) -> None:
        from securechat.cli.line_commands import LineCommands  # noqa: PLC0415 - large: see `_load`

        self._line_commands = LineCommands(cast(Face, face), _Answers(tell), user=user, piped=False)

    async def take(self, line: str, target: str) -> str:
        return await copy(self._line_commands).take(line, target)

    async def close(self) -> None:
        await self._line_commands.close()


def open_screen(account: Account) -> int:
    """Open the account, or attach to the process that holds it, and draw it; return the exit code."""
    profile = home_of(account).profile(account.user)
    threading.Thread(target=_load, name="imports", daemon=True).start()
    secret = "" if asyncio.run(_is_held(account)) else secret_of(account)
    kept = secret if isinstance(secret, StoreKey) else None
    remembering, begun = account, False
    keep_memory_to_itself()
    # Large, all of them: see `_load`.
    from securechat.cli.accounts import address_of, remember_if_asked, trust_of  # noqa: PLC0415
    from securechat.cli.show import event_text  # noqa: PLC0415
    from securechat.client.client import Client  # noqa: PLC0415
    from securechat.client.keystore import unlock  # noqa: PLC0415
    from securechat.tui.start import run  # noqa: PLC0415

    @asynccontextmanager
    async def opened(password: str, confirm: Confirm) -> AsyncIterator[Any]:
        nonlocal kept, remembering, begun
        # What the keyring has opens it once: a locked screen asks; nor is that the time to remember.
        # There no password is a wrong one, whoever holds the account.
        given = password or kept or ("" if begun else None)
        kept, begun = None, True
        asked, remembering = remembering, replace(account, remember=False)
        trust = trust_of(account)
        if trust.confirm is not None:
            trust = replace(trust, confirm=lambda fingerprint: confirm(_question(fingerprint)))
        async with AsyncExitStack() as stack:
            if given is not None:
                try:
                    client = await Client.open(
                        home_of(account), account.user, given, trust=trust, server=address_of(account)
                    )
                except ProfileBusy:
                    # Another process serves it without a password; this one opens a locked screen.
                    await asyncio.to_thread(unlock, profile, given)
                else:
                    stack.push_async_callback(client.close)
                    await remember_if_asked(asked, given)
                    yield own_face(client)
                    return
            yield await stack.enter_async_context(held_face(account))

    return run(
        opened,
        partial(Commands, account.user),
        event_text,
        user=fold_user(account.user),
        password=secret if isinstance(secret, str) else "",
        profile=profile.folder,
    )


def _load() -> None:
    """Import what is large while the person types their password."""
    for name in ("securechat.client.client", "securechat.tui.app"):
        importlib.import_module(name)


async def _is_held(account: Account) -> bool:
    try:
        async with held_face(account):
            return True
    except NoHolder:
        return False


def _question(fingerprint: str) -> str:
    return "\n".join(
        [
            tr("This server is new here. Its fingerprint is"),
            fingerprint,
            tr("Compare it with what the server printed. Trust it from now on?"),
        ]
    )
