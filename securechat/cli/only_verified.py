"""`--trust verified` of a command: nothing is stored, let alone sent, for whom a person has not verified."""

import asyncio
from typing import Final

from securechat.client.errors import Unreachable, UntrustedKeys
from securechat.client.events import Identity
from securechat.client.face import Face
from securechat.client.sentences import HOLDS
from securechat.names import fold_user

NEWS_SECONDS: Final = 30.0
"""How long it may take to hear who is in a conversation now."""


async def only_verified(face: Face, to: str) -> None:
    """Return if a person has verified everybody in a conversation, as the server has it now.

    :raises UntrustedKeys: somebody is not
    :raises Unreachable: who is in it is not known without the server
    :raises UnknownConversation: there is no room of this name
    """
    try:
        async with asyncio.timeout(NEWS_SECONDS):
            await face.caught_up()
    except TimeoutError:
        raise Unreachable("who is in there now is not known without the server; nothing was sent") from None
    strangers = await _strangers(face, to)
    if strangers:
        raise UntrustedKeys(HOLDS["not_verified"].format(who=", ".join(sorted(strangers))))


async def _strangers(face: Face, to: str) -> list[str]:
    if to.startswith("#"):
        us = (await face.status()).user
        room = await face.conversation(to)
        return [one.user for one in room.members if one.user != us and one.identity is not Identity.VERIFIED]
    user = fold_user(to)
    verified = {each.user for each in await face.contacts() if each.identity is Identity.VERIFIED}
    return [] if user in verified else [user]
