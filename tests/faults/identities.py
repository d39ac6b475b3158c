"""A-07: many people on many connections at once, and each acts, reads and is told things as itself.

Connections come, log in (two logins at once, two on one connection, under another's name), speak, read,
acknowledge and go, several at a time; what a message says is who sent it. Held is: the server binds each
connection to whoever logged in there, tells it of that one's groups only, and no message lies in the log
as anybody else's. ``python -m tests.faults.identities --steps 100000 --seed 1`` is the long form.
"""

import argparse
import asyncio
import itertools
import secrets
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any, Final

import apsw
from msgspec import Raw

from securechat.membership.login import Purpose
from securechat.mls.framing import ContentType, PrivateMessage, encode_message
from securechat.mls.nodes import Epoch
from securechat.protocol import messages as m
from securechat.protocol.client_connection import ANSWER_TO
from securechat.protocol.connection import State
from securechat.protocol.errors import LocalProtocolError
from securechat.protocol.frames import encode_frame, encode_value
from securechat.server.app import App
from tests.faults.command import Wrong
from tests.server.peer import Peer, Person, WasRefused, open_room, registered
from tests.server.running import UNLIMITED, running_server

NAMES: Final = ("alice", "bob", "carol", "dave", "eve", "frank")
ACKNOWLEDGE: Final = frozenset({"alice", "carol", "eve"})
LINES: Final = 8
AT_ONCE: Final = 6
CHECKED_EVERY: Final = 500
"""Steps between two looks at the whole database."""

Groups = dict[str, dict[bytes, int]]
"""Of each person, where they are, and each group's epoch."""

_WHOSE: Final = """
SELECT a.user, e.body FROM entry e JOIN client c ON c.id = e.client JOIN account a ON a.id = c.account
WHERE e.kind = 'message'
"""
_CURSORS: Final = """
SELECT c.name, v.group_id, m.cursor FROM member m
JOIN client c ON c.id = m.client JOIN conversation v ON v.id = m.conversation
"""


