"""What is to go beside messages goes: files of ours at the server, and parts of files on this machine.

Both are noted in the change that makes them so (the tables ``letting_go`` and ``old_part``), and stay noted
until they are gone: through a lost connection, a disk that is not there, a restart.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

from securechat.client import transfers
from securechat.client.engine import Engine
from securechat.client.errors import ClientError, Disconnected, RefusedByServer, StoreError
from securechat.client.patience import Patience
from securechat.protocol.messages import DeleteFile


class LettingGo:
    """For one account; two tasks that go on until they are cancelled."""

    def __init__(self, engine: Engine, connection: Callable[[], Awaitable[None]]) -> None:
        """``connection`` returns once there is one."""
        self._engine = engine
        self._connection = connection
        self._later: set[bytes] = set()
        """What could not be done in this process; the next one tries again."""

    async def parts(self) -> None:
        """Remove parts that nothing will be added to any more."""
        await self._go_on(lambda: transfers.old_parts(self._engine.store.db), self._remove)

    async def files(self) -> None:
        """Have the server delete files of ours that nobody will ask for."""
        await self._go_on(self._unheard, self._delete)

    async def _go_on(
        self, due: Callable[[], list[bytes]], let_go: Callable[[bytes], Awaitable[bool]]
    ) -> None:
        while True:
            left = [each for each in due() if each not in self._later]
            if not left:
                await self._engine.stirred()
                continue
            try:
                if not await let_go(left[0]):
                    self._later.add(left[0])
                    continue
                with self._engine.changes.change() as change:
                    transfers.is_gone(change.db, left[0])
            except (Disconnected, StoreError):  # what is not noted as done is done again, which is harmless
                await self._engine.stirred()

    def _unheard(self) -> list[bytes]:
        return [] if self._engine.connected is None else transfers.files_to_go(self._engine.store.db)

    async def _remove(self, path: bytes) -> bool:
        return await asyncio.to_thread(_removed, Path(os.fsdecode(path)))

    async def _delete(self, file: bytes) -> bool:
        """Whether the server has it no more, or it is not ours; Disconnected if that is not known."""
        patience = Patience(self._connection)
        while True:
            try:
                await self._engine.ask(DeleteFile(file))
            except ClientError as error:
                if isinstance(error, RefusedByServer) and error.code in {"forbidden", "no_file"}:
                    return True
                try:
                    await patience.after(error)
                except RefusedByServer:
                    return False
            else:
                return True


def _removed(part: Path) -> bool:
    """Blocks: for threads. A folder that is not there may be on a disk that comes back."""
    try:
        if not part.parent.is_dir():
            return False
        part.unlink(missing_ok=True)
    except OSError:
        return False
    return True
