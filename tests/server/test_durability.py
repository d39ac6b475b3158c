"""An answer is a promise: what it covers is on the disk (Q-02), and nothing is promised without."""

import asyncio
from pathlib import Path

import apsw
import pytest

from securechat.protocol import messages as m
from securechat.protocol.server_connection import ServerConnection
from securechat.server.errors import Refusal, StoreFailed
from securechat.server.store import sqlite
from securechat.server.store.transaction import Known, Transaction
from securechat.server.store.writer import _transact, judged
from tests.server.peer import WasRefused, open_room, registered
from tests.server.running import running_server
from tests.server.watching import Disk, watched_disk


async def answers_over_unsynced_bytes(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> list[bool]:
    """For each message sent alone: whether its answer left while bytes waited for a sync."""
    said: list[bool] = []
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (_, alice), _ = people
        group, _ = await open_room(*people)
        respond = ServerConnection.respond_encoded

        def watch(connection: ServerConnection, request_id: int, answer: bytes) -> None:
            said.append(disk.unsynced)
            respond(connection, request_id, answer)

        monkeypatch.setattr(ServerConnection, "respond_encoded", watch)
        for _ in range(10):
            before = disk.writes
            await alice.ask(m.SendMessage(group.group_id, 1, group.encrypt(b"x")))
            assert disk.writes > before
    return said


async def test_q_02_an_answer_leaves_after_the_sync_that_covers_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with watched_disk() as disk:
        assert await answers_over_unsynced_bytes(tmp_path, disk, monkeypatch) == [False] * 10


async def test_q_02_the_watch_would_see_synchronous_normal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "SYNCHRONOUS", "NORMAL")
    monkeypatch.setattr(sqlite, "LEAST", 1)
    with watched_disk() as disk:
        assert True in await answers_over_unsynced_bytes(tmp_path, disk, monkeypatch)


def test_c_03_a_connection_that_syncs_less_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "SYNCHRONOUS", "NORMAL")
    with pytest.raises(StoreFailed, match="would not be synced at every commit"):
        sqlite.prepare_database(tmp_path / "data")


async def test_q_02_a_sync_that_fails_is_answered_by_silence_and_the_end(tmp_path: Path) -> None:
    with watched_disk() as disk:
        async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
            (_, alice), (_, bob) = people
            group, _ = await open_room(*people)
            disk.broken = True
            asked = alice.send(m.SendMessage(group.group_id, 1, group.encrypt(b"lost")))
            async with asyncio.timeout(20):
                with pytest.raises(StoreFailed):
                    await app.stopped()
            assert asked not in alice._answers
            assert bob.pushed_entries() == []
        disk.broken = False
    assert alice.closed is not None
    assert alice.closed.code in {"internal", "lost", "bye"}


async def test_c_04_a_full_disk_is_said_and_got_over(tmp_path: Path) -> None:
    with watched_disk() as disk:
        async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
            (_, alice), _ = people
            group, _ = await open_room(*people)
            body = m.SendMessage(group.group_id, 1, group.encrypt(b"x"))
            disk.full = True
            with pytest.raises(WasRefused) as refused:
                await alice.ask(body)
            assert refused.value.code == "busy"
            disk.full = False
            assert await alice.ask(body, alice.name) == m.Appended(2)


async def test_what_is_kept_in_memory_dies_with_the_transaction_it_came_from(tmp_path: Path) -> None:
    with watched_disk() as disk:
        async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
            (_, alice), _ = people
            group, _ = await open_room(*people)
            disk.full = True
            for _ in range(3):
                with pytest.raises(WasRefused):
                    await alice.ask(m.SendMessage(group.group_id, 1, group.encrypt(b"x")), alice.name + 1)
            assert app.services.groups._present == {}
            disk.full = False


@pytest.mark.parametrize("error", [apsw.IOError, apsw.CorruptError, apsw.ReadOnlyError, apsw.FullError])
def test_q_02_a_database_that_fails_amid_a_job_is_no_mistake_of_the_job(error: type[apsw.Error]) -> None:
    """Told as a refusal, the transaction would go on upon it."""

    def fails(_: None) -> None:
        raise error("the disk")

    with pytest.raises(error):
        judged(None, fails)


class Overflowing:
    """A job that writes until there is no room."""

    def run(self, transaction: Transaction) -> None:
        transaction.db.execute("CREATE TABLE half (way)")
        raise apsw.FullError("no space left on the device")

    def done(self) -> None:
        raise AssertionError

    def undone(self, _refusal: Refusal) -> None:
        raise AssertionError


def test_c_04_what_found_no_room_half_way_is_undone_and_the_next_begins(tmp_path: Path) -> None:
    db = sqlite.open_database(sqlite.prepare_database(tmp_path / "data"))
    refusal, _ = _transact(db, [Overflowing()], Known())
    assert refusal is not None
    assert refusal.refused.code == "busy"
    assert db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'half'").get == 0
    assert _transact(db, [], Known()) == (None, 0)
    db.close()
