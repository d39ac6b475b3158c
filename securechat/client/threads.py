"""Work in a thread that is never left behind."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


async def in_thread(work: Callable[P, R], *args: P.args, **named: P.kwargs) -> R:
    """Do something that blocks; who is cancelled meanwhile goes on only once the thread is done.

    What the thread uses may be closed after that: the number of a file that is closed under it soon
    belongs to another one.
    """
    running = asyncio.ensure_future(asyncio.to_thread(work, *args, **named))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():
            try:
                await asyncio.wait([running])
            except asyncio.CancelledError:  # once more; it ends no sooner for that
                continue
        if not running.cancelled():
            running.exception()  # seen: nobody asks for it any more
        raise
