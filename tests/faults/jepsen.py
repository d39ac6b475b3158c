"""Many clients, all faults, one verdict: python -m tests.faults.jepsen --minutes M --seed S --clients N.

The real server in a process, each client behind a proxy of its own, some of them in processes to be
stopped and killed; a seeded nemesis breaks lines, clocks and processes while everybody talks. Then
everything heals, comes to rest, and is judged: nothing that was acknowledged is lost, nothing is
shown twice, nothing unexpected, everything in order, all members of a group in one epoch (Q-01).
The exit code is 1 when something is wrong; then the last events are told.
"""

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from tests.faults.checker import Checker, Verdict, epochs_of
from tests.faults.crowd import Crowd, Plan
from tests.faults.hosts import ClockedServer
from tests.faults.member import bend
from tests.faults.nemesis import Nemesis
from tests.faults.orders import Account, Story

TOLD = 200
"""Events of the end that are told when something is wrong."""

LOOKS = 10
"""At where everybody is, until members of one group in different epochs are apart."""

EXAMPLES = 8
"""Of each kind of wrong that are told."""


class Run:
    """One run, from the first account to the verdict."""

    def __init__(self, folder: Path, plan: Plan, *, seed: int) -> None:
        self.folder = folder
        self.plan = plan
        self.seed = seed
        self.server = ClockedServer(folder / "server")
        self.crowd = Crowd(folder, self.server, plan, seed=seed)
        self.nemesis: Nemesis | None = None
        self.verdict = Verdict()
        self.seconds: dict[str, float] = {}

    async def go(self, seconds: float, *, every: float = 2.0, longest: float = 70.0) -> Verdict:
        """Gather, break things for so long, heal, wait, judge."""
        await self.server.start()
        try:
            await self._timed("gathering", self.crowd.gather())
            self.nemesis = Nemesis(self.crowd, seed=self.seed, every=every, longest=longest)
            await self._timed("faults", self._break(self.nemesis, seconds))
            await self._timed("healing", self.nemesis.heal())
            await self._timed("coming to rest", self.crowd.quiet())
            self.verdict = await self.judge()
        finally:
            await self.crowd.close()
            await self.server.end()
        return self.verdict

    async def judge(self) -> Verdict:
        self.crowd.look_at_stays()
        stories = await self._stories()
        told = {user: seat.told for user, seat in self.crowd.seats.items()}
        verdict = Checker(self.crowd.ledger, self.crowd.guests).judge(stories, told, self.crowd.stays)
        verdict.wrong += self.crowd.wrong
        for user in self.crowd.seats:
            if user not in stories:
                verdict.says(f"no story of {user}")
        return verdict

    async def _stories(self) -> dict[str, Story]:
        """What everybody has. One after the other is asked: what is committed meanwhile only some have."""
        stories = await self.crowd.stories(lines=True)
        for _ in range(LOOKS):
            if all(len(those) == 1 for those in epochs_of(stories).values()):
                break
            await asyncio.sleep(0.5)
            stories = await self.crowd.stories(lines=True)
        return stories

    async def _break(self, nemesis: Nemesis, seconds: float) -> None:
        tasks = [asyncio.create_task(work) for work in (self.crowd.talk(), nemesis.run(), self._look())]
        try:
            done, _ = await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _look(self) -> None:
        """Note who is where: the server forgets stays that are over."""
        while True:
            await asyncio.sleep(2)
            self.crowd.look_at_stays()

    async def _timed(self, what: str, work: Awaitable[object]) -> None:
        begun = time.monotonic()
        await work
        self.seconds[what] = time.monotonic() - begun
        self.crowd.note(f"{what} took {self.seconds[what]:.1f} s")

    def report(self) -> str:
        ledger, checked, plan = self.crowd.ledger.counts, self.verdict.checked, self.plan
        faults = sorted(self.nemesis.counts.items()) if self.nemesis is not None else []
        deliveries = checked["deliveries"] + checked["deliveries to guests"]
        unexpected = ledger["nobody said it"] + ledger["shown to somebody it was not for"]
        return f"""jepsen: seed {self.seed}
{plan.members} clients ({plan.processes} of them processes, {plan.guests} guests), {checked["groups"]} groups
seconds: {", ".join(f"{what} {took:.0f}" for what, took in self.seconds.items())}
messages: {ledger["said"]:,} said, {ledger["acknowledged"]:,} acknowledged, {deliveries:,} deliveries checked
faults: {", ".join(f"{number} x {what}" for what, number in faults)}
server: {len(self.server.starts)} starts, the longest took {max(self.server.starts):.1f} s
lost = {ledger["lost"]}, unexpected = {unexpected}, shown twice = {ledger["shown twice"]}, \
out of order = {ledger["out of order"]}, wrong in all = {len(self.verdict.wrong)}"""

    def trace(self) -> str:
        """What is wrong, and what happened last."""
        by_kind: dict[str, list[str]] = {}
        for each in self.verdict.wrong:
            by_kind.setdefault(each.split(":")[0], []).append(each)
        told = [
            line for kind, all_ in by_kind.items() for line in (f"{len(all_)} x {kind}", *all_[:EXAMPLES])
        ]
        return "\n".join([*list(self.crowd.trace)[-TOLD:], "", *told])


async def run(
    folder: Path, plan: Plan, *, seconds: float, every: float, seed: int, say: Callable[[str], None]
) -> bool:
    """Do one run; whether nothing was wrong. Told to end, it ends its processes first."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if task is not None:
            loop.add_signal_handler(number, task.cancel)
    whole = Run(folder, plan, seed=seed)
    try:
        verdict = await whole.go(seconds, every=every)
    except BaseException:
        say(whole.trace())
        say(whole.server.log())
        raise
    say(whole.report())
    if verdict.wrong:
        (folder / "trace.txt").write_text("\n".join([*whole.crowd.trace, *verdict.wrong]))
        say(whole.trace())
    return not verdict.wrong


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m tests.faults.jepsen")
    arguments.add_argument("--minutes", type=float, default=20.0)
    arguments.add_argument("--seed", type=int, default=int(time.time()) % 1_000_000)
    arguments.add_argument("--clients", type=int, default=16)
    arguments.add_argument("--pause", type=float, default=1.0, help="seconds between a client's bursts")
    arguments.add_argument("--every", type=float, default=1.5, help="seconds between two faults")
    arguments.add_argument("--keep", type=Path, help="leave everything in this folder")
    said = arguments.parse_args()
    plan = Plan(
        members=said.clients,
        processes=max(2, said.clients // 2),
        guests=min(3, said.clients // 4),
        rooms=max(1, said.clients // 4),
        pause=said.pause,
    )
    bend(Account("", "", "", ""))
    with suppress(KeyboardInterrupt), tempfile.TemporaryDirectory() as made:
        folder = said.keep or Path(made)
        seconds = said.minutes * 60
        fine = asyncio.run(run(folder, plan, seconds=seconds, every=said.every, seed=said.seed, say=print))
        return 0 if fine else 1
    return 1


if __name__ == "__main__":
    sys.exit(main())
