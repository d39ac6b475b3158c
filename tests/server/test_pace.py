"""What a request costs is asked of who made it, before and after (O-05, O-07)."""

import time
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest

from securechat.protocol import messages as m
from securechat.protocol.client_connection import ANSWER_TO
from securechat.server.config import Rate
from securechat.server.pace import BYTES_PER_TOKEN, READ_SECONDS
from securechat.server.values import Caller
from tests.server.peer import WasRefused, registered
from tests.server.running import running_server


class Stuffed(msgspec.Struct, tag="ping"):
    """A Ping with something in it that nobody asked for."""

    stuffing: list[None]


async def test_o_05_a_request_that_reads_costs_by_its_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of 256 KiB that is full of nothing is two milliseconds of the loop's thread."""
    monkeypatch.setitem(ANSWER_TO, Stuffed, m.Done)  # type: ignore[misc]
    rates = {"reading": Rate(8, 1e-6)}
    stuffed: Any = Stuffed([None] * (8 * BYTES_PER_TOKEN))
    async with running_server(tmp_path, rates=rates) as app, registered(app, "alice") as [(_, alice)]:
        await alice.ask(m.Ping())
        with pytest.raises(WasRefused, match="limited"):
            await alice.ask(stuffed)
        for _ in range(7):
            await alice.ask(m.Ping())


def slow(_db: apsw.Connection, _caller: Caller, _body: m.CountKeyPackages) -> m.KeyPackageCount:
    end = time.thread_time() + 10 * READ_SECONDS
    while time.thread_time() < end:
        pass
    return m.KeyPackageCount(0, last_resort=False)


async def test_o_07_a_read_that_takes_long_costs_its_account_what_it_took(tmp_path: Path) -> None:
    rates = {"reading": Rate(8, 1e-6)}
    async with running_server(tmp_path, rates=rates) as app, registered(app, "alice", "bob") as people:
        (_, alice), (_, bob) = people
        app._desk.services.reading[m.CountKeyPackages] = slow
        await alice.ask(m.CountKeyPackages())
        with pytest.raises(WasRefused, match="limited"):
            await alice.ask(m.Ping())
        assert await bob.ask(m.Ping()) == m.Done()


async def test_o_07_a_read_that_fails_costs_what_it_took_too(tmp_path: Path) -> None:
    def fails(db: apsw.Connection, caller: Caller, body: m.CountKeyPackages) -> m.KeyPackageCount:
        slow(db, caller, body)
        raise ZeroDivisionError

    rates = {"reading": Rate(8, 1e-6)}
    async with running_server(tmp_path, rates=rates) as app, registered(app, "alice") as [(_, alice)]:
        app._desk.services.reading[m.CountKeyPackages] = fails
        with pytest.raises(WasRefused, match="internal"):
            await alice.ask(m.CountKeyPackages())
        with pytest.raises(WasRefused, match="limited"):
            await alice.ask(m.Ping())
