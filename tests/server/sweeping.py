"""Time that passes at a server: rounds of its retention, days later."""

import asyncio
import gc
import time
from dataclasses import replace
from typing import Any

import apsw

from securechat.protocol import messages as m
from securechat.server import config
from securechat.server.app import App
from securechat.server.retention import Place, Retention, Sweeper
from securechat.server.swept import Swept
from tests.server.peer import DAY, Peer

CURSORS = "SELECT (SELECT sum(cursor) FROM member), (SELECT sum(inbox_cursor) FROM client)"


async def sweep(app: App, *, days: float = 0, times: config.Retention | None = None) -> Swept:
    """Let a whole round go by, as if it were so many days from now."""
    retention = Retention(times or config.Retention(), lambda: int(time.time() + days * DAY))
    sweeper = Sweeper(app._writer, retention, counters=app.counters, files=app._attachments.sweep)
    return await sweeper.sweep_now()


def sweep_database(db: apsw.Connection, *, days: float = 0) -> Swept:
    """The same without a server, each step in a transaction."""
    retention = Retention(config.Retention(), lambda: int(time.time() + days * DAY))
    swept = Swept()
    place: Place | None = Place()
    while place is not None:
        db.execute("BEGIN IMMEDIATE")
        gone, place = retention.step(db, place)
        db.execute("COMMIT")
        swept += gone
    return swept


async def rows(app: App, sql: str, *bindings: int | bytes) -> list[Any]:
    return await app._writer.find(lambda db: db.execute(sql, bindings).fetchall())


async def acknowledge(app: App, peer: Peer, group: bytes, sequence: int) -> None:
    """Say what is stored, and wait until the server has written it down."""
    before = await rows(app, CURSORS)
    peer.connection.acknowledge([m.Acknowledged(group, sequence)])
    peer.flush()
    for _ in range(1_000):
        app._riders.leave()
        if await rows(app, CURSORS) != before:
            return
        await asyncio.sleep(0)
    raise AssertionError(f"the cursor does not move to {sequence}")


async def fetched(peer: Peer, group: bytes, start: int) -> list[m.Entry | m.Gap]:
    answer = await peer.ask(m.Fetch(group, start))
    assert isinstance(answer, m.Entries)
    return answer.entries


def without(swept: Swept, *names: str) -> Swept:
    """What went but for some kinds."""
    return replace(swept, **dict.fromkeys(names, 0))


def open_cursors() -> int:
    """Cursors there are, of all tests of this process: one that stays makes the next statement dearer.

    What is garbage goes first: nobody else's is to go between two looks.
    """
    gc.collect()
    return sum(isinstance(each, apsw.Cursor) for each in gc.get_objects())
