"""python -m tests.faults.files --count N --minutes M --seed S: lines cut and processes killed under files.

Alice sends bob files of drawn sizes, one after the other, through a proxy, while the line is cut, the
server is killed and started again (C-01), and clients are closed and opened in the middle. Every file
must arrive as it was sent; nothing else may lie in bob's folder but a part under its hidden name. At the
end of a world the server is looked at: what its rows call whole is whole on its disk, and no file lies
there without a row.
"""

import asyncio
import contextlib
import hashlib
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from unittest import mock

import apsw

from securechat.client import patience, transfers
from securechat.client.config import ServerAddress
from securechat.client.errors import ClientError, Disconnected
from securechat.client.events import MessageReceived
from securechat.content.sealed_file import PIECE
from tests.faults.command import Amount, Report, Wrong, command, play
from tests.faults.kills_server import KillableWorld, hurried_clients
from tests.faults.power_client import cheap_passwords
from tests.faults.proxy import Proxy
from tests.scenarios.world import Person

FAULTS: Final = "faults"
EACH: Final = 24
"""Faults of a world."""

PER_FILE: Final = 4
PATIENCE: Final = 60
LARGEST: Final = 200 * PIECE
"""Bytes: above the 8 MiB after which the server syncs, so that it can come back in the middle."""

LONGEST_PAUSE: Final = 0.12
"""Seconds between two faults."""


class Line(KillableWorld):
    """Clients of this process, a proxy, and a server of another."""

    def __init__(self, folder: Path, seed: int) -> None:
        super().__init__(folder, ("securechat",))
        self.proxy = Proxy(("127.0.0.1", self.server.port), seed=seed)

    @property
    def address(self) -> ServerAddress:
        return ServerAddress("127.0.0.1", self.proxy.port)

    async def close(self) -> None:
        await super().close()
        await self.proxy.close()


class Tale:
    """Files go, and things break."""

    def __init__(self, world: Line, chance: random.Random, report: Report) -> None:
        self.world = world
        self.chance = chance
        self.report = report
        self.downloads = world.folder / "downloads"
        self.sent = 0
        self._open = asyncio.Event()
        """Whether the client that is restarted at times is there."""
        self._open.set()

    async def begin(self) -> None:
        await self.world.server.start()
        await self.world.proxy.start()
        alice, _ = await self.world.join("alice", "bob")
        await alice.says("@bob", "hello")

    async def one_file(self, faults: int) -> None:
        """Send a file and fetch it, with faults on the way up and on the way down."""
        alice, bob = self.world.people["alice"], self.world.people["bob"]
        self.sent += 1
        path = self.world.folder / f"{self.sent}.bin"
        data = self.chance.randbytes(self.chance.choice([0, 5, 3 * PIECE, self.chance.randint(1, LARGEST)]))
        path.write_bytes(data)
        caption = f"number {self.sent}"
        up = asyncio.create_task(self._send(alice, path, caption))
        await self._break(up, alice, faults // 2)
        event = await self._arrived(bob, caption, up)
        down = asyncio.create_task(self._fetch(bob, event.message.id))
        await self._break(down, bob, faults - faults // 2)
        async with asyncio.timeout(PATIENCE):
            place = await down
        if hashlib.sha256(place.read_bytes()).digest() != hashlib.sha256(data).digest():
            raise Wrong(f"file {self.sent} of {len(data)} bytes is not what was sent")
        lying = [each.name for each in self.downloads.iterdir() if not each.name.startswith(".")]
        if len(lying) != self.sent:
            raise Wrong(f"{self.sent} files were fetched, {lying} lie there")
        self.report.counts["files"] += 1
        self.report.counts["MiB"] += len(data) >> 20
        path.unlink()

    async def _send(self, alice: Person, path: Path, caption: str) -> None:
        """Once; again only if the client was closed before it had stored anything."""
        while True:
            await self._open.wait()
            db = alice.client._engine.store.db
            under_way = [sending.caption for sending in transfers.all_sending(db)]
            said = [message.text for message in alice.client.messages("@bob")]
            if caption in under_way or any(text.endswith(caption) for text in said):
                return
            with contextlib.suppress(Disconnected):
                await alice.client.send_file("@bob", str(path), caption=caption)

    async def _fetch(self, bob: Person, which: str) -> Path:
        """Asked for again whenever bob's client was closed."""
        while True:
            await self._open.wait()
            with contextlib.suppress(Disconnected):
                return Path(await bob.client.fetch_file(which, to=str(self.downloads)))

    async def _arrived(self, bob: Person, caption: str, up: "asyncio.Task[None]") -> MessageReceived:
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    for event in bob.events:
                        if isinstance(event, MessageReceived) and event.message.text.endswith(caption):
                            return event
                    if up.done() and up.exception() is not None:
                        raise Wrong("a file was not sent") from up.exception()
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise Wrong(f"the file {caption} does not arrive") from None

    async def _break(self, work: "asyncio.Task[object]", person: Person, faults: int) -> None:
        for _ in range(faults):
            await asyncio.sleep(self.chance.random() * LONGEST_PAUSE)
            fault = self.chance.choice([self._cut, self._cut, self._kill, self._restart])
            await fault(person)
            self.report.counts[FAULTS] += 1
            self.report.counts[fault.__name__.removeprefix("_")] += 1
            if not work.done():
                self.report.counts["in the middle"] += 1

    async def _cut(self, _: Person) -> None:
        self.world.proxy.cut(reset=self.chance.random() < 0.5)

    async def _kill(self, _: Person) -> None:
        await self.world.server.kill()
        self.report.took("start", await self.world.server.start())

    async def _restart(self, person: Person) -> None:
        self._open.clear()
        await person.close()
        await person.open()
        self._open.set()

    def look(self) -> None:
        """The server has ended: its rows and its disk must agree."""
        folder = self.world.server.folder / "data"
        db = apsw.Connection(str(folder / "server.db"), flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            rows: list[Any] = db.execute("SELECT name, total, synced, going FROM file").fetchall()
        finally:
            db.close()
        lying = {path.name: path.stat().st_size for path in (folder / "files").rglob("*") if path.is_file()}
        for name, total, synced, going in rows:
            size = lying.pop(bytes(name).hex(), 0)
            if not going and (size < synced or (synced == total and size != total)):
                raise Wrong(f"a file of {total} bytes, {synced} of them synced, has {size} on the disk")
        if lying:
            raise Wrong(f"{len(lying)} files lie there that no row knows")
        self.report.counts["rows looked at"] += len(rows)


@asynccontextmanager
async def a_line(folder: Path, seed: int) -> AsyncIterator[Line]:
    line = Line(folder, seed)
    try:
        yield line
    finally:
        await line.close()


async def tell(folder: Path, chance: random.Random, report: Report, at_most: int) -> None:
    async with a_line(folder, chance.randrange(1 << 30)) as line:
        tale = Tale(line, chance, report)
        await tale.begin()
        left = at_most
        while left > 0:
            faults = min(PER_FILE, left)
            left -= faults
            await tale.one_file(faults)
        await line.server.end()
        tale.look()


def world(folder: Path, chance: random.Random, report: Report, at_most: int) -> None:
    with hurried_clients(), mock.patch.object(patience, "LONGEST_SECONDS", 0.1), cheap_passwords():
        try:
            asyncio.run(tell(folder, chance, report, at_most))
        except ClientError as error:
            raise Wrong("a client gave up") from error


def run(amount: Amount) -> list[Report]:
    return [play("files", FAULTS, amount, world, each=EACH)]


if __name__ == "__main__":
    sys.exit(command(__doc__, run, count=200))
