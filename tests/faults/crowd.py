"""Many members who talk: who they are, what they say, and what the ledger is told of it."""

import asyncio
import contextlib
import random
import time
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final

import apsw
import msgspec

from securechat.client.errors import ClientError
from tests.faults.clocks import Clock, SharedClock
from tests.faults.hosts import ClockedServer, MemberProcess, proxy_to
from tests.faults.ledger import Ledger
from tests.faults.member import ENDED, MARK, SECONDS, Member
from tests.faults.orders import (
    Account,
    Acked,
    Change,
    Done,
    In,
    Order,
    Recount,
    Refused,
    Report,
    Say,
    Settle,
    Shown,
    Story,
    Told,
    Up,
    Verb,
)
from tests.faults.proxy import Proxy

MAX_UNACKED: Final = 300
"""Messages of one member that may wait: then it listens only."""

SIZES: Final = (0, 0, 0, 0, 40, 40, 300, 300, 1000, 1000, 4000, 16_000, 50_000)
"""Bytes of text, drawn evenly: a bucket of padding each, and the largest that fits."""

BURSTS: Final = (1, 1, 1, 2, 3, 5, 12, 40)
"""Messages that are said at once."""

LEAST_LOOKS: Final = 3
"""Whether everybody has everything is looked at so often, however long a look takes."""

LARGE_BURST: Final = 3
"""More than so many at once, and they are small."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How large a run is."""

    members: int
    processes: int
    guests: int
    rooms: int
    silence: float = 60.0
    pause: float = 1.0
    """Seconds between what one member says, on average."""
    quiet: float = 240.0
    """Seconds until everything must have come to rest after healing."""


