"""What goes wrong in a run, and when: drawn from a seed, one table of faults.

Each fault begins something and ends it; several go on at a time. A member or the server is in the
hands of one fault at a time, so that none ends what another began.
"""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from tests.faults.clocks import JUMPS
from tests.faults.crowd import Crowd, Seat
from tests.faults.hosts import MemberProcess
from tests.faults.orders import Change, Done, Order, Renew, Rival, Verb
from tests.faults.proxy import Door, Way

AT_ONCE: Final = 6
"""Faults that go on at a time."""

Fault = Callable[["Nemesis"], Awaitable[None]]


class Nemesis:
    """Does one thing after the other, until cancelled; then `heal` ends what was left."""

    def __init__(self, crowd: Crowd, *, seed: int, every: float = 2.0, longest: float = 70.0) -> None:
        """Prepare a schedule.

        :param every: seconds between the beginnings of two faults, on average
        :param longest: seconds a fault lasts at most
        """
        self.crowd = crowd
        self.random = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.every = every
        self.longest = longest
        self._server = asyncio.Lock()

    async def run(self) -> None:
        """Let go of faults, drawn from the table by their weights."""
        names = [name for name, (weight, _) in FAULTS.items() for _ in range(weight)]
        going: set[asyncio.Task[None]] = set()
        try:
            while True:
                await asyncio.sleep(self.random.expovariate(1 / self.every))
                name = self.random.choice(names)
                for done in [task for task in going if task.done()]:
                    going.discard(done)
                    done.result()
                if len(going) < AT_ONCE:
                    going.add(asyncio.create_task(self._one(name)))
        finally:
            for task in going:
                task.cancel()
            ends = await asyncio.gather(*going, return_exceptions=True)
            self.crowd.wrong += [f"the harness: {end!r}" for end in ends if isinstance(end, Exception)]

    async def _one(self, name: str) -> None:
        self.crowd.note(f"begins: {name}")
        try:
            await FAULTS[name][1](self)
        finally:
            self.crowd.note(f"ended: {name}")

    def lasts(self, longest: float) -> float:
        """Draw how long something lasts: mostly short."""
        return min(self.longest, longest) * self.random.random() ** 2

    @asynccontextmanager
    async def some(
        self, what: str, most: float = 0.5, *, only: Callable[[Seat], bool] = lambda _: True
    ) -> AsyncIterator[list[Seat]]:
        """Take hold of some members that nobody else has."""
        free = [seat for seat in self.crowd.seats.values() if not seat.taken and seat.up and only(seat)]
        wanted = max(1, round(self.random.random() * most * len(free)))
        seats = self.random.sample(free, min(wanted, len(free)))
        self.counts[what] += len(seats)
        self.crowd.note(f"{what}: {' '.join(seat.user for seat in seats)}")
        async with contextlib.AsyncExitStack() as stack:
            for seat in seats:
                await stack.enter_async_context(seat.held())
            yield seats

    # --- lines -----------------------------------------------------------------------------------

    async def partition(self) -> None:
        """A cable is pulled, and put back: what was under way comes later."""
        async with self.some("partitioned") as seats:
            for seat in seats:
                seat.proxy.set(stalled=True)
                await seat.proxy.swing(Door.REFUSE)
            await asyncio.sleep(self.lasts(30))
            await self._mend(seats)

    async def half_open(self) -> None:
        """The network forgets a connection; neither side is told (Q-04)."""
        async with self.some("half-open", 0.3) as seats:
            for seat in seats:
                seat.proxy.set(swallow=True)
            await asyncio.sleep(self.lasts(70))
            await self._mend(seats)

    async def one_way(self) -> None:
        """Only one direction is dead."""
        async with self.some("dead one way", 0.3) as seats:
            for seat in seats:
                seat.proxy.set(self.random.choice(list(Way)), swallow=True)
            await asyncio.sleep(self.lasts(20))
            await self._mend(seats)

    async def slow(self) -> None:
        async with self.some("slow") as seats:
            for seat in seats:
                seat.proxy.set(
                    latency=self.random.uniform(0.02, 1.0),
                    jitter=self.random.uniform(0.0, 0.5),
                    bandwidth=self.random.choice([0, 20_000, 200_000]),
                    slow_close=self.random.choice([0.0, 5.0]),
                )
            await asyncio.sleep(self.lasts(30))
            await self._mend(seats)

    async def sliced(self) -> None:
        async with self.some("sliced", 0.2) as seats:
            for seat in seats:
                seat.proxy.set(slice=self.random.choice([3, 100, 1400]), slice_pause=0.001)
            await asyncio.sleep(self.lasts(15))
            await self._mend(seats)

    async def torn(self) -> None:
        """Each connection ends after so many bytes, again and again."""
        async with self.some("torn", 0.3) as seats:
            for seat in seats:
                limit = int(10 ** self.random.uniform(3.3, 5.3))
                seat.proxy.set(self.random.choice(list(Way)), cut_after=limit)
            await asyncio.sleep(self.lasts(20))
            await self._mend(seats)

    async def dropped(self) -> None:
        """What listens takes connections and drops them."""
        async with self.some("dropped at the door") as seats:
            for seat in seats:
                await seat.proxy.swing(Door.DROP)
                seat.proxy.cut()
            await asyncio.sleep(self.lasts(10))
            await self._mend(seats)

    async def cut(self) -> None:
        reset = self.random.random() < 0.7
        async with self.some("reset" if reset else "cut", 1.0) as seats:
            for seat in seats:
                seat.proxy.cut(reset=reset)

    async def storm(self) -> None:
        """Everybody loses the line, many times."""
        for _ in range(self.random.randint(3, 15)):
            self.counts["reconnect storms' cuts"] += sum(
                seat.proxy.cut(reset=True) for seat in self.crowd.seats.values()
            )
            await asyncio.sleep(self.random.uniform(0.05, 1.0))

    async def _mend(self, seats: list[Seat]) -> None:
        for seat in seats:
            seat.proxy.heal()
            await seat.proxy.swing(Door.OPEN)

    # --- the server ------------------------------------------------------------------------------

    async def server_killed(self) -> None:
        async with self._server:
            self.counts["server killed"] += 1
            await self.crowd.server.kill()
            await asyncio.sleep(self.lasts(5))
            await self.crowd.server.start()

    async def server_restarted(self) -> None:
        async with self._server:
            self.counts["server restarted"] += 1
            await self.crowd.server.end()
            await asyncio.sleep(self.lasts(3))
            await self.crowd.server.start()

    async def server_stopped(self) -> None:
        async with self._server:
            self.counts["server stopped for a while"] += 1
            self.crowd.server.stop()
            await asyncio.sleep(self.lasts(10))
            self.crowd.server.go_on()

    async def server_clock(self) -> None:
        async with self._server:
            jump = self.random.choice(list(JUMPS))
            self.counts["server's clock set"] += 1
            self.crowd.note(f"the server's clock: {jump}")
            self.crowd.server.clock.offset = JUMPS[jump]
            await asyncio.sleep(self.lasts(20))
            self.crowd.server.clock.offset = 0.0

    # --- members ---------------------------------------------------------------------------------

    async def member_clocks(self) -> None:
        async with self.some("clock set", 0.2) as seats:
            for seat in seats:
                seat.clock.offset = JUMPS[self.random.choice(list(JUMPS))]
            await asyncio.sleep(self.lasts(30))
            for seat in seats:
                seat.clock.offset = 0.0

    async def member_killed(self) -> None:
        async with self.some("client killed", 0.3, only=lambda seat: seat.apart) as seats:
            for seat in seats:
                seat.up = False
                assert isinstance(seat.host, MemberProcess)
                await seat.host.kill()
            await asyncio.sleep(self.lasts(5))
            for seat in seats:
                await seat.open()

    async def member_stopped(self) -> None:
        """SIGSTOP: the machine sleeps with its connection open (Q-04)."""
        async with self.some("client stopped for a while", 0.3, only=lambda seat: seat.apart) as seats:
            for seat in seats:
                assert isinstance(seat.host, MemberProcess)
                seat.host.stop()
            await asyncio.sleep(self.lasts(80))
            for seat in seats:
                assert isinstance(seat.host, MemberProcess)
                seat.host.go_on()

    async def member_restarted(self) -> None:
        async with self.some("client restarted", 0.2) as seats:
            for seat in seats:
                await seat.close()
            await asyncio.sleep(self.lasts(10))
            for seat in seats:
                await seat.open()

    async def rivals(self) -> None:
        """Two connections of one device: the older ends for good, and is opened anew (Q-03)."""
        async with self.some("connected twice", 0.1) as seats:
            for seat in seats:
                with contextlib.suppress(TimeoutError):
                    await seat.ask(Rival())
                await seat.close()
                await seat.open()

    async def renewals(self) -> None:
        """Commits that race, with the messages and with each other."""
        for seat in self.crowd.seats.values():
            if seat.up and seat.places and self.random.random() < 0.4:
                self.counts["leaf renewed"] += 1
                await seat.host.obey(Renew(self.random.choice(seat.places)))

    async def guests(self) -> None:
        """Somebody comes, goes, or is made to go."""
        rooms = [room for room, those in self.crowd.guests.items() if those]
        if not rooms:
            return
        room = self.random.choice(rooms)
        guest = self.random.choice(sorted(self.crowd.guests[room]))
        owner = self.crowd.seats[self.crowd.members[room][0]]
        going: dict[str, tuple[Seat, Order]] = {
            "invited": (owner, Change(Verb.INVITE, room, guest)),
            "removed": (owner, Change(Verb.REMOVE, room, guest)),
        }
        going["left"] = (self.crowd.seats[guest], Change(Verb.LEAVE, room))
        what = self.random.choice(["invited", "invited", "removed", "left"])
        seat, order = going[what]
        if not seat.up:
            return
        with contextlib.suppress(TimeoutError):
            answer = await seat.ask(order)
            done = isinstance(answer, Done) and not answer.error
            self.counts[f"guest {what}"] += done
            self.crowd.note(f"{guest} {what} in {room}: {answer}")

    # --- the end ---------------------------------------------------------------------------------

    async def heal(self) -> None:
        """Put everything right; connections that were left half-open are cut, as a home router would."""
        self.crowd.note("heals")
        server = self.crowd.server
        server.clock.offset = 0.0
        server.go_on()
        if not server.running:
            await server.start()
        for seat in self.crowd.seats.values():
            seat.clock.offset = 0.0
            if isinstance(seat.host, MemberProcess):
                seat.host.go_on()
            await self._mend([seat])
            seat.proxy.cut(reset=True)
            if seat.ended.is_set() and seat.up:
                await seat.close()
            if isinstance(seat.host, MemberProcess) and not seat.host.running:
                seat.up = False
            if not seat.up:
                await seat.open()


FAULTS: Final[dict[str, tuple[int, Fault]]] = {
    "partition": (4, Nemesis.partition),
    "half-open": (3, Nemesis.half_open),
    "dead one way": (2, Nemesis.one_way),
    "slow": (3, Nemesis.slow),
    "sliced": (1, Nemesis.sliced),
    "torn": (3, Nemesis.torn),
    "dropped": (2, Nemesis.dropped),
    "cut": (4, Nemesis.cut),
    "storm": (1, Nemesis.storm),
    "server killed": (4, Nemesis.server_killed),
    "server restarted": (1, Nemesis.server_restarted),
    "server stopped": (2, Nemesis.server_stopped),
    "server's clock": (2, Nemesis.server_clock),
    "members' clocks": (2, Nemesis.member_clocks),
    "member killed": (4, Nemesis.member_killed),
    "member stopped": (3, Nemesis.member_stopped),
    "member restarted": (2, Nemesis.member_restarted),
    "rivals": (2, Nemesis.rivals),
    "renewals": (5, Nemesis.renewals),
    "guests": (10, Nemesis.guests),
}
"""What can happen: how often, relative to the others, and how."""