class Line:
    """One connection after the other at one place; ``owner`` is who has logged in on the present one."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.owner: Person | None = None


class Square:
    """The server, everybody, and what each may be told."""

    def __init__(self, app: App, people: list[Person], groups: Groups, source: Random) -> None:
        self.app = app
        self.people = people
        self.groups = groups
        self.source = source
        self.done: Counter[str] = Counter()
        self.lines: list[Line] = []
        self._epochs = {group: epoch for those in groups.values() for group, epoch in those.items()}
        self._everywhere = sorted(self._epochs)
        self._numbers = itertools.count()
        self._acked: dict[tuple[str, bytes], int] = {}

    async def turn(self) -> int:
        """Let some connections do something at the same time; return how many steps that were."""
        lines = self.source.sample(self.lines, self.source.randint(1, AT_ONCE))
        await asyncio.gather(*(self._step(line, Random(self.source.random())) for line in lines))
        return len(lines)

    async def check(self) -> None:
        """:raises Wrong: somebody was, or spoke as, somebody else"""
        for line in self.lines:
            await self._is_itself(line)
        rows: list[Any] = await self.app._readers.run(lambda db: db.execute(_WHOSE).fetchall())
        for user, body in rows:
            if not body.endswith(f" {user}.".encode()):
                raise Wrong(f"{user} is said to have sent {body[-20:]!r}")
        for client, group, cursor in await self._cursors():
            if cursor > self._acked.get((client, group), 1):
                raise Wrong(f"{client} has acknowledged {self._acked.get((client, group))}, not {cursor}")

    async def _cursors(self) -> list[Any]:
        self.app._riders.leave()

        def read(db: apsw.Connection) -> list[Any]:
            return db.execute(_CURSORS).fetchall()

        return await self.app._writer.find(read)

    async def _step(self, line: Line, source: Random) -> None:
        if line.peer.closed is not None or source.random() < 0.05:
            await line.peer.close()
            line.peer, line.owner = await Peer.connect(self.app.port), None
            self.done["connected"] += 1
        elif line.owner is None:
            how = source.choice([*[self._log_in] * 4, self._log_in_and_speak, self._log_in_twice, self._lie])
            await self._said(line, how(line, source))
        else:
            what = source.choice([self._speak, self._speak, self._fetch, self._acknowledge, self._again])
            await self._said(line, what(line, source))
            await self._is_itself(line)

    async def _said(self, line: Line, work: Awaitable[None]) -> None:
        """Do something on a connection that may end meanwhile: the same device comes elsewhere."""
        try:
            await work
        except (ConnectionError, LocalProtocolError):
            if line.peer.connection.state is not State.CLOSED:
                raise
            line.owner = None
            self.done["ended: by its own device elsewhere, or for what was sent"] += 1

    # Logging in.

    async def _log_in(self, line: Line, source: Random) -> None:
        person = source.choice(self.people)
        self._entered(line, person, await line.peer.answer(self._ask_in(line, person)))

    async def _log_in_twice(self, line: Line, source: Random) -> None:
        """Two people on one connection, neither waits for an answer: it is the first one's, or nobody's."""
        first, second = source.sample(self.people, 2)
        asked = self._ask_in(line, first), self._ask_in(line, second)
        self._entered(line, first, await line.peer.answer(asked[0]))
        try:
            raise Wrong(f"{first.user}'s connection became another's: {await line.peer.answer(asked[1])}")
        except WasRefused as refused:
            self.done[f"second login: {refused.code}"] += 1

    async def _log_in_and_speak(self, line: Line, source: Random) -> None:
        """Speak before the login is answered: it counts as one's own, or not at all."""
        person = source.choice(self.people)
        asked = self._ask_in(line, person)
        said = slip_in(line.peer, self._message(person, source.choice(self._everywhere)), name=1)
        self._entered(line, person, await line.peer.answer(asked))
        try:
            await line.peer.answer(said)
        except WasRefused as refused:
            self.done[f"too early: {refused.code}"] += 1

    async def _lie(self, line: Line, source: Random) -> None:
        """Log in under another's name."""
        person, other = source.sample(self.people, 2)
        client = source.choice([person.client, other.client])
        asked = self._ask_in(line, replace(person, user=other.user, client=client))
        try:
            raise Wrong(f"{person.user} logged in as {await line.peer.answer(asked)}")
        except WasRefused as refused:
            self.done[f"lied: {refused.code}"] += 1

    def _ask_in(self, line: Line, person: Person) -> int:
        nonce = secrets.token_bytes(32)
        signed = line.peer.challenge(person, Purpose.DEVICE, nonce, person.client)
        return slip_in(line.peer, m.LogIn(person.user, person.client, nonce, person.device_key.sign(signed)))

    def _entered(self, line: Line, person: Person, answer: m.Answer) -> None:
        if not isinstance(answer, m.LoggedIn) or (answer.user, answer.client) != (person.user, person.client):
            raise Wrong(f"{person.user} is told {answer}")
        line.owner, line.peer.name = person, answer.high_water
        self.done["logged in"] += 1

    # Acting.

    async def _speak(self, line: Line, source: Random) -> None:
        owner, group = line.owner, source.choice(self._everywhere)
        assert owner is not None
        asked = [line.peer.send(self._message(owner, group)) for _ in range(source.randint(1, 4))]
        for each in asked:
            try:
                await line.peer.answer(each)
            except WasRefused as refused:
                if group in self.groups[owner.user] and refused.code != "conflict":
                    raise Wrong(f"{owner.user} may not speak: {refused}") from None
            else:
                self.done["said"] += 1
                if group not in self.groups[owner.user]:
                    raise Wrong(f"{owner.user} spoke where it is not")

    async def _fetch(self, line: Line, source: Random) -> None:
        owner, group = line.owner, source.choice(self._everywhere)
        assert owner is not None
        try:
            answer = await line.peer.ask(m.Fetch(group, source.randint(2, 9)))
        except WasRefused:
            answer = None
        if (answer is not None) != (group in self.groups[owner.user]):
            raise Wrong(f"{owner.user} asked for {group.hex()[:8]} and was told {answer}")
        self.done["fetched" if answer is not None else "fetched nothing"] += 1

    async def _acknowledge(self, line: Line, source: Random) -> None:
        """Only half of them ever do: that anything moves for the others shows at once."""
        owner, group, place = line.owner, source.choice(self._everywhere), source.randint(1, 9)
        assert owner is not None
        if owner.user not in ACKNOWLEDGE:
            return
        key = (owner.client, group)
        self._acked[key] = max(place, self._acked.get(key, 1))
        line.peer.connection.acknowledge([m.Acknowledged(group, place)])
        line.peer.flush()
        self.done["acknowledged"] += 1

    async def _again(self, line: Line, source: Random) -> None:
        """Log in where somebody is logged in."""
        asked = self._ask_in(line, source.choice(self.people))
        try:
            raise Wrong(f"logged in again: {await line.peer.answer(asked)}")
        except WasRefused as refused:
            self.done[f"second login: {refused.code}"] += 1

    async def _is_itself(self, line: Line) -> None:
        """What the server tells a connection of is what its owner has; each has a group of its own."""
        if line.owner is not None:
            await self._said(line, self._is(line, line.owner))

    async def _is(self, line: Line, owner: Person) -> None:
        answer = await line.peer.ask(m.Sync())
        assert isinstance(answer, m.Synced)
        told = {status.group for status in answer.groups}
        told |= {
            group for push in line.peer.pushes if isinstance(group := getattr(push, "group", None), bytes)
        }
        if not told <= self.groups[owner.user].keys() or len(answer.groups) != len(self.groups[owner.user]):
            raise Wrong(f"{owner.user} is told of {sorted(group.hex()[:8] for group in told)}")
        line.peer.pushes.clear()

    def _message(self, author: Person, group: bytes) -> m.SendMessage:
        said, epoch = f"{next(self._numbers)} {author.user}.".encode(), self._epochs[group]
        sealed = encode_message(PrivateMessage(group, Epoch(epoch), ContentType.APPLICATION, b"", b"", said))
        return m.SendMessage(group, epoch, sealed)


