"""Long work over a line that breaks: when to try again, and when not to."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import Final

from securechat.client.errors import ClientError, Disconnected, RefusedByServer
from securechat.client.intents import asked_wait
from securechat.protocol.messages import UNDECIDED

FIRST_SECONDS: Final = 0.1
LONGEST_SECONDS: Final = 30.0

MAX_MISTAKES: Final = 5
"""Attempts that may end with a mistake of the server's, one after the other."""


def seconds_until_again(failures: int, *, asked: float = 0.0) -> float:
    """Return how long to wait after so many failures in a row; a server may ask for more."""
    longest = min(LONGEST_SECONDS, FIRST_SECONDS * 2 ** min(failures, 10))
    return asked_wait(asked) + secrets.SystemRandom().uniform(longest / 2, longest)


class Patience:
    """Counts what went wrong since something last went well."""

    def __init__(
        self,
        connection: Callable[[], Awaitable[None]],
        *,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Prepare.

        :param connection: returns once there is a connection; raises when there will be none
        """
        self._connection = connection
        self._pause = pause
        self._failures = 0

    def progressed(self) -> None:
        self._failures = 0

    async def after(self, error: ClientError) -> None:
        """Wait until another attempt makes sense.

        :raises ClientError: none does: this error, or why there will be no connection
        """
        self._failures += 1
        asked = 0.0
        if isinstance(error, RefusedByServer):
            is_mistake = error.code == "internal" and self._failures >= MAX_MISTAKES
            if error.code not in UNDECIDED or is_mistake:
                raise error
            asked = error.retry_after
        elif not isinstance(error, Disconnected):
            raise error
        await self._pause(seconds_until_again(self._failures, asked=asked))
        await self._connection()
