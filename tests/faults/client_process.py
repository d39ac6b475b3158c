"""python -m tests.faults.client_process: clients that are killed, each a fork of this process (C-02).

Everything is imported once; a client then costs a fork. One line of JSON on stdin is one life (`Life`),
its answer on stdout is how it ended. A life writes what it did to a
file as it does it, and may end itself with SIGKILL at a point that was counted out.
"""

import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from asyncio import events
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import apsw
from msgspec import Struct
from msgspec import json as msgjson

from securechat.client.client import Client
from securechat.client.config import Home, ServerAddress
from securechat.client.errors import UnknownConversation
from securechat.client.events import Standing
from securechat.client.store import ClientStore
from securechat.client.trust import Trust
from tests.faults.kills_server import hurried_clients
from tests.faults.power_client import ROWS, cheap_passwords, renew

PATIENCE: Final = 60
HANGS: Final = 2.0 * PATIENCE


class Job(Struct, frozen=True):
    """One thing to do; done again after a kill it does what is still to be done."""

    verb: str
    """``say``, ``renew``, ``room`` (make one and invite somebody) or ``join``."""
    name: str
    text: str = ""


class Life(Struct, frozen=True, kw_only=True):
    """What a client does until it is killed, or done."""

    home: str
    server: str
    user: str
    password: str
    out: str
    jobs: tuple[Job, ...]
    point: str = ""
    """Where it ends itself: ``resumed`` (an await goes on), ``begin``, ``commit`` or ``committed``."""
    number: int = 0
    """At the how-manieth time."""
    alarm: float = HANGS
    """Seconds after which the kernel ends it, whatever it does."""
    since: int = 0
    """Messages after this one are written down at the end."""


class Countdown:
    """Counts the points a life passes; at the chosen one the process is gone."""

    def __init__(self, life: Life) -> None:
        self._life = life
        self.passed = {"resumed": 0, "begin": 0, "commit": 0, "committed": 0}

    def at(self, point: str) -> None:
        self.passed[point] += 1
        if point == self._life.point and self.passed[point] == self._life.number:
            os.kill(os.getpid(), signal.SIGKILL)


def live(life: Life) -> None:
    """Be a client until the end."""
    signal.setitimer(signal.ITIMER_REAL, life.alarm)  # nobody handles SIGALRM: it kills
    countdown = Countdown(life)
    _count_points(countdown)
    with Path(life.out).open("a", encoding="utf-8", buffering=1) as out:

        def tell(*words: object) -> None:
            out.write(json.dumps(words) + "\n")

        asyncio.run(_live(life, tell, countdown))


async def _live(life: Life, tell: Callable[..., None], countdown: Countdown) -> None:
    client = await Client.open(
        Home(Path(life.home)),
        life.user,
        life.password,
        trust=Trust(accept_new=True),
        server=ServerAddress.parse(life.server),
    )
    async with client, asyncio.timeout(PATIENCE):
        for job in life.jobs:
            await _do(client, job)
            tell("done", job.name, job.text)
        while not await client.drained(PATIENCE):
            pass
        await client.caught_up()
        tell("epoch", client.fingerprint("#team").epoch_code)
        for row in client._engine.store.rows(ROWS, (life.since,)):
            tell("message", *row)
    tell("passed", countdown.passed)


async def _do(client: Client, job: Job) -> None:
    match job.verb:
        case "say":
            await client.send(job.name, job.text, key=f"{job.name} {job.text}")
        case "renew":
            renew(client, job.name)
        case "join":
            await client.caught_up()
            if client.conversation(job.name).state is Standing.INVITED:
                await client.join(job.name)
        case "room":
            await _room(client, job.name, job.text)
        case _:
            raise AssertionError(job)


async def _room(client: Client, name: str, user: str) -> None:
    """Make a room and bring somebody in; what a killed life has done of it is not done again."""
    try:
        room = client.conversation(name)
    except UnknownConversation:
        room = await client.create_room(name)
    while room.state is Standing.OPENING:
        await client.changed()
        room = client.conversation(name)
    if user not in [member.user for member in room.members]:
        await client.invite(name, user)


def _count_points(countdown: Countdown) -> None:
    """Count each time the loop goes on with something, and the three points of each transaction."""
    go_on, honest = events.Handle._run, ClientStore.transaction

    def resumed(handle: asyncio.Handle) -> None:
        countdown.at("resumed")
        go_on(handle)

    @contextmanager
    def transaction(store: ClientStore) -> Iterator[apsw.Connection]:
        countdown.at("begin")
        with honest(store) as db:
            yield db
            countdown.at("commit")
        countdown.at("committed")

    setattr(events.Handle, "_run", resumed)  # noqa: B010 - for the life of this process
    setattr(ClientStore, "transaction", transaction)  # noqa: B010


def serve() -> None:
    """Fork a client for each line, one at a time: there is no thread yet, so a fork is safe."""
    for line in sys.stdin:
        life = msgjson.decode(line, type=Life)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                live(life)
                status = 0
            except BaseException as error:  # noqa: BLE001 - the root of a process
                with contextlib.suppress(OSError), Path(life.out).open("a", encoding="utf-8") as out:
                    out.write(json.dumps(["failed", f"{type(error).__name__}: {error}"]) + "\n")
            finally:
                os._exit(status)
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    logging.disable(logging.CRITICAL)
    with cheap_passwords(), hurried_clients():
        serve()
