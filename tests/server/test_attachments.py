"""Attachments at the server: piece by piece, whole or not there, bounded, and gone in their time (O-06)."""

import asyncio
import os
import secrets
import stat
import threading
from pathlib import Path

import pytest

from securechat.protocol import messages as m
from securechat.protocol.limits import MAX_CHUNK, MAX_FILE
from securechat.server import attachments
from securechat.server.app import App
from securechat.server.attachment_disk import Disk
from securechat.server.config import Quotas, Rate
from securechat.server.quota import DiskSpace
from securechat.server.rate_limit import NAMES
from tests.server.peer import Peer, refusal, registered, tried
from tests.server.running import running_server
from tests.server.sweeping import rows, sweep

FILE = b"f" * 32


def pieces(data: bytes) -> list[tuple[int, bytes]]:
    return [(offset, data[offset : offset + MAX_CHUNK]) for offset in range(0, len(data), MAX_CHUNK)]


async def put(peer: Peer, data: bytes, file: bytes = FILE) -> m.FileStored:
    answer: m.Answer = m.Done()
    for offset, piece in pieces(data):
        answer = await peer.ask(m.PutFile(file, offset, len(data), piece))
    assert isinstance(answer, m.FileStored)
    return answer


async def stands(peer: Peer, total: int, file: bytes = FILE) -> int:
    answer = await peer.ask(m.PutFile(file, 0, total))
    assert isinstance(answer, m.FileStored)
    return answer.received


async def got(peer: Peer, file: bytes = FILE) -> bytes:
    data, total = b"", 1
    while len(data) < total:
        piece = await peer.ask(m.GetFile(file, len(data)))
        assert isinstance(piece, m.FilePiece)
        assert (piece.offset, bool(piece.data)) == (len(data), True)
        data, total = data + piece.data, piece.total
    return data


def on_disk(app: App) -> dict[str, Path]:
    folder = app.config.data / "files"
    return {path.name: path for path in folder.rglob("*") if path.is_file()}


async def test_what_was_put_is_read_by_whoever_knows_its_id(tmp_path: Path) -> None:
    data = secrets.token_bytes(3 * MAX_CHUNK + 5)
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as ((_, alice), (_, bob)):
        stored = await put(alice, data)
        assert stored.received == len(data)
        assert stored.expires - app._now() in range(30 * 86_400 - 10, 30 * 86_400 + 1)
        assert await got(bob) == data
        past = await bob.ask(m.GetFile(FILE, len(data)))
        assert past == m.FilePiece(len(data), len(data), b"")
        assert await tried(bob, m.GetFile(b"g" * 32)) == "no_file"


