"""The short form of `sockets`: strangers in a process of their own against the real command (O-01, O-08)."""

import asyncio
from pathlib import Path

import pytest

from tests.faults.sockets import CLOSED_WITHIN, Figures, Server, crowd
from tests.faults.strangers import Order
from tests.server.peer import Peer, Person

KINDS = ("silent", "drip", "hello", "tls", "tls_drip", "tls_frame")
EACH = 20
COUNT = EACH * len(KINDS)
"""All of them are here before the first has to go, however slow the machine."""


async def test_o_01_every_kind_of_stranger_is_closed_in_time_and_leaves_nothing(tmp_path: Path) -> None:
    server = Server(tmp_path / "server")
    server.allow(600)
    await server.start()
    try:
        alice = await Peer.connect(server.port)
        assert alice.hello is not None
        await alice.register(Person("alice", alice.hello.domain))
        descriptors = server.descriptors
        async with crowd(Order("crowd", server.port, COUNT, KINDS)) as facts:
            opened = await facts.next()
            assert opened == {"phase": "open", "held": COUNT, "refused": 0}
            assert server.descriptors >= descriptors + COUNT
            closed = await facts.next()
        assert (closed["closed"], closed["still_open"], closed["refused"]) == (COUNT, 0, 0)
        assert set(closed["longest"]) == set(KINDS)
        # To the second it is measured by the long form, on a machine that does nothing else.
        assert max(closed["longest"].values()) <= 2 * CLOSED_WITHIN
        await no_more_than(server, descriptors)
        assert alice.closed is None
        alice._writer.transport.abort()
    finally:
        await server.end()


async def test_o_08_connections_come_and_go_and_leave_no_descriptor(tmp_path: Path) -> None:
    server = Server(tmp_path / "server")
    await server.start()
    try:
        await (await Peer.connect(server.port)).close()
        descriptors = server.descriptors
        async with crowd(Order("cycles", server.port, 400)) as facts:
            while (fact := await facts.next())["phase"] == "cycles":
                pass
        assert fact["done"] == 400
        assert "refused" not in fact["kinds"]
        await no_more_than(server, descriptors)
    finally:
        await server.end()


async def no_more_than(server: Server, descriptors: int) -> None:
    """Wait until the server has closed what it had to."""
    async with asyncio.timeout(10):
        while server.descriptors > descriptors:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)


def test_a_figure_that_is_missed_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    figures = Figures()
    figures.at_most("fine", 1.0, 1.0, "s")
    figures.at_most("too much", 1.01, 1.0, "s")
    assert figures.missed == ["too much"]
    assert "MISSED" in capsys.readouterr().out
