"""Whether this server can do its work now: a transaction reaches the disk, the certificate is in its time."""

import asyncio
from collections.abc import Callable
from typing import Final

from securechat.server.certificate import Certificate
from securechat.server.errors import Refusal
from securechat.server.store.writer import Writer
from securechat.server.values import Clock

FRESH_SECONDS: Final = 1.0
"""An answer is given again for so long: whoever asks often costs one sync a second."""

PATIENCE_SECONDS: Final = 3.0
"""A disk that takes longer is not well."""


class Health:
    """For the loop's thread."""

    def __init__(self, writer: Writer, certificate: Callable[[], Certificate], now: Clock) -> None:
        self._writer = writer
        self._certificate = certificate
        self._now = now
        self._asked = float("-inf")
        self._writes = False
        self._turn = asyncio.Lock()

    async def complaints(self) -> list[str]:
        """What is not well, a word each; nothing is well."""
        certificate = self._certificate()
        valid = certificate.not_before <= self._now() <= certificate.not_after
        return [*([] if await self._can_write() else ["store"]), *([] if valid else ["certificate"])]

    async def _can_write(self) -> bool:
        """Ask the disk, at most once a second however many ask us."""
        loop = asyncio.get_running_loop()
        async with self._turn:
            if loop.time() - self._asked >= FRESH_SECONDS:
                self._writes = await self._probe()
                self._asked = loop.time()
            return self._writes

    async def _probe(self) -> bool:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                # Another value each time, or SQLite would see that there is nothing to write.
                await self._writer.find(lambda db: db.execute("UPDATE server SET probed = probed + 1"))
        except (Refusal, TimeoutError):
            return False
        return True
