"""python -m tests.faults.kills_client --count N --minutes M --seed S: kill -9 of a client, anywhere.

Alice is a process of her own that sends, reads, commits, makes rooms and joins others; she is killed
at any time, each time an await goes on, and at the three points of each transaction (before it
begins, before its commit, after it), and starts again on the same profile. Server and bob are in
this process. Again and again everything is left to heal: nothing was lost or shown twice on either
side, both are in one epoch, and no generation of any ratchet was used twice (C-02, D-06).
"""

import asyncio
import json
import random
import signal
import sys
from pathlib import Path
from typing import Final

from msgspec import json as msgjson

from securechat.client.events import Event, Invited
from tests.faults.client_process import HANGS, PATIENCE, Job, Life
from tests.faults.command import Amount, Report, Wrong, command, play
from tests.faults.generations import Oracle, watching_generations
from tests.faults.kills_server import hurried_clients
from tests.faults.ledger import Ledger, settle
from tests.faults.patient_world import PatientWorld
from tests.faults.power_client import ROWS, cheap_passwords, renew
from tests.scenarios.world import Person, World

KILLS: Final = "client kills"
EACH: Final = 100
HEALS_AFTER: Final = 20
POINTS: Final = ("resumed", "resumed", "begin", "commit", "committed", "time")
BOB_HEARS_WITHIN: Final = 20
LOOKS: Final = 5
"""Lives after which alice and bob must have come to be in one epoch."""

ROOM: Final = 0.06
"""How often a life makes a room, or is invited to one."""


class Zygote:
    """The process whose forks are killed."""

    def __init__(self, module: tuple[str, ...]) -> None:
        self._module = module
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *self._module),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )

    async def live(self, life: Life) -> int:
        """Let one client live; return how it ended: 0, or the signal below 0."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(msgjson.encode(life) + b"\n")
        async with asyncio.timeout(HANGS + PATIENCE):
            return int(await process.stdout.readline())

    async def stop(self) -> None:
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            await self._process.wait()


class Tale:
    """What alice and bob say to each other while alice is killed."""

    def __init__(
        self, world: World, zygote: Zygote, chance: random.Random, report: Report, *, oracle: Oracle
    ) -> None:
        self.oracle = oracle
        self.world = world
        self.zygote = zygote
        self.chance = chance
        self.report = report
        self.ledger = Ledger()
        self.jobs: list[Job] = []
        self.places = {"@bob": "direct", "@alice": "direct"}
        self.rooms = 0
        self.passed = {"resumed": 300, "begin": 12, "commit": 12, "committed": 12}
        self.seen = {"alice": 0, "bob": 0}
        self.epoch = ""

    async def begin(self) -> None:
        """Both have accounts; alice's client is the other process's from now on."""
        self.alice = await self.world.register("alice")
        (self.bob,) = await self.world.join("bob")
        self._joining = asyncio.create_task(self._join_all(self.bob))
        await self.zygote.start()
        self.jobs = [Job("room", "#team", "bob"), self.said("@bob")]
        await self.heal()

    async def kill(self) -> None:
        """One life of alice, and its end."""
        await self._plan()
        point = self.chance.choice(POINTS)
        number, after = 0, HANGS
        if point == "time":
            after = 0.001 + self.chance.random() * 0.3
        else:
            number = self.chance.randint(1, self.passed[point] + 5)
        ended = await self._live(point if number else "", number, after)
        if ended == (-signal.SIGALRM if point == "time" else -signal.SIGKILL):
            self.report.counts[KILLS] += 1
            self.report.counts[f"at {point}"] += 1

    async def heal(self) -> None:
        """A life without a kill; everything must be well."""
        if self._joining.done():
            raise Wrong("bob cannot join") from self._joining.exception()
        if await self._live("", 0, HANGS) != 0:
            raise Wrong("alice ended by a signal nobody sent")
        if not await self.bob.client.drained(PATIENCE):
            raise Wrong("bob cannot send what is queued")
        await self.bob.client.caught_up()
        await self._live("", 0, HANGS)
        self.oracle.judge_keys()
        await settle(self.ledger, self._show_bob, BOB_HEARS_WITHIN)
        self.oracle.judge()
        Wrong.if_any(self.ledger.verdict())
        await self._agree()

    async def _agree(self) -> None:
        """:raises Wrong: alice and bob do not come to be in one epoch"""
        for _ in range(LOOKS):
            if self.epoch == self.bob.client.fingerprint("#team").epoch_code:
                return
            # Bob has tried a change again since alice's last life, or what she changed is on its way to him.
            await self._live("", 0, HANGS)
            await self.bob.client.caught_up()
        raise Wrong("alice and bob are in different epochs")

    async def close(self) -> None:
        self._joining.cancel()
        await asyncio.gather(self._joining, return_exceptions=True)
        await self.zygote.stop()

    def said(self, name: str) -> Job:
        """Alice is to say something."""
        return Job("say", name, self.ledger.says(self.places.setdefault(name, name), "alice", ["bob"]))

    async def _plan(self) -> None:
        """What both do next; alice's part is repeated in each life until it is done."""
        rooms = [name for name in self.places if name.startswith("#")]
        self.jobs += [
            self.said(self.chance.choice(["@bob", *rooms])) for _ in range(self.chance.randint(0, 4))
        ]
        if self.chance.random() < 0.3:
            self.jobs.append(Job("renew", self.chance.choice(["@bob", "#team"])))
        if self.chance.random() < ROOM:
            self.rooms += 1
            name = f"#a{self.rooms}"
            self.jobs += [Job("room", name, "bob"), self.said(name)]
        if self.chance.random() < ROOM:
            self.rooms += 1
            name = f"#b{self.rooms}"
            await self.bob.client.create_room(name)
            await self.bob.client.invite(name, "alice")
            self.jobs.append(Job("join", name))
        for _ in range(self.chance.randint(0, 4)):
            text = self.ledger.says("direct", "bob", ["alice"])
            await self.bob.client.send("@alice", text)
            self.ledger.acknowledged("direct", "bob", text)
        if self.chance.random() < 0.2:
            renew(self.bob.client, self.chance.choice(["@alice", "#team"]))

    async def _live(self, point: str, number: int, after: float) -> int:
        out = self.world.folder / "out"
        out.unlink(missing_ok=True)
        life = Life(
            home=str(self.alice.home.path),
            server=str(self.world.address),
            user="alice",
            password=self.alice.password,
            out=str(out),
            jobs=tuple(self.jobs),
            point=point,
            number=number,
            since=self.seen["alice"],
            alarm=after,
        )
        ended = await self.zygote.live(life)
        # A line that was cut off by the end says nothing.
        told = (
            [json.loads(line) for line in out.read_text().splitlines(keepends=True) if line.endswith("\n")]
            if out.exists()
            else []
        )
        self._take(told, whole=ended == 0)
        if ended == -signal.SIGALRM and after == HANGS:
            raise Wrong("alice hangs")
        if ended > 0:
            raise Wrong(f"alice ended by herself: {told[-1:]}")
        return ended

    def _take(self, told: list[list[object]], *, whole: bool) -> None:
        rows: list[list[object]] = []
        for words in told:
            match words:
                case ["done", str(name), str(text)]:
                    job = next(job for job in self.jobs if (job.name, job.text) == (name, text))
                    self.jobs.remove(job)
                    if job.verb == "say":
                        self.ledger.acknowledged(self.places[name], "alice", text)
                case ["epoch", str(code)]:
                    self.epoch = code
                case ["message", *row]:
                    rows.append(row)
                case ["passed", dict(passed)] if self.jobs == []:
                    self.passed = {str(point): int(number) for point, number in passed.items()}
                case _:
                    pass
        if whole:
            self._show("alice", rows)

    def _show_bob(self) -> None:
        rows = self.bob.client._engine.store.rows(ROWS, (self.seen["bob"],))
        self._show("bob", [list(row) for row in rows])

    def _show(self, person: str, rows: list[list[object]]) -> None:
        for number, name, own, sender, text, state in rows:
            if own and state != "sent":
                raise Wrong(f"{text} of {person} is {state}")
            if not own:
                self.ledger.shown(self.places.get(str(name), str(name)), person, str(sender), str(text))
            self.seen[person] = int(str(number))

    async def _join_all(self, person: Person) -> None:
        """Enter whatever one is invited to."""

        def is_new(event: Event) -> bool:
            return isinstance(event, Invited) and event.conversation not in joined

        joined: set[str] = set()
        while True:
            async with person._news:
                await person._news.wait_for(lambda: any(map(is_new, person.events)))
            for event in list(filter(is_new, person.events)):
                assert isinstance(event, Invited)
                joined.add(event.conversation)
                await person.client.join(event.conversation)