async def test_a_file_that_is_not_whole_is_nobodys_to_read(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as ((_, alice),):
        await alice.ask(m.PutFile(FILE, 0, 100, b"a" * 99))
        assert await tried(alice, m.GetFile(FILE)) == "no_file"
        await alice.ask(m.PutFile(FILE, 99, 100, b"b"))
        assert await got(alice) == b"a" * 99 + b"b"


async def test_a_piece_at_the_wrong_place_changes_nothing_and_learns_the_right_one(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as ((_, alice),):
        await alice.ask(m.PutFile(FILE, 0, 10, b"0123"))
        for offset in (0, 3, 5, 10, 1 << 40):
            answer = await alice.ask(m.PutFile(FILE, offset, 10, b"x"))
            assert answer.received == 4  # type: ignore[union-attr]
        await alice.ask(m.PutFile(FILE, 4, 10, b"456789"))
        assert await stands(alice, 10) == 10
        assert await got(alice) == b"0123456789"


async def test_a_total_does_not_change_and_is_not_passed(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as ((_, alice),):
        await alice.ask(m.PutFile(FILE, 0, 10, b"0123"))
        assert await tried(alice, m.PutFile(FILE, 4, 11, b"4")) == "bad_request"
        assert await tried(alice, m.PutFile(FILE, 4, 10, b"4567890")) == "bad_request"
        assert await stands(alice, 10) == 4


async def test_somebody_elses_file_is_neither_added_to_nor_deleted(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "eve") as ((_, alice), (_, eve)):
        await alice.ask(m.PutFile(FILE, 0, 10, b"0123"))
        assert await tried(eve, m.PutFile(FILE, 4, 10, b"x")) == "forbidden"
        assert await tried(eve, m.DeleteFile(FILE)) == "forbidden"
        await alice.ask(m.PutFile(FILE, 4, 10, b"456789"))
        assert await tried(eve, m.DeleteFile(FILE)) == "forbidden"
        assert await got(eve) == b"0123456789"


async def test_what_is_deleted_is_gone_from_the_disk_and_from_the_quota(tmp_path: Path) -> None:
    quotas = Quotas(account_file_bytes=100_000, free_bytes=0)
    async with (
        running_server(tmp_path, quotas=quotas) as app,
        registered(app, "alice") as ((_, alice),),
    ):
        await put(alice, b"a" * 90_000)
        other = b"g" * 32
        assert await tried(alice, m.PutFile(other, 0, 20_000)) == "quota"
        assert await alice.ask(m.DeleteFile(FILE)) == m.Done()
        assert on_disk(app) == {}
        assert await tried(alice, m.GetFile(FILE)) == "no_file"
        assert await alice.ask(m.DeleteFile(FILE)) == m.Done()
        await put(alice, b"b" * 20_000, other)


async def test_two_connections_may_bring_one_file(tmp_path: Path) -> None:
    """The old connection of a client that came back is still being answered."""
    data = secrets.token_bytes(20 * MAX_CHUNK)
    async with running_server(tmp_path) as app, registered(app, "alice") as ((person, alice),):
        ids = [alice.send(m.PutFile(FILE, offset, len(data), piece)) for offset, piece in pieces(data)]
        again = await Peer.connect(app.port)
        await again.log_in(person)
        received = await stands(again, len(data))
        while received < len(data):
            piece = data[received : received + MAX_CHUNK]
            answer = await again.ask(m.PutFile(FILE, received, len(data), piece))
            received = answer.received  # type: ignore[union-attr]
        assert await got(again) == data
        assert ids
        await again.close()


async def test_l_01_files_are_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        async with running_server(tmp_path) as app, registered(app, "alice") as ((_, alice),):
            await put(alice, b"0123456789")
            found = list((app.config.data / "files").rglob("*"))
            modes = {path.is_dir(): stat.S_IMODE(path.stat().st_mode) for path in found}
            assert modes == {True: 0o700, False: 0o600}
            assert stat.S_IMODE((app.config.data / "files").stat().st_mode) == 0o700
    finally:
        os.umask(before)


async def test_l_01_a_link_in_a_files_place_is_not_followed(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as ((_, alice),):
        await put(alice, b"0123456789")
        place = Disk(app.config.data / "files").path(FILE)
        place.unlink()
        (tmp_path / "secret").write_bytes(b"not yours")
        place.symlink_to(tmp_path / "secret")
        assert await tried(alice, m.GetFile(FILE)) == "internal"


async def test_an_upload_goes_on_after_a_restart_from_what_was_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was written since is not trusted: it may be what a power loss left."""
    monkeypatch.setattr(attachments, "SYNC_EVERY", 2 * MAX_CHUNK)
    data = secrets.token_bytes(5 * MAX_CHUNK)
    async with running_server(tmp_path) as app, registered(app, "alice") as ((person, alice),):
        for offset, piece in pieces(data)[:3]:
            await alice.ask(m.PutFile(FILE, offset, len(data), piece))
        assert await stands(alice, len(data)) == 3 * MAX_CHUNK
        Disk(app.config.data / "files").write(FILE, 2 * MAX_CHUNK, b"torn", sync=False)
    async with running_server(tmp_path) as app:
        alice = await Peer.connect(app.port)
        await alice.log_in(person)
        assert await stands(alice, len(data)) == 2 * MAX_CHUNK
        for offset, piece in pieces(data)[2:]:
            await alice.ask(m.PutFile(FILE, offset, len(data), piece))
        assert await got(alice) == data
        await alice.close()


async def test_a_file_that_lost_its_bytes_begins_anew(tmp_path: Path) -> None:
    """Its folder came from an older copy than the database."""
    async with running_server(tmp_path) as app, registered(app, "alice") as ((_, alice),):
        await alice.ask(m.PutFile(FILE, 0, 10, b"0123"))
        app._attachments._uploads.clear()
        await rows(app, "UPDATE file SET synced = 4")
        Disk(app.config.data / "files").path(FILE).unlink()
        assert await stands(alice, 10) == 0
        await put(alice, b"0123456789")
        assert await got(alice) == b"0123456789"


async def test_a_whole_file_without_its_bytes_is_told_as_gone(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as ((_, alice),):
        await put(alice, b"0123456789")
        Disk(app.config.data / "files").path(FILE).unlink()
        assert await tried(alice, m.GetFile(FILE)) == "gone"


async def test_o_06_an_accounts_files_are_bounded_in_bytes_and_in_number(tmp_path: Path) -> None:
    quotas = Quotas(account_file_bytes=10 * 64 * 1024, file_bytes=1_000_000, free_bytes=0)
    async with (
        running_server(tmp_path, quotas=quotas) as app,
        registered(app, "alice", "bob") as ((_, alice), (_, bob)),
    ):
        assert await tried(alice, m.PutFile(FILE, 0, 1_000_001)) == "quota"
        taken = [await tried(alice, m.PutFile(bytes([n]) * 32, 0, 1, b"x")) for n in range(12)]
        assert taken == ["taken"] * 10 + ["quota"] * 2  # each counts 64 KiB, however small
        assert await tried(bob, m.PutFile(FILE, 0, 1, b"x")) == "taken"


async def test_o_06_uploads_of_one_account_are_few_at_a_time(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as ((_, alice),):
        taken = [await tried(alice, m.PutFile(bytes([n]) * 32, 0, 2, b"x")) for n in range(9)]
        assert taken == ["taken"] * 8 + ["busy"]  # it passes by itself
        await alice.ask(m.PutFile(bytes(32), 1, 2, b"y"))
        assert await tried(alice, m.PutFile(b"\x09" * 32, 0, 2, b"x")) == "taken"


async def test_o_06_nothing_is_begun_that_the_disk_cannot_hold(tmp_path: Path) -> None:
    quotas = Quotas(free_bytes=1 << 61)
    async with running_server(tmp_path, quotas=quotas) as app:
        for space in (app._desk.space, app._desk.attachments.space):
            space._low = False
            space._looking = True  # so that only what the upload itself asks is seen
        async with registered(app, "alice") as ((_, alice),):
            refused = await refusal(alice, m.PutFile(FILE, 0, MAX_FILE))
    assert (refused.code, refused.retry_after > 0) == ("busy", True)
    assert on_disk(app) == {}


async def test_c_04_a_full_disk_takes_no_piece(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as ((_, alice),):
        await alice.ask(m.PutFile(FILE, 0, 10, b"0123"))
        space = DiskSpace(tmp_path, 1, free=lambda _: 0)
        object.__setattr__(app._desk, "space", space)
        assert await tried(alice, m.PutFile(FILE, 4, 10, b"4")) == "busy"


async def test_c_04_a_disk_that_fails_at_a_piece_takes_it_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as ((_, alice),):
        await alice.ask(m.PutFile(FILE, 0, 10, b"0123"))

        def full(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patched:
            patched.setattr(Disk, "write", full)
            assert await tried(alice, m.PutFile(FILE, 4, 10, b"456789")) == "busy"
        assert await stands(alice, 10) == 0
        await put(alice, b"0123456789")
        assert await got(alice) == b"0123456789"


async def test_o_05_moving_files_has_rates_of_its_own(tmp_path: Path) -> None:
    rates = {name: Rate(1e12, 1e12) for name in NAMES} | {
        "file_uploads": Rate(100_000, 1e-9),
        "file_downloads": Rate(MAX_CHUNK, 1e-9),
    }
    async with (
        running_server(tmp_path, rates=rates) as app,
        registered(app, "alice", "bob") as ((_, alice), (_, bob)),
    ):
        await put(alice, b"a" * 60_000)
        refused = await refusal(alice, m.PutFile(b"g" * 32, 0, 60_000, b"a" * 60_000))
        assert (refused.code, refused.retry_after > 0) == ("limited", True)
        assert await got(bob) == b"a" * 60_000
        assert await tried(bob, m.GetFile(FILE)) == "limited"
        await alice.ask(m.Ping())


async def test_files_go_in_their_time_and_their_bytes_with_them(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as ((_, alice),):
        await put(alice, b"0123456789")
        await alice.ask(m.PutFile(b"g" * 32, 0, 10, b"0123"))
        assert (await sweep(app, days=6.9)).files == 0
        assert (await sweep(app, days=7.1)).files == 1
        assert set(on_disk(app)) == {FILE.hex()}
        assert await tried(alice, m.PutFile(b"g" * 32, 4, 10, b"x")) == "taken"  # begun anew
        assert await stands(alice, 10, b"g" * 32) == 0
        assert (await sweep(app, days=30.1)).files == 2
        assert on_disk(app) == {}
        assert await rows(app, "SELECT * FROM file") == []
        assert await tried(alice, m.GetFile(FILE)) == "no_file"


async def test_a_piece_for_a_file_that_goes_is_refused(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as ((_, alice),):
        await alice.ask(m.PutFile(FILE, 0, 10, b"0123"))
        await rows(app, "UPDATE file SET going = 1")
        assert await tried(alice, m.PutFile(FILE, 4, 10, b"456789")) == "no_file"


async def test_what_a_crash_left_of_a_deletion_is_deleted(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as ((_, alice),):
        await put(alice, b"0123456789")
        await rows(app, "UPDATE file SET going = 1")
    async with running_server(tmp_path) as app:
        assert (await sweep(app)).files == 1
        assert on_disk(app) == {}


async def test_files_that_no_row_knows_go_once_they_are_old(tmp_path: Path) -> None:
    """Not before: somebody may have put the wrong database back."""
    async with running_server(tmp_path) as app, registered(app, "alice") as ((_, alice),):
        await put(alice, b"0123456789")
        stray = Disk(app.config.data / "files").path(b"s" * 32)
        stray.parent.mkdir(mode=0o700)
        stray.write_bytes(b"stray")
        assert (await sweep(app)).files == 0
        os.utime(stray, (0, 0))
        os.utime(Disk(app.config.data / "files").path(FILE), (0, 0))
        app._attachments._looked = float("-inf")
        assert (await sweep(app)).files == 1
        assert set(on_disk(app)) == {FILE.hex()}


async def test_o_05_who_leaves_pieces_unread_is_read_no_more_and_costs_little_memory(tmp_path: Path) -> None:
    """Sixty pieces are asked for; what waits for the reader stays below the bound."""
    data = secrets.token_bytes(60 * MAX_CHUNK)
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (_, alice), (_, bob) = people
        await put(alice, data)
        bob._writer.transport.pause_reading()  # type: ignore[attr-defined]
        ids = [bob.send(m.GetFile(FILE, offset)) for offset, _ in pieces(data)]
        sessions = [s for s in app._desk.sessions if s.caller and s.caller.user == "bob"]
        for _ in range(200):
            await alice.ask(m.Ping())
            assert sessions[0]._pump.queued <= 256 * 1024 + 2 * MAX_CHUNK  # type: ignore[attr-defined]
        bob._writer.transport.resume_reading()  # type: ignore[attr-defined]
        parts = [await bob.answer(each) for each in ids]
        assert b"".join(part.data for part in parts) == data  # type: ignore[union-attr]


async def test_messages_are_answered_while_the_disk_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """File I/O never keeps the loop, the writer or the readers of logs."""
    gate = threading.Event()
    honest = Disk.write

    def slow(self: Disk, *given: object, **options: object) -> None:
        gate.wait(20)
        honest(self, *given, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Disk, "write", slow)
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as ((_, alice), (_, bob)):
        waiting = alice.send(m.PutFile(FILE, 0, 4, b"0123"))
        await bob.ask(m.GetAccount("alice"))
        await alice.ask(m.PublishKeyPackages())
        gate.set()
        assert await alice.answer(waiting) == m.FileStored(4, (await _created(app)) + 30 * 86_400)


async def _created(app: App) -> int:
    ((created,),) = await rows(app, "SELECT created FROM file")
    return int(created)


async def test_a_stop_finishes_the_piece_that_is_being_written(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as ((_, alice),):
        alice.send(m.PutFile(FILE, 0, 4, b"0123"))
        await asyncio.sleep(0)
        await app._attachments.close()
        assert app._attachments._running == set()
        assert await tried(alice, m.PutFile(b"g" * 32, 0, 4, b"0123")) == "busy"


def test_an_id_is_not_told_by_repr() -> None:
    for body in (m.PutFile(FILE, 0, 4, b"data"), m.GetFile(FILE), m.DeleteFile(FILE)):
        assert "fff" not in repr(body)
        assert "data" not in repr(body)


async def test_a_kept_file_does_not_expire_and_goes_when_its_account_says_so(tmp_path: Path) -> None:
    """The archive of an account is no attachment that everybody has fetched in time."""
    async with running_server(tmp_path) as app, registered(app, "alice") as ((_, alice),):
        stored = await alice.ask(m.PutFile(FILE, 0, 4, b"kept", kept=True))
        assert stored == m.FileStored(4, 0)
        await put(alice, b"sent", b"s" * 32)
        assert (await sweep(app, days=100)).files == 1
        assert await got(alice) == b"kept"
        assert await tried(alice, m.GetFile(b"s" * 32)) == "no_file"
        await alice.ask(m.DeleteFile(FILE))
        assert await tried(alice, m.GetFile(FILE)) == "no_file"


async def test_the_archive_takes_half_of_what_an_account_may_have(tmp_path: Path) -> None:
    """So who writes a long history can still send files."""
    quotas = Quotas(account_file_bytes=4 * 64 * 1024, free_bytes=0)
    async with running_server(tmp_path, quotas=quotas) as app, registered(app, "alice") as ((_, alice),):
        for name in (b"1", b"2"):
            await alice.ask(m.PutFile(name * 32, 0, 4, b"kept", kept=True))
        assert await tried(alice, m.PutFile(b"3" * 32, 0, 4, b"kept", kept=True)) == "quota"
        await put(alice, b"sent", b"4" * 32)
