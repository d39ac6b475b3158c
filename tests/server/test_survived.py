"""What the server does by itself goes on after whatever went wrong, and that is logged and counted (C-04)."""

import asyncio
import contextlib
import errno
import socket
from pathlib import Path

import pytest

from securechat.protocol import messages as m
from securechat.server import config, retention
from securechat.server.app import App
from securechat.server.attachment_disk import Disk
from securechat.server.counters import Counters
from securechat.server.errors import Refusal
from securechat.server.expiry import JOBS
from securechat.server.lately import Lately
from securechat.server.metrics import LABELS
from securechat.server.quota import DiskSpace
from securechat.server.retention import Pause, Retention, Sweeper
from securechat.server.session import Session
from tests.server.peer import Peer, registered
from tests.server.running import running_server, until
from tests.server.sweeping import rows, sweep
from tests.server.test_attachments import FILE, on_disk, put


async def test_c_04_rounds_of_retention_go_on_after_one_that_failed(tmp_path: Path) -> None:
    again = asyncio.Event()
    rounds = 0

    async def files(_pause: Pause) -> int:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            raise PermissionError(errno.EACCES, "lost+found")
        again.set()
        return 0

    async with running_server(tmp_path) as app:
        times = Retention(config.Retention(), lambda: 0)
        sweeper = Sweeper(app._writer, times, counters=app.counters, files=files, first_after=0.0, every=0.0)
        sweeper.start()
        await asyncio.wait_for(again.wait(), 20)
        await sweeper.close()
        assert app.counters.failures == {"retention": 1}
        status = await app.overview.status()
        assert any("errors in the last hour" in problem.what for problem in status.problems)


async def test_c_04_a_round_that_has_ended_does_not_end_the_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_server(tmp_path) as app:

        async def dies() -> None:
            raise OSError(errno.EIO, "the disk")

        sweeper = app._sweeper
        monkeypatch.setattr(sweeper, "_rounds", dies)
        await sweeper.close()
        sweeper.start()
        await asyncio.sleep(0)
        await sweeper.close()


async def test_c_04_one_job_that_fails_keeps_no_other_from_its_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ValueError("a row that nobody foresaw")

    monkeypatch.setattr(retention, "JOBS", (broken, *JOBS))
    async with running_server(tmp_path) as app, registered(app, "alice") as ((_, alice),):
        await put(alice, b"0123456789")
        with pytest.raises(Refusal, match="internal"):
            await sweep(app, days=31)
        assert await rows(app, "SELECT * FROM file") == []
        assert on_disk(app) == {}


