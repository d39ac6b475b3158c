"""`securechat chat` on a terminal: the full screen, given what it needs of the floors it does not see."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from inspect import isawaitable
from typing import Any, cast

from securechat.cli.accounts import address_of, trust_of
from securechat.cli.faces import held_face
from securechat.cli.home import home_of
from securechat.cli.line_mode import LineMode
from securechat.cli.options import Account, known_password
from securechat.cli.show import event_text
from securechat.client.client import Client
from securechat.client.errors import NoHolder, ProfileBusy
from securechat.client.face import Face, own_face
from securechat.client.keystore import unlock
from securechat.errors import SecureChatError
from securechat.names import fold_user
from securechat.tui.start import run

Confirm = Callable[[str], Awaitable[bool]]


class _Answers:
    """Where the line mode writes when the screen has it do a command."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self.show = tell
        self.tell = tell

    def lines(self, prompt: Callable[[], str]) -> AsyncIterator[str]:
        raise NotImplementedError(prompt)


class _Whole:
    """A client, and what it has for a verb that it does not know yet: nothing, or words."""

    _LEFT_OUT = frozenset({"typing", "mark_read", "set_draft"})

    def __init__(self, client: Any, face: Face) -> None:  # noqa: ANN401 - a client, or a face of one
        self._client = client
        self.face = face

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the client has
        found = getattr(self._client, name, None)
        if found is not None:
            return found
        return self._nothing if name in self._LEFT_OUT else self._cannot

    async def timeline(self, name: str, *, before: int = 0, after: int = 0, limit: int = 100) -> Any:  # noqa: ANN401
        paged = getattr(self._client, "timeline", None)
        if paged is not None:
            found = paged(name, before=before, after=after, limit=limit)
            return await found if isawaitable(found) else found
        found = [
            one
            for one in await self.face.messages(name, 1000 if before or after else limit)
            if one.local_id > after and not 0 < before <= one.local_id
        ]
        return found[:limit] if after else found[-limit:]

    def _nothing(self, *_: object, **__: object) -> None:
        """Leave out what nobody asked for."""

    def _cannot(self, *_: object, **__: object) -> None:
        raise SecureChatError("this version cannot do that yet")


def open_screen(account: Account) -> int:
    """Open the account, or attach to the process that holds it, and draw it; return the exit code."""
    profile = home_of(account).profile(account.user)
    password = "" if asyncio.run(_is_held(account)) else known_password(account)

    @asynccontextmanager
    async def opened(password: str, confirm: Confirm) -> AsyncIterator[Any]:
        trust = trust_of(account)
        if trust.confirm is not None:
            trust = replace(trust, confirm=lambda fingerprint: confirm(_question(fingerprint)))
        async with AsyncExitStack() as stack:
            if password:
                try:
                    client = await Client.open(
                        home_of(account), account.user, password, trust=trust, server=address_of(account)
                    )
                except ProfileBusy:
                    await asyncio.to_thread(
                        unlock, profile, password
                    )  # it opens a locked screen, so it is checked
                else:
                    stack.push_async_callback(client.close)
                    yield _Whole(client, own_face(client))
                    return
            face = await stack.enter_async_context(held_face(account))
            yield _Whole(face, face)

    return run(
        opened,
        lambda client, tell: LineMode(
            cast(_Whole, client).face, _Answers(tell), user=account.user, piped=False
        ),
        event_text,
        user=fold_user(account.user),
        password=password,
        profile=profile.folder,
    )


async def _is_held(account: Account) -> bool:
    try:
        async with held_face(account):
            return True
    except NoHolder:
        return False


def _question(fingerprint: str) -> str:
    return (
        f"This server is new here. Its fingerprint is\n{fingerprint}\n"
        "Compare it with what the server printed. Trust it from now on?"
    )
