"""Fetches a sealed file from the server, a few pieces at a time, from wherever its part stands."""

import asyncio
import shutil
from collections import deque
from pathlib import Path

from securechat.client.errors import ClientError, Disconnected, FileDamaged, FileRefused, RefusedByServer
from securechat.client.part_file import PartFile
from securechat.client.patience import Patience
from securechat.client.threads import in_thread
from securechat.client.uploading import WINDOW, Ask, Progress
from securechat.content.sealed_file import PIECE, SEALED_PIECE, SealedFile, piece_count, sealed_size
from securechat.protocol.messages import FilePiece, GetFile


class Download:
    """One file's way down."""

    def __init__(self, ask: Ask, file: SealedFile, part: Path, progress: Progress) -> None:
        self._ask = ask
        self._file = file
        self._part = part
        self._total = sealed_size(file.size)
        self._progress = progress

    async def run(self, patience: Patience) -> None:
        """Fetch until the part is the whole file, on the disk.

        :raises FileDamaged: what the server has is not what was sent; there is no part
            any more where the whole is wrong, and not a piece
        :raises FileRefused: there is no room for it
        :raises RefusedByServer: the server does not have it
        """
        while True:
            part = await in_thread(PartFile, self._part, self._file)
            try:
                if await self._fetch(part, patience):
                    return
                await in_thread(part.remove)
            finally:
                await in_thread(part.close)
            if not part.had_before:
                raise FileDamaged("the file is not what its sender named; nothing was saved")

    async def _fetch(self, part: PartFile, patience: Patience) -> bool:
        """Fetch what is missing; False if the whole is something else than was named."""
        while await in_thread(part.count_step):
            pass
        self._check_room(part)
        while not part.is_whole:
            before = part.next_piece
            try:
                await self._stream(part)
            except (Disconnected, RefusedByServer) as error:
                if part.next_piece > before:
                    patience.progressed()
                await patience.after(error)
        return await in_thread(part.finish)

    def _check_room(self, part: PartFile) -> None:
        missing = self._file.size - part.next_piece * PIECE
        free = shutil.disk_usage(self._part.parent).free
        if missing > free:
            raise FileRefused(f"there is no room for the file: it needs {missing} bytes, {free} are free")

    async def _stream(self, part: PartFile) -> None:
        waiting: deque[asyncio.Task[FilePiece]] = deque()
        asked, count = part.next_piece, piece_count(self._file.size)
        try:
            while not part.is_whole:
                while len(waiting) < WINDOW and asked < count:
                    waiting.append(asyncio.create_task(self._get(asked * SEALED_PIECE)))
                    asked += 1
                piece = await waiting.popleft()
                await in_thread(part.add, piece.data)
                self._progress(min(part.next_piece * SEALED_PIECE, self._total), self._total)
        finally:
            for request in waiting:
                request.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)

    async def _get(self, offset: int) -> FilePiece:
        answer = await self._ask(GetFile(self._file.id, offset))
        assert isinstance(answer, FilePiece)  # noqa: S101 - the connection holds answers to their kinds
        if answer.total != self._total or answer.offset != offset:
            raise FileDamaged("the server's file has another size than its sender named; nothing was saved")
        return answer


def is_lost(error: ClientError) -> bool:
    """Whether the server will never have the file again."""
    return isinstance(error, RefusedByServer) and error.code in {"no_file", "gone"}