class Seat:
    """A member's place in the run: its line, its clock, and what it was heard to say."""

    def __init__(self, crowd: "Crowd", user: str, proxy: Proxy, account: Account, *, apart: bool) -> None:
        self.crowd = crowd
        self.user = user
        self.proxy = proxy
        self.apart = apart
        """In a process of its own."""
        self.clock: Clock | SharedClock
        self.host: Member | MemberProcess
        if apart:
            self.clock = SharedClock(Path(account.home).parent / f"{user}.clock")
            self.host = MemberProcess(account, self.hear, self.clock)
        else:
            self.clock = Clock()
            self.host = Member(account, self.hear, self.clock)
        self.up = False
        self.taken = False
        """Somebody does something to it; one at a time."""
        self.places: list[str] = []
        self.unacked: set[tuple[str, str]] = set()
        self.told: Counter[int] = Counter()
        self.ended = asyncio.Event()
        """Its session has ended for good: it wants to be opened anew."""
        self._numbers = count(1)
        self._answers: dict[int, asyncio.Future[Report]] = {}

    def hear(self, report: Report) -> None:
        match report:
            case Up():
                self.unacked.clear()
            case Acked(line):
                self.crowd.ledger.acknowledged(line.place, self.user, line.name)
                self.unacked.discard((line.place, line.name))
                self.crowd.counts["acknowledged"] += 1
            case Shown(line):
                self.told[line.local_id] += 1
                self.crowd.counts["shown"] += 1
            case Refused(place, name, why):
                self._refused(place, name, why)
            case In(place):
                self._entered(place)
            case Told(what, text):
                self.crowd.note(f"{self.user}: {what}: {text}")
                if what == ENDED:
                    self.ended.set()
            case Done(number) | Story(number):
                answer = self._answers.pop(number, None)
                if answer is not None and not answer.done():
                    answer.set_result(report)

    def _entered(self, place: str) -> None:
        if place.startswith("#") and place not in self.places:
            self.places.append(place)
        self.crowd.stir()

    def _refused(self, place: str, name: str, why: str) -> None:
        self.unacked.discard((place, name))
        self.crowd.note(f"{self.user}: refused {name} in {place}: {why}")
        if self.user not in self.crowd.guests.get(place, ()):
            self.crowd.wrong.append(f"refused: {name!r} of {self.user} in {place}: {why}")

    async def ask(self, order: Order) -> Report:
        """Order something (under a number of ours) and wait for its end.

        :raises TimeoutError: nothing came; a member that dies meanwhile never answers
        """
        number = next(self._numbers)
        answer: asyncio.Future[Report] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        await self.host.obey(msgspec.structs.replace(order, number=number))
        async with asyncio.timeout(SECONDS + 20):
            return await answer

    async def must(self, order: Order) -> None:
        answer = await self.ask(order)
        if isinstance(answer, Done) and answer.error:
            raise RuntimeError(f"{self.user}: {order}: {answer.error}")

    async def open(self) -> None:
        self.ended.clear()
        await self.host.open()
        self.up = True

    async def close(self) -> None:
        self.up = False
        await self.host.close()

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Have it for oneself."""
        assert not self.taken
        self.taken = True
        try:
            yield
        finally:
            self.taken = False


class Crowd:
    """The server, the seats and their rooms."""

    def __init__(self, folder: Path, server: ClockedServer, plan: Plan, *, seed: int) -> None:
        self.folder = folder
        self.server = server
        self.plan = plan
        self.seed = seed
        self.ledger = Ledger()
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        self.trace: deque[str] = deque(maxlen=4000)
        self.seats: dict[str, Seat] = {}
        self.members: dict[str, tuple[str, ...]] = {}
        """Of each room, who stays."""
        self.guests: dict[str, frozenset[str]] = {}
        """Of each room, who comes and goes."""
        self.stays: dict[tuple[bytes, str], dict[int, int | None]] = {}
        self._begun = time.monotonic()
        self._random = random.Random(seed)
        self._news = asyncio.Event()

    def note(self, what: str) -> None:
        self.trace.append(f"{time.monotonic() - self._begun:9.3f} {what}")

    def stir(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    @property
    def hosts(self) -> list[Seat]:
        """Those who are in all their rooms from beginning to end."""
        return [seat for seat in self.seats.values() if not self._is_guest(seat.user)]

    def _is_guest(self, user: str) -> bool:
        return any(user in those for those in self.guests.values())

    # --- the beginning ---------------------------------------------------------------------------

    async def gather(self) -> None:
        """Make everybody's account and all rooms, on healthy lines."""
        names = [f"m{number:02}" for number in range(self.plan.members)]
        for number, user in enumerate(names):
            await self._seat(user, apart=number < self.plan.processes, number=number)
        guests = frozenset(names[len(names) - self.plan.guests :])
        hosts = [user for user in names if user not in guests]
        self._room("#all", tuple(hosts), guests)
        for number in range(self.plan.rooms):
            size = self._random.randint(3, max(3, len(hosts) // 2))
            some = tuple(self._random.sample(hosts, min(size, len(hosts))))
            self._room(f"#r{number}", some, guests if number == 0 else frozenset())
        await asyncio.gather(*(self._make(room) for room in self.members))

    async def _seat(self, user: str, *, apart: bool, number: int) -> None:
        proxy = proxy_to(self.server, self.seed * 100 + number)
        await proxy.start()
        account = Account(
            str(self.folder / f"home-{user}"),
            user,
            f"{user} has a long enough password",
            f"127.0.0.1:{proxy.port}",
            silence=self.plan.silence,
            carried_above=1000 if number % 2 else 65536,
        )
        self.seats[user] = Seat(self, user, proxy, account, apart=apart)
        await self.seats[user].open()

    def _room(self, room: str, members: tuple[str, ...], guests: frozenset[str]) -> None:
        self.members[room] = members
        self.guests[room] = guests

    async def _make(self, room: str) -> None:
        first, *others = self.members[room]
        await self.seats[first].must(Change(Verb.MAKE, room))
        self.seats[first].places.append(room)
        for user in others:
            await self.seats[first].must(Change(Verb.INVITE, room, user))
        async with asyncio.timeout(SECONDS):
            while any(room not in self.seats[user].places for user in others):
                await self._news.wait()

    # --- the talk --------------------------------------------------------------------------------

    async def talk(self) -> None:
        """Let everybody talk, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for number, seat in enumerate(self.seats.values()):
                group.create_task(self._speak(seat, random.Random(self.seed * 1000 + number)))

    async def _speak(self, seat: Seat, source: random.Random) -> None:
        others = [user for user in self.seats if user != seat.user]
        friends = source.sample(others, min(3, len(others)))
        while True:
            await asyncio.sleep(source.expovariate(1 / self.plan.pause))
            burst, where = source.choice(BURSTS), source.random()
            to = source.choice(seat.places) if seat.places and where < 0.7 else f"@{source.choice(friends)}"
            for _ in range(burst):
                if seat.up and len(seat.unacked) < MAX_UNACKED:
                    size = source.choice(SIZES if burst <= LARGE_BURST else SIZES[:10])
                    await self.say(seat, to, size)

    async def say(self, seat: Seat, to: str, size: int = 0) -> None:
        """Have a member say something, and write down who must be shown it."""
        if to.startswith("#"):
            place, recipients = to, [user for user in self.members[to] if user != seat.user]
        else:
            place, recipients = "+".join(sorted((seat.user, to[1:]))), [to[1:]]
        name = self.ledger.says(place, seat.user, recipients)
        seat.unacked.add((place, name))
        self.counts["said"] += 1
        await seat.host.obey(Say(to, f"{name}{MARK}{'.' * size}"))

    # --- the end ---------------------------------------------------------------------------------

    async def quiet(self) -> bool:
        """Wait until everybody has everything; whether that came about in time."""
        deadline = time.monotonic() + self.plan.quiet
        for look in count():
            if look >= LEAST_LOOKS and time.monotonic() >= deadline:
                break
            settled = await asyncio.gather(*(self._settle(seat) for seat in self.seats.values()))
            if all(settled) and not await self.behind():
                return True
            self.note(f"not quiet: settled {settled.count(True)} of {len(settled)}")
            await asyncio.sleep(0.2)
        self.wrong += [f"not quiet: {what}" for what in await self.behind()]
        return False

    async def _settle(self, seat: Seat) -> bool:
        if seat.ended.is_set():
            await seat.close()
            await seat.open()
        try:
            answer = await seat.ask(Settle())
        except TimeoutError:
            return False
        if isinstance(answer, Done) and answer.error:
            self.note(f"{seat.user}: not settled: {answer.error}")
            return False
        return True

    async def behind(self) -> list[str]:
        """Who has not read what the server has."""
        self.look_at_stays()
        heads = {row[0]: int(row[1]) for row in self._rows("SELECT group_id, head FROM conversation")}
        found = []
        for user, story in (await self.stories(lines=False)).items():
            for place in story.places:
                were = self.stays.get((place.group, user), {})
                if not were:
                    continue
                end = were[max(were)]
                due = heads.get(place.group, 0) if end is None else end
                if place.cursor < due:
                    found.append(f"{user} is at {place.cursor} of {due} in {place.name} ({place.state})")
        return found

    async def stories(self, *, lines: bool) -> dict[str, Story]:
        answers = [(seat.user, await seat.ask(Recount(lines))) for seat in self.seats.values()]
        return {user: answer for user, answer in answers if isinstance(answer, Story)}

    def look_at_stays(self) -> None:
        """Note who was where from when to when, as the server's own table has it; rows may go later."""
        rows = self._rows(
            'SELECT v.group_id, a.user, m.start, m."end" FROM member m JOIN conversation v'
            " ON v.id = m.conversation JOIN client c ON c.id = m.client JOIN account a ON a.id = c.account"
        )
        for group, user, start, end in rows:
            self.stays.setdefault((group, user), {})[start] = end

    def _rows(self, query: str) -> list[tuple[Any, ...]]:
        database = apsw.Connection(str(self.server.database), flags=apsw.SQLITE_OPEN_READONLY)
        try:
            database.set_busy_timeout(10_000)
            return database.execute(query).fetchall()
        finally:
            database.close()

    async def close(self) -> None:
        for seat in self.seats.values():
            with contextlib.suppress(ClientError, TimeoutError):
                await seat.close()
            await seat.proxy.close()
            if isinstance(seat.clock, SharedClock):
                seat.clock.close()
