"""Something that is done once with an account and is over: straight through its holder if there is one."""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from securechat.cli.home import profile_of
from securechat.cli.options import Account
from securechat.client.asking import asking
from securechat.client.errors import NoHolder
from securechat.client.face import Face
from securechat.client.straight import driven, straight_face

Found = TypeVar("Found")


def once(
    account: Account, work: Callable[[Face], Coroutine[Any, Any, Found]], *, offline: bool = False
) -> Found:
    """Do some work with an account; return what it returns. The work waits for nothing but verbs.

    Through a holder it is done without an event loop, whose import is a third of a one-shot's time.

    :param offline: for what only reads and writes the store: without a holder nothing is connected
    :raises ClientError: the account cannot be had
    """
    profile = profile_of(account)
    try:
        with asking(profile) as line:
            return driven(work(straight_face(profile.user, line)))
    except NoHolder:
        import asyncio  # noqa: PLC0415 - see above

        from securechat.cli.faces import face_of  # noqa: PLC0415 - as above

    async def alone() -> Found:
        async with face_of(account, offline=offline) as face:
            return await work(face)

    return asyncio.run(alone())
