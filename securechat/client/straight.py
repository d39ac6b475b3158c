"""A `Face` without an event loop: each verb blocks until the holder has answered.

What is written for a `Face` runs on it as it stands, as long as it waits for nothing but verbs.
"""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar, cast

import msgspec

from securechat.client.asking import Asking
from securechat.client.calls import signature, verb
from securechat.client.errors import HolderLeft
from securechat.client.face import VERBS, Face

Found = TypeVar("Found")


def straight_face(user: str, line: Asking) -> Face:
    """The account behind a line; `events` and `subscribe` are not for it."""
    return cast(Face, _StraightFace(user, line))


class _StraightFace:
    def __init__(self, user: str, line: Asking) -> None:
        self._user = user
        self._line = line

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        """Every verb of `Face`."""
        if name not in VERBS:
            raise AttributeError(name)

        async def asked(*arguments: object, **named: object) -> Any:  # noqa: ANN401 - any verb's
            given = signature(name).bind(*arguments, **named).arguments
            result = self._line.ask(name, msgspec.to_builtins(given))
            try:
                return msgspec.convert(result, verb(name).result)
            except msgspec.ValidationError as problem:
                raise HolderLeft(self._user) from problem

        return asked


async def beside(work: Callable[[], Found]) -> Found:
    """Do what takes a while beside the event loop, if there is one."""
    import asyncio  # noqa: PLC0415 - most of what is driven needs none of it

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return work()
    return await asyncio.to_thread(work)


def driven(work: Coroutine[Any, Any, Found]) -> Found:
    """Run what never waits for a loop; return what it returns."""
    try:
        work.send(None)
    except StopIteration as end:
        return cast(Found, end.value)
    work.close()
    raise AssertionError("it waits for something that only an event loop has")
