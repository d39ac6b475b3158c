"""`securechat devices USER approve CODE`: let in the new device that shows this code (D-05)."""

import asyncio
import contextlib
import threading
from contextlib import AsyncExitStack
from typing import Final

import click

from securechat.cli.devices import Asked
from securechat.cli.faces import held_face, holding
from securechat.cli.json_lines import print_json
from securechat.cli.options import PASSWORD_VARIABLE, can_ask, given_password, known_password
from securechat.cli.show import clock
from securechat.cli.speech import show, tell
from securechat.client.errors import ClientError, NoHolder, WrongPassword
from securechat.client.events import LinkOffer
from securechat.client.face import Face
from securechat.client.offering import offer_lines
from securechat.locale.catalogue import say, told, tr
from securechat.membership.linking import read_code

ATTEMPTS: Final = 3
"""At the password, on a terminal: the code stays matched meanwhile."""


def approve(asked: Asked) -> int | None:
    if len(asked.words) > 1:
        raise click.UsageError(tr("give one code"))
    given = given_password(asked.account)
    if given is None and not can_ask():
        raise click.UsageError(
            say(
                "no terminal to ask for the password; give --password-file, --password-fd or {variable}",
                variable=PASSWORD_VARIABLE,
            )
        )
    if not asked.words and not can_ask():
        raise click.UsageError(tr("give the code that the new device shows"))
    code = asked.words[0] if asked.words else ""
    if code:
        read_code(code)  # a slip is told here, and costs no try
    return asyncio.run(_approve(asked, code, given))


async def _approve(asked: Asked, code: str, given: str | None) -> int | None:
    async with AsyncExitStack() as stack:
        try:
            face = await stack.enter_async_context(held_face(asked.account))
        except NoHolder:
            given = given if given is not None else known_password(asked.account)
            face = await stack.enter_async_context(holding(asked.account, given))
        # The new device shows a code once this one has answered it: so it is asked for while we listen.
        offer = await face.link_offer(code or await _typed(tr("The code on the new device")))
        for line in offer_lines(offer, clock(offer.asked)):
            tell(line)
        if not await _let_in(face, asked, offer, given):
            await face.decline_link(offer.number)
            tell(tr("It was not let in."))
            return 1
        done = {"type": "linked", "device": offer.device, "name": offer.name, "address": offer.address}
        if asked.as_json:
            print_json(done)
        else:
            show(say("{name} is linked now", name=offer.name))
        undo = f"securechat devices {asked.account.user} revoke {offer.device[:8]}"
        tell(say("to take that back: {command}", command=undo))
    return None


async def _let_in(face: Face, asked: Asked, offer: LinkOffer, given: str | None) -> bool:
    """Ask for the password and let it in; False if the person does not want that."""
    for left in reversed(range(1 if given is not None else ATTEMPTS)):
        password = given
        if password is None:
            prompt = say("Password for {user}, to let it in (Enter alone: no)", user=asked.account.user)
            password = str(click.prompt(prompt, default="", show_default=False, hide_input=True, err=True))
        if not password:
            return False
        try:
            await face.approve_link(offer.number, password)
        except ClientError as problem:
            if not left or not _is_wrong_password(problem):
                raise
            tell(told(str(problem)))
        else:
            return True
    return False


async def _typed(prompt: str) -> str:
    """Ask for a line while the rest goes on. Who interrupts is not held up by the thread that reads."""
    loop = asyncio.get_running_loop()
    typed: asyncio.Future[str] = loop.create_future()

    def done(text: str) -> None:
        if not typed.done():
            typed.set_result(text)

    def read() -> None:
        text = ""
        with contextlib.suppress(click.Abort):
            text = str(click.prompt(prompt, default="", show_default=False, err=True))
        with contextlib.suppress(RuntimeError):  # it was interrupted, and the loop has ended
            loop.call_soon_threadsafe(done, text)

    threading.Thread(target=read, daemon=True).start()
    return await typed


def _is_wrong_password(problem: ClientError) -> bool:
    return isinstance(problem, WrongPassword) or getattr(problem, "kind", "") == WrongPassword.__name__
