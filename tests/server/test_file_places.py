"""Who puts, deletes and sweeps one attachment does so in turn; all others beside it (O-06, O-07, C-06)."""

import asyncio
import secrets
import threading
import time
from pathlib import Path

import pytest

from securechat.protocol import messages as m
from securechat.server import attachments
from securechat.server.app import App
from securechat.server.attachment_disk import Disk
from securechat.server.config import DAY
from securechat.server.values import Caller
from tests.server.peer import registered, tried
from tests.server.running import running_server, until
from tests.server.sweeping import rows, sweep
from tests.server.test_attachments import FILE, on_disk, stands


async def caller_of(app: App, user: str) -> Caller:
    found = await app._readers.run(
        lambda db: db.execute("SELECT id FROM account WHERE user = ?", (user,)).fetchone()
    )
    assert found is not None
    return Caller(found[0], user, 1, "x")


async def test_o_06_a_file_put_and_deleted_at_once_leaves_nothing(tmp_path: Path) -> None:
    """Its beginning and its end fall into one transaction; what is on the disk is of a row, always."""
    async with running_server(tmp_path) as app, registered(app, "alice"):
        alice, files = await caller_of(app, "alice"), app._attachments

        async def delete(name: bytes, put: "asyncio.Task[m.FileStored]") -> None:
            while not app._writer._gathered and not put.done():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0)
            await files.delete(alice, m.DeleteFile(name))

        for _ in range(20):
            name = secrets.token_bytes(32)
            put = asyncio.create_task(files.put(alice, m.PutFile(name, 0, 100)))
            await asyncio.gather(put, delete(name, put), return_exceptions=True)
        assert await rows(app, "SELECT * FROM file") == []
        assert (on_disk(app), files._uploads, files._places) == ({}, {}, {})


async def test_o_06_a_deletion_whose_connection_ends_is_done_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as ((_, alice),):
        await alice.ask(m.PutFile(FILE, 0, 10, b"0123"))
        gate = threading.Event()
        honest = Disk.remove

        def slow(self: Disk, name: bytes) -> None:
            gate.wait(20)
            honest(self, name)

        monkeypatch.setattr(Disk, "remove", slow)
        caller = await caller_of(app, "alice")
        deleting = asyncio.create_task(app._attachments.delete(caller, m.DeleteFile(FILE)))
        await until(lambda: bool(app._attachments._places))
        deleting.cancel()
        gate.set()
        await until(lambda: not app._attachments._running)
        assert await rows(app, "SELECT * FROM file") == []
        assert on_disk(app) == {}


async def test_o_06_a_file_that_goes_while_it_comes_is_known_no_more(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as ((_, alice),):
        await alice.ask(m.PutFile(FILE, 0, 10, b"0123"))
        await rows(app, "UPDATE file SET going = 1")
        assert await tried(alice, m.PutFile(FILE, 4, 10, b"456789")) == "no_file"
        assert app._attachments._uploads == {}


async def test_o_07_a_disk_that_hangs_at_one_file_keeps_nobody_elses_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    honest = Disk.prepare

    def slow(self: Disk, name: bytes, synced: int) -> int:
        if name == FILE:
            gate.wait(20)
        return honest(self, name, synced)

    monkeypatch.setattr(Disk, "prepare", slow)
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as ((_, alice), (_, bob)):
        waiting = alice.send(m.PutFile(FILE, 0, 4, b"0123"))
        assert await tried(bob, m.PutFile(b"g" * 32, 0, 4, b"0123")) == "taken"
        gate.set()
        assert isinstance(await alice.answer(waiting), m.FileStored)


async def test_o_07_threads_are_taken_in_turns_by_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many pieces of one account wait for the disk, another's is the next but one."""
    monkeypatch.setattr(attachments, "THREADS", 1)  # so that the order of turns is that of the writing
    gate, order = threading.Event(), list[bytes]()
    honest = Disk.write

    def slow(self: Disk, name: bytes, offset: int, data: bytes, *, sync: bool) -> None:
        gate.wait(20)
        order.append(name)
        honest(self, name, offset, data, sync=sync)

    async with running_server(tmp_path) as app, registered(app, "alice", "bob"):
        alice, bob = await caller_of(app, "alice"), await caller_of(app, "bob")
        names = [bytes([n]) * 32 for n in range(8)]
        for caller, name in [*((alice, name) for name in names), (bob, FILE)]:
            await app._attachments.put(caller, m.PutFile(name, 0, 1))
        monkeypatch.setattr(Disk, "write", slow)
        crowd = [
            asyncio.create_task(app._attachments.put(alice, m.PutFile(name, 0, 1, b"x"))) for name in names
        ]
        await until(lambda: app._attachments._turns._free == 0)
        other = asyncio.create_task(app._attachments.put(bob, m.PutFile(FILE, 0, 1, b"x")))
        await until(lambda: len(app._attachments._turns._waiting) == 2)
        gate.set()
        await asyncio.gather(*crowd, other)
        assert order.index(FILE) == 2


async def test_an_upload_that_is_being_written_is_not_forgotten_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attachments, "MAX_UPLOADS", 1)
    gate = threading.Event()
    honest = Disk.write

    def slow(self: Disk, name: bytes, offset: int, data: bytes, *, sync: bool) -> None:
        if name == FILE:
            gate.wait(20)
        honest(self, name, offset, data, sync=sync)

    monkeypatch.setattr(Disk, "write", slow)
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as ((_, alice), (_, bob)):
        await alice.ask(m.PutFile(FILE, 0, 10))
        waiting = alice.send(m.PutFile(FILE, 0, 10, b"0123"))
        await until(lambda: bool(app._attachments._places))
        await bob.ask(m.PutFile(b"g" * 32, 0, 10, b"01"))
        gate.set()
        answer = await alice.answer(waiting)
        assert isinstance(answer, m.FileStored)
        assert answer.received == 4
        assert await stands(alice, 10) == 4


async def test_c_06_a_date_that_leaps_on_deletes_no_file_that_no_row_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An older database was put back: the newer files wait for who notices, by time and not by a date."""
    async with running_server(tmp_path) as app, registered(app, "alice") as ((_, alice),):
        await alice.ask(m.PutFile(FILE, 0, 4, b"0123"))
        await rows(app, "DELETE FROM file")
        honest = time.time
        monkeypatch.setattr(time, "time", lambda: honest() + 365 * DAY)
        assert (await sweep(app)).files == 0
        assert set(on_disk(app)) == {FILE.hex()}
