"""Brings a sealed file to the server, a few pieces at a time, from wherever it stands.

Few pieces are under way at once, so that messages go and come in between.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

from securechat.client.errors import ClientError, FileChanged, FileRefused
from securechat.client.patience import Patience
from securechat.client.source_file import Source, sealed_from
from securechat.client.threads import in_thread
from securechat.client.transfers import Sending
from securechat.content.sealed_file import PieceCipher, sealed_size
from securechat.protocol.messages import Answer, FileStored, PutFile, RequestBody

WINDOW: Final = 4
"""Pieces under way: 256 KiB, a quarter of a second of a line of a megabyte a second."""

MAX_STANDSTILL: Final = 20
"""Times one after the other that the server may take none of the pieces it is sent."""

LAST_DATE: Final = (1 << 32) - 1
"""What a message can say of when a file goes, in seconds since 1970."""

Ask = Callable[[RequestBody], Awaitable[Answer]]
Progress = Callable[[int, int], None]
"""Told how many bytes of how many are there."""


class Upload:
    """One file's way up. ``at`` is how much the server says it has."""

    def __init__(self, ask: Ask, sending: Sending, progress: Progress) -> None:
        self._ask = ask
        self._sending = sending
        self._cipher = PieceCipher(sending.key, sending.prefix, sending.size)
        self._total = sealed_size(sending.size)
        self._progress = progress
        self._expires = 0
        self._standstill = 0
        self.at = 0

    async def run(self, patience: Patience) -> int:
        """Upload until the server has all of it; return when it will let go of it.

        :raises FileChanged: it is not what was sealed first
        :raises FileRefused, RefusedByServer: it will not be taken
        """
        source = await in_thread(Source.open, self._sending.path)
        try:
            if source.size != self._sending.size:
                raise FileChanged("the file has another size than when it was sealed")
            while True:
                before = self.at
                try:
                    await self._look()
                    if self.at == self._total:
                        return self._expires
                    looked = self.at
                    await self._stream(source)
                    self._check_standstill(moved=self.at > looked)
                except ClientError as error:
                    if self.at > before:
                        patience.progressed()
                    await patience.after(error)
        finally:
            await in_thread(source.close)

    async def _look(self) -> None:
        """Ask where it stands, which may be less than before: the server has crashed, or lies."""
        stored = await self._put(0, b"")
        if stored.received > self._total:
            raise FileRefused("the server says that it has more of the file than there is")
        self.at = stored.received

    def _check_standstill(self, *, moved: bool) -> None:
        """Give a server up that answers, and takes nothing; a line that breaks is another matter."""
        self._standstill = 0 if moved else self._standstill + 1
        if self._standstill > MAX_STANDSTILL:
            raise FileRefused("the server takes no more of the file")

    async def _stream(self, source: Source) -> None:
        """Send piece after piece; return when all are there, or something is not as expected."""
        waiting: deque[tuple[int, asyncio.Task[FileStored]]] = deque()
        sent = self.at
        try:
            while self.at < self._total:
                while len(waiting) < WINDOW and sent < self._total:
                    piece = await in_thread(sealed_from, source, self._cipher, self._sending.tags, sent)
                    request = asyncio.create_task(self._put(sent, piece))
                    sent += len(piece)
                    waiting.append((sent, request))
                end, request = waiting.popleft()
                if (await request).received != end:
                    return
                self.at = end
                self._progress(self.at, self._total)
        finally:
            await _let_be([request for _, request in waiting])

    async def _put(self, offset: int, piece: bytes) -> FileStored:
        answer = await self._ask(PutFile(self._sending.file, offset, self._total, piece))
        assert isinstance(answer, FileStored)  # noqa: S101 - the connection holds answers to their kinds
        self._expires = min(answer.expires, LAST_DATE)
        return answer


async def _let_be(requests: list[asyncio.Task[FileStored]]) -> None:
    """Wait no more for answers; what the server does with the requests is asked anew."""
    for request in requests:
        request.cancel()
    await asyncio.gather(*requests, return_exceptions=True)
