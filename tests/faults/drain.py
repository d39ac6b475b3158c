"""SIGTERM while many clients talk: drained within ten seconds, nothing acknowledged is lost (N-04).

    python -m tests.faults.drain --count 1000

Half of the clients are in the middle of sending when the signal comes.
"""

import argparse
import asyncio
import os
import signal
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from securechat.protocol import messages as m
from securechat.protocol.client_connection import Responded
from tests.server.command import Command, running_command
from tests.server.peer import Peer, Person, open_room

DRAIN = 10.0
AT_ONCE = 20
"""Registrations; each is a hash."""

RATES = """
[rates]
registrations_by_address = { burst = 100000, per_second = 100000 }
registrations = { burst = 100000, per_second = 100000 }
before_login = { burst = 100000, per_second = 100000 }
messages = { burst = 100000, per_second = 100000 }
[connections]
before_login_per_address = 10000
"""


@dataclass(frozen=True, slots=True)
class Drained:
    clients: int
    said_goodbye: int
    seconds: float
    acknowledged: int
    lost: int
    code: int


async def drain(folder: Path, count: int) -> Drained:
    """Run it once, with its own server in a process of its own."""
    async with running_command(folder, config=RATES) as command:
        people = await _everybody(command, count)
        group, *_ = await open_room(people[0], people[1])
        (sender, line), *_ = people
        for _ in range(200):
            line.send(m.SendMessage(group.group_id, 1, group.encrypt(b"x")))
        await line.until(lambda: len(line._answers) > 20)
        began = time.monotonic()
        os.kill(command.pid, signal.SIGTERM)
        await asyncio.gather(*(_end(peer) for _, peer in people))
        code, _ = await command.ends()
        seconds = time.monotonic() - began
    goodbyes = [peer.closed is not None and peer.closed.code == "stopping" for _, peer in people]
    answers = [event.answer for event in line._answers.values() if isinstance(event, Responded)]
    promised = {answer.sequence for answer in answers if isinstance(answer, m.Appended)}
    kept = await _kept(folder, sender, group.group_id)
    for _, peer in people:
        await peer.close()
    return Drained(count, sum(goodbyes), seconds, len(promised), len(promised - kept), code)


async def _everybody(command: Command, count: int) -> list[tuple[Person, Peer]]:
    turns = asyncio.Semaphore(AT_ONCE)

    async def come(number: int) -> tuple[Person, Peer]:
        async with turns:
            person, peer = Person(f"user{number}", command.domain), await Peer.connect(command.port)
            await peer.register(person)
            return person, peer

    return list(await asyncio.gather(*(come(number) for number in range(count))))


async def _end(peer: Peer) -> None:
    async with peer._changed:
        await peer._changed.wait_for(lambda: peer.closed is not None)


async def _kept(folder: Path, person: Person, group: bytes) -> set[int]:
    """What a server that starts again has of the log."""
    async with running_command(folder) as command:
        peer = await Peer.connect(command.port)
        await peer.log_in(person)
        kept: set[int] = set()
        while True:
            fetched = await peer.ask(m.Fetch(group, max(kept, default=1) + 1))
            assert isinstance(fetched, m.Entries)
            if not fetched.entries:
                break
            kept |= {entry.sequence for entry in fetched.entries if isinstance(entry, m.Entry)}
        await peer.close()
        return kept


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--count", type=int, default=1000)
    count = arguments.parse_args().count
    with tempfile.TemporaryDirectory() as folder:
        result = asyncio.run(drain(Path(folder), count))
    print(result)
    well = result.seconds <= DRAIN and result.lost == 0 and result.said_goodbye == count and result.code == 0
    raise SystemExit(0 if well else 1)


if __name__ == "__main__":
    main()