async def test_c_04_a_full_disk_is_left_by_files_that_go_already(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise Refusal("busy")

    async with running_server(tmp_path) as app, registered(app, "alice") as ((_, alice),):
        await put(alice, b"0123456789")
        await rows(app, "UPDATE file SET going = 1")
        monkeypatch.setattr(retention, "JOBS", (full,))
        with pytest.raises(Refusal, match="busy"):
            await sweep(app)
        assert on_disk(app) == {}


async def test_c_04_a_file_that_cannot_be_removed_keeps_no_other_from_going(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as ((_, alice),):
        for name in (b"a" * 32, FILE, b"z" * 32):
            await put(alice, b"0123456789", name)
        stuck = Disk(app.config.data / "files").path(FILE)
        stuck.unlink()
        (stuck / "of somebody else").mkdir(parents=True)
        await rows(app, "UPDATE file SET going = 1")
        assert (await sweep(app)).files == 2
        assert app.counters.failures["files"] == 1
        assert await alice.ask(m.DeleteFile(FILE)) == m.Done()
        assert await rows(app, "SELECT name FROM file") == [(FILE,)]
        (stuck / "of somebody else").rmdir()
        stuck.rmdir()
        assert (await sweep(app)).files == 1


async def test_c_04_what_is_no_folder_of_attachments_is_not_looked_into(tmp_path: Path) -> None:
    """DATA/files may be a disk of its own, with a folder that only root reads."""
    disk = Disk(tmp_path)
    for name in ("lost+found", "aa", "0F", ".trash", "abc"):
        (tmp_path / name).mkdir()
    assert disk.folders() == [tmp_path / "aa"]


async def test_c_04_a_folder_that_cannot_be_read_keeps_no_other_from_being_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Disk.older_than

    def older_than(self: Disk, folder: Path, _date: float) -> list[bytes]:
        if folder.name == "61":
            raise PermissionError(errno.EACCES, str(folder))
        return honest(self, folder, 1e12)

    monkeypatch.setattr(Disk, "older_than", older_than)
    async with running_server(tmp_path) as app, registered(app, "alice") as ((_, alice),):
        for name in (b"a" * 32, b"b" * 32):
            await put(alice, b"0123456789", name)
        await rows(app, "DELETE FROM file")
        assert (await sweep(app)).files == 1
        assert set(on_disk(app)) == {(b"a" * 32).hex()}


async def test_n_04_a_close_that_fails_keeps_nothing_else_from_closing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails() -> None:
        raise PermissionError(errno.EACCES, "the socket")

    app: App
    async with running_server(tmp_path) as app:
        peer = await Peer.connect(app.port)
        other = await Peer.connect(app.port)
        monkeypatch.setattr(app._admin, "close", fails)
        honest = app._admin
        monkeypatch.setattr(Session, "_forget", _first_fails(Session._forget))
    await peer.until(lambda: peer.closed is not None)
    await other.until(lambda: other.closed is not None)
    assert app.counters.failures == {"closing": 2}
    monkeypatch.undo()
    await honest.close()


def _first_fails(honest: object) -> object:
    calls = 0

    def forget(self: object) -> None:
        nonlocal calls
        calls += 1
        honest(self)  # type: ignore[operator]
        if calls == 1:
            raise RuntimeError("nobody foresaw this")

    return forget


async def test_c_04_the_port_stays_open_whatever_fails_at_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_server(tmp_path) as app:
        listener, honest = app._listener, app._listener._let_in

        def without(accepted: socket.socket, _address: object) -> None:
            accepted.close()
            monkeypatch.setattr(listener, "_let_in", honest)
            raise OSError(errno.EMFILE, "Too many open files")

        async def fails(_error: OSError) -> None:
            raise RuntimeError("nobody foresaw this")

        monkeypatch.setattr(listener, "_let_in", without)
        monkeypatch.setattr(listener, "_without_descriptors", fails)
        _, gone = await asyncio.open_connection("127.0.0.1", app.port)
        await until(lambda: app.counters.failures["letting in"] == 1)
        gone.close()
        with contextlib.suppress(ConnectionError):
            await gone.wait_closed()
        again = await Peer.connect(app.port)
        await again.close()


async def test_c_04_the_looks_at_the_counters_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    lately = Lately(Counters())

    def fails(_at: float) -> None:
        raise ValueError("nobody foresaw this")

    monkeypatch.setattr(lately, "_take_look", fails)
    with pytest.raises(ValueError, match="foresaw"):
        lately.start()
    assert lately._timer is not None
    lately.stop()


async def test_c_04_a_disk_that_cannot_be_asked_is_asked_again(tmp_path: Path) -> None:
    found: list[int | OSError] = [10, OSError(errno.EIO, "the disk"), 0]

    def free(_folder: Path) -> int:
        first = found.pop(0)
        if isinstance(first, OSError):
            raise first
        return first

    space = DiskSpace(tmp_path, 1, free=free)
    for now, low in ((10.0, False), (20.0, True)):
        space.is_low(now)
        await until(lambda: not space._looking)
        assert space._low is low


def test_what_failed_is_counted_by_words_of_ours() -> None:
    assert "retention" in LABELS["work"]
