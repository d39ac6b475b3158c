"""python -m tests.faults.disk_errors --count N --minutes M --seed S: failing disks.

Full ones, broken ones, and such as were mounted anew for reading only.

Server and clients are real and in this process; the database of the server, or the store of alice,
lies on a `Disk` that begins to fail at some operation, in the middle of talk, and is mended a little
later. While it fails nothing is promised, and whoever asks is told in a sentence; afterwards all
goes on, after a new start where the process had ended itself; nothing that was promised is lost,
nothing is shown twice, no key is used twice (C-04, Q-02).
"""

import asyncio
import contextlib
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from securechat.client.errors import ClientError
from securechat.errors import SecureChatError
from securechat.server.app import App
from tests.faults.camera import small_logs
from tests.faults.command import Amount, Report, Wrong, command, play
from tests.faults.disk import Disk, Operation, faulty_disk, full, io_error, read_only, well
from tests.faults.generations import Oracle, watching_generations
from tests.faults.kills_server import hurried_clients
from tests.faults.patient_world import PatientWorld
from tests.faults.power_client import Tale, cheap_passwords
from tests.scenarios.world import PATIENCE, Person

ERRORS: Final = "disk errors"
EACH: Final = 20
RECOVERS_IN: Final = 60.0
"""Seconds until a client whose disk was mended has said what was queued, without a new start."""

KINDS: Final[dict[str, tuple[Callable[[Operation], None], frozenset[str]]]] = {
    "full": (full, frozenset({"write"})),
    "sync fails": (io_error, frozenset({"sync"})),
    "write fails": (io_error, frozenset({"write"})),
    "read fails": (io_error, frozenset({"read"})),
    "read only": (read_only, frozenset({"write", "truncate", "delete"})),
}
"""What goes wrong, and with which operations."""


class Failing:
    """Lets a disk fail from its ``after``-th operation of a kind on."""

    def __init__(self, kind: str, after: int) -> None:
        self._fault, self._verbs = KINDS[kind]
        self._left = after
        self.struck = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    def __call__(self, operation: Operation) -> None:
        if operation.verb not in self._verbs:
            return
        self._left -= 1
        if self._left < 0:
            self._loop.call_soon_threadsafe(self.struck.set)
            self._fault(operation)


class Story(Tale):
    """The talk of `power_client`, on disks that fail and are mended."""

    def __init__(
        self,
        people: PatientWorld,
        alice: Person,
        bob: Person,
        chance: random.Random,
        oracle: Oracle,
        *,
        report: Report,
    ) -> None:
        super().__init__(people, alice, bob, chance, oracle)
        self.report = report
        self.faults = random.Random(chance.getrandbits(64))
        """Draws what fails: of its own, for how much is said before depends on the machine's speed."""

    async def trouble(self, where: str, disk: Disk) -> None:
        """One failure, its end, and what comes after."""
        kind = self.faults.choice(list(KINDS))
        failing = Failing(kind, self.faults.randint(0, 30))
        disk.operation = failing
        talking = asyncio.create_task(self._talk())
        try:
            async with asyncio.timeout(PATIENCE):
                await failing.struck.wait()
            await asyncio.sleep(self.faults.random() * 0.1)
        except TimeoutError:
            if kind != "read fails":  # what is in SQLite's memory is not read
                raise Wrong(f"{where}, {kind}: nothing was tried on the disk") from None
        finally:
            disk.operation = well
            talking.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await talking
        self.report.counts[ERRORS] += 1
        self.report.counts[f"{where}: {kind}"] += 1
        await self._mended(where)

    async def _talk(self) -> None:
        while True:
            person, place = self.chance.choice([self.alice, self.bob]), self.chance.choice(["direct", "room"])
            try:
                await self.says(person, place)
            except ClientError:
                self.report.counts["told so"] += 1
            await asyncio.sleep(0.002)

    async def _mended(self, where: str) -> None:
        """All goes on; a server that ended itself is started again, as its service manager would."""
        app = self.people.app
        assert app is not None
        if await _has_ended(app):
            self.report.counts["server ended itself"] += 1
            await self.people.stop_server()
            await self.people.start_server()
        for person in (self.alice, self.bob):
            if not await person.client.drained(RECOVERS_IN):
                raise Wrong(f"the disk of the {where} is mended, and {person.name} does not go on")


async def _has_ended(app: App) -> bool:
    """Whether what failed has ended the server: known once its writer has written again, or never will."""
    tasks = [asyncio.ensure_future(app._writer.find(lambda _: None)), asyncio.ensure_future(app.stopped())]
    async with asyncio.timeout(PATIENCE):
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return app.failure is not None


async def _world(where: Path, chance: random.Random, report: Report, at_most: int) -> None:
    with contextlib.ExitStack() as stack:
        for context in (cheap_passwords(), hurried_clients(), small_logs(chance)):
            stack.enter_context(context)
        oracle = stack.enter_context(watching_generations())
        folders = {"server": where / "server", "client": where / "home-alice" / "alice"}
        people = PatientWorld(where)
        try:
            disks = {name: stack.enter_context(faulty_disk(folder)) for name, folder in folders.items()}
            await people.start_server()
            alice, bob = await people.join("alice", "bob")
            story = Story(people, alice, bob, chance, oracle, report=report)
            await story.begin()
            await alice.open()
            for _ in range(at_most):
                name = story.faults.choice(list(disks))
                await story.trouble(name, disks[name])
            await alice.close()
            await story.end()
        except SecureChatError as error:
            raise Wrong(f"{type(error).__name__}: {error}") from error
        finally:
            await people.close()
        oracle.judge()
        report.counts["messages"] += story.ledger.counts["said"]


def world(where: Path, chance: random.Random, report: Report, at_most: int) -> None:
    """Two people and a server; two disks that fail now and then."""
    asyncio.run(_world(where, chance, report, at_most))


def run(amount: Amount) -> list[Report]:
    return [play("disk_errors", ERRORS, amount, world, each=EACH)]


if __name__ == "__main__":
    sys.exit(command(__doc__, run, count=1_000))