def slip_in(peer: Peer, body: m.RequestBody, name: int = 0) -> int:
    """Send a request, also where no honest client would; return its id."""
    connection = peer.connection
    connection._last_id += 1
    connection._in_flight += 1
    connection._expected[connection._last_id] = ANSWER_TO[type(body)]
    connection._outgoing.append(encode_frame(m.Request(connection._last_id, Raw(encode_value(body)), name)))
    peer.flush()
    return connection._last_id


async def meet(folder: Path, *, steps: int, seed: int, note: Callable[[str], None] = print) -> Counter[str]:
    """Do so many steps.

    :raises Wrong: somebody was taken for somebody else
    """
    async with AsyncExitStack() as stack:
        app = await stack.enter_async_context(running_server(folder, rates=UNLIMITED))
        async with registered(app, *NAMES) as people:
            groups = await _rooms(people)
        square = Square(app, [person for person, _ in people], groups, Random(seed))
        square.lines = [Line(await Peer.connect(app.port)) for _ in range(LINES)]
        try:
            done, following = 0, CHECKED_EVERY
            while done < steps:
                done += await square.turn()
                if done >= following:
                    await square.check()
                    note(f"{done:,} steps")
                    following += CHECKED_EVERY
            await square.check()
        finally:
            for line in square.lines:
                await line.peer.close()
    return square.done


async def _rooms(people: list[tuple[Person, Peer]]) -> Groups:
    """A room of each two, one of each alone."""
    groups: Groups = {person.user: {} for person, _ in people}
    for some in [*itertools.combinations(people, 2), *([one] for one in people)]:
        (group, *_) = await open_room(*some)
        for person, _ in some:
            groups[person.user][group.group_id] = group.epoch
    return groups


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=secrets.randbits(32))
    asked = parser.parse_args()
    print(f"seed {asked.seed}")
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = asyncio.run(meet(Path(folder), steps=asked.steps, seed=asked.seed))
        except Wrong as wrong:
            print(f"WRONG: {wrong}")
            return 1
    for what, count in sorted(done.items()):
        print(f"{count:>9}  {what}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