def world(
    where: Path,
    chance: random.Random,
    report: Report,
    at_most: int,
    module: tuple[str, ...] = ("tests.faults.client_process",),
) -> None:
    """One alice, killed again and again."""
    asyncio.run(_world(where, chance, report, at_most, module))


async def _world(
    where: Path, chance: random.Random, report: Report, at_most: int, module: tuple[str, ...]
) -> None:
    with cheap_passwords(), hurried_clients(), watching_generations() as oracle:
        people = PatientWorld(where)
        await people.start_server()
        tale = Tale(people, Zygote(module), chance, report, oracle=oracle)
        try:
            await tale.begin()
            await _kill(tale, report, report.counts[KILLS] + at_most)
        except (Wrong, TimeoutError) as other:
            oracle.judge_keys()  # whatever else goes wrong after that comes of it
            if isinstance(other, TimeoutError):
                raise Wrong("something did not happen in time") from other
            raise
        finally:
            await tale.close()
            await people.close()
            report.counts["messages"] += tale.ledger.counts["said"]
            report.counts["sealed"] += len(oracle.sealed)


async def _kill(tale: Tale, report: Report, until: int) -> None:
    lives = 0
    while report.counts[KILLS] < until:
        await tale.kill()
        lives += 1
        if lives % HEALS_AFTER == 0 or report.counts[KILLS] == until:
            await tale.heal()


def run(amount: Amount) -> list[Report]:
    return [play("kills_client", KILLS, amount, world, each=EACH)]


if __name__ == "__main__":
    sys.exit(command(__doc__, run, count=1_000))
