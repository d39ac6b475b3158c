"""Records in which nothing is said: new keys, one after the other, and single bytes (O-01, O-03).

Each costs us ten or twenty microseconds, its sender 27 bytes.
"""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path

import pytest

from securechat.protocol import messages as m
from securechat.protocol.limits import MAX_FRAME_BEFORE_LOGIN
from securechat.server.tls import MAX_BARE, MAX_BARE_ADMITTED, MAX_OWN, TlsPump
from tests.server.key_updates import shaken_hands
from tests.server.peer import registered
from tests.server.running import running_server, until
from tests.server.test_pump import one_stranger, session_of

SIZE = 27
"""Of a KeyUpdate in its record, there and back."""


@asynccontextmanager
async def updating(folder: Path, *, requested: bool, admitted: bool) -> AsyncIterator["Updating"]:
    """Somebody who can ask for new keys, and the server's end of the line."""
    async with running_server(folder) as app:
        _, writer, records = await shaken_hands(app.port, folder / "keys", requested=requested)
        await until(lambda: app.counters.handshakes == 1)
        (pump,) = app._listener._pumps.values()
        if admitted:
            pump.admitted()
        yield Updating(pump, records)
        writer.transport.abort()


class Updating:
    def __init__(self, pump: TlsPump, records: Iterator[bytes]) -> None:
        self.pump = pump
        self._records = records

    def ask(self, times: int) -> int:
        """Let that many records arrive; return at which the line was cut, 0 for none."""
        for number, record in enumerate(islice(self._records, times), start=1):
            self.pump.get_buffer(-1)[: len(record)] = record
            self.pump.buffer_updated(len(record))
            if not self.pump.is_open:
                return number
        return 0


@pytest.mark.parametrize("requested", [True, False])
async def test_o_01_a_stranger_gets_no_new_keys_without_end(tmp_path: Path, *, requested: bool) -> None:
    async with updating(tmp_path, requested=requested, admitted=False) as line:
        assert line.ask(MAX_BARE // SIZE) == 0
        assert line.ask(2) > 0


async def test_o_03_somebody_here_gets_no_new_keys_without_end_either(tmp_path: Path) -> None:
    async with updating(tmp_path, requested=True, admitted=True) as line:
        assert line.ask(MAX_OWN // SIZE) == 0, "more than anybody has use for"
        assert line.pump.queued + line.pump._outgoing.pending <= MAX_OWN
        assert line.ask(2) > 0


async def test_o_03_nor_gives_itself_new_ones_without_end(tmp_path: Path) -> None:
    async with updating(tmp_path, requested=False, admitted=True) as line:
        assert line.ask(MAX_BARE_ADMITTED // SIZE) == 0
        assert line.ask(2) > 0


async def test_o_01_a_frame_in_records_of_one_byte_is_not_awaited(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, one_stranger(app) as (peer, pump):
        peer._writer.write(MAX_FRAME_BEFORE_LOGIN.to_bytes(4, "big"))
        for _ in range(MAX_BARE // 20):
            peer._writer.write(b"x")
        await until(lambda: not pump.is_open)


async def test_o_03_small_requests_without_end_are_no_such_flood(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(_, alice)]:
        for _ in range(2 * MAX_BARE_ADMITTED // 60):
            await alice.ask(m.Ping())
        assert session_of(app, "alice")._pump._bare == 0
