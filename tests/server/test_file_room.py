"""How much attachments may take: of the disk, of everybody, of one account (O-06, C-04)."""

import os
from pathlib import Path

import apsw
import pytest

from securechat.protocol import messages as m
from securechat.server.app import App
from securechat.server.attachment_disk import Disk
from securechat.server.attachment_rows import LEAST_BYTES
from securechat.server.config import Quotas
from tests.server.peer import open_room, refusal, registered, tried
from tests.server.running import running_server
from tests.server.sweeping import rows, sweep
from tests.server.test_attachments import FILE, on_disk, put


def with_room(monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    monkeypatch.setattr(Disk, "room", lambda _: room)


async def test_c_04_files_stop_long_before_messages_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """O-06: more is free than messages leave, and less than files do."""
    quotas = Quotas(free_bytes=1, files_free_bytes=1_000_000)
    with_room(monkeypatch, 999_999)
    async with running_server(tmp_path, quotas=quotas) as app, registered(app, "alice", "bob") as people:
        (_, alice), _ = people
        assert (await refusal(alice, m.PutFile(FILE, 0, 10, b"0123"))).code == "busy"
        group, _ = await open_room(*people)
        await alice.ask(m.SendMessage(group.group_id, 1, group.encrypt(b"x")))
        assert on_disk(app) == {}
        status = await app.overview.status()
        assert [problem.what for problem in status.problems] == [
            "no file is taken: 976.6 KiB are free for files"
        ]


async def test_o_06_what_open_uploads_have_said_is_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_room(monkeypatch, 2_000_000)
    quotas = Quotas(free_bytes=0, files_free_bytes=1_000_000)
    async with running_server(tmp_path, quotas=quotas) as app, registered(app, "alice", "bob") as people:
        (_, alice), (_, bob) = people
        assert await tried(alice, m.PutFile(FILE, 0, 600_000)) == "taken"
        assert await tried(bob, m.PutFile(b"g" * 32, 0, 600_000)) == "busy"
        assert await tried(bob, m.PutFile(b"g" * 32, 0, 400_000)) == "taken"
        assert await alice.ask(m.DeleteFile(FILE)) == m.Done()
        assert await tried(bob, m.PutFile(b"h" * 32, 0, 600_000)) == "taken"


async def test_o_06_all_files_together_may_have_a_limit(tmp_path: Path) -> None:
    quotas = Quotas(all_file_bytes=3 * LEAST_BYTES)
    async with running_server(tmp_path, quotas=quotas) as app, registered(app, "alice", "bob") as people:
        (_, alice), (_, bob) = people
        taken = [
            await tried(peer, m.PutFile(bytes([n]) * 32, 0, 1, b"x")) for n in range(2) for peer in (alice,)
        ]
        taken += [await tried(bob, m.PutFile(bytes([n]) * 32, 0, 1, b"x")) for n in (2, 3)]
        assert taken == ["taken", "taken", "taken", "busy"]


def test_o_06_a_disk_that_is_out_of_names_takes_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(tmp_path / "files")
    assert disk.room() > 0
    found = os.statvfs(tmp_path)
    few = os.statvfs_result((*found[:5], 1 << 20, 100, 100, *found[8:]))
    monkeypatch.setattr("securechat.server.attachment_disk.os.statvfs", lambda _: few)
    assert disk.room() == 0


async def test_o_06_what_is_counted_of_files_is_what_there_is(tmp_path: Path) -> None:
    """Whatever is done to them; the server adds nothing up when a file begins."""
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as ((_, alice), (_, bob)):
        await put(alice, b"a" * 100_000)
        await put(bob, b"b", b"b" * 32)
        for n in range(4):
            await (alice, bob)[n % 2].ask(m.PutFile(bytes([n]) * 32, 0, 1_000, b"x"))
        await counts_hold(app)
        await alice.ask(m.PutFile(bytes(32), 1, 1_000, b"y" * 999))
        await bob.ask(m.DeleteFile(b"\x01" * 32))
        await counts_hold(app)
        await sweep(app, days=8)
        await counts_hold(app)
        await sweep(app, days=31)
        await counts_hold(app)
        assert await rows(app, "SELECT DISTINCT count, bytes, open, missing FROM files_of") == [(0, 0, 0, 0)]


async def counts_hold(app: App) -> None:
    counted = await rows(
        app, "SELECT account, count, bytes, open, missing FROM files_of WHERE count ORDER BY 1"
    )
    sums = (
        f"count(*), sum(max(total, {LEAST_BYTES})), count(*) FILTER (WHERE going = 0 AND synced < total),"
        " coalesce(sum(total - synced) FILTER (WHERE going = 0), 0) FROM file"
    )
    there = await rows(app, f"SELECT 0, {sums} UNION ALL SELECT account, {sums} GROUP BY account")
    assert counted == [row for row in there if row[1]]


async def test_o_06_to_begin_a_file_takes_no_longer_where_there_are_many(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as ((_, alice), _):
        many = (
            "INSERT INTO file (name, account, total, synced, created) WITH RECURSIVE n(i) AS"
            " (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 3000) SELECT randomblob(32), 1, 1, 1, 5 FROM n"
        )
        await rows(app, many)
        steps = 0

        def tick() -> bool:
            nonlocal steps
            steps += 1
            return False

        def watch(db: apsw.Connection, *, on: bool) -> None:
            db.set_progress_handler(tick if on else None, 1)

        await app._writer.find(lambda db: watch(db, on=True))
        assert await tried(alice, m.PutFile(FILE, 0, 1, b"x")) == "taken"
        await app._writer.find(lambda db: watch(db, on=False))
    assert steps < 2_000


async def test_n_02_all_files_of_an_account_go_when_its_owner_says_so(tmp_path: Path) -> None:
    quotas = Quotas(account_file_bytes=3 * LEAST_BYTES)
    async with running_server(tmp_path, quotas=quotas) as app, registered(app, "alice", "bob") as people:
        (_, alice), (_, bob) = people
        for n in range(3):
            await put(alice, b"0123456789", bytes([n]) * 32)
        await put(bob, b"0123456789")
        assert await tried(alice, m.PutFile(b"x" * 32, 0, 1, b"x")) == "quota"
        ((account,),) = await rows(app, "SELECT id FROM account WHERE user = 'alice'")
        assert await app._attachments.drop(account) == 3
        assert set(on_disk(app)) == {FILE.hex()}
        assert await tried(alice, m.GetFile(bytes(32))) == "no_file"
        assert await tried(alice, m.PutFile(b"x" * 32, 0, 1, b"x")) == "taken"
