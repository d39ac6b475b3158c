"""A database of a release before is brought to the present, wherever that is interrupted (C-07)."""

import contextlib
import json
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from securechat.mls.framing import ContentType, PrivateMessage, encode_message
from securechat.mls.nodes import Epoch
from securechat.protocol import messages as m
from securechat.protocol.limits import ANSWERS_KEPT
from securechat.server.store import answers
from securechat.server.store.migrate import make_shrinkable, migrate
from securechat.server.store.sqlite import open_database, prepare_database
from tests.faults.disk import Operation, faulty_disk, write_files
from tests.server.peer import Peer, Person
from tests.server.running import running_server
from tests.server.sweeping import rows, sweep

DATA = Path(__file__).parent / "data"
SEED = 7


@dataclass(frozen=True)
class Before:
    """What a release left: its database, and the keys of the people in it."""

    group: bytes
    people: dict[str, Person]


def left_by(version: int, folder: Path) -> Before:
    """Put the database of a version where a server looks for it."""
    data = folder / "data"
    data.mkdir(mode=0o700, parents=True)
    path = data / "server.db"
    path.touch(mode=0o600)
    db = apsw.Connection(str(path))
    db.pragma("journal_mode", "wal")
    db.execute((DATA / f"version_{version}.sql").read_text())
    db.close()
    said = json.loads((DATA / f"version_{version}.json").read_text())
    people = {user: person(user, keys) for user, keys in said["people"].items()}
    return Before(bytes.fromhex(said["group"]), people)


def person(user: str, keys: dict[str, str]) -> Person:
    def key(name: str) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(keys[name]))

    return Person(
        user,
        "old.example",
        keys["client"],
        account_key=key("account_key"),
        device_key=key("device_key"),
        login_key=key("login_key"),
        salt=bytes.fromhex(keys["salt"]),
    )


def sealed(group: bytes, epoch: int) -> bytes:
    """A message as far as a server can see."""
    return encode_message(PrivateMessage(group, Epoch(epoch), ContentType.APPLICATION, b"", b"x", b"y"))


async def logged_in(port: int, someone: Person) -> Peer:
    peer = await Peer.connect(port)
    await peer.log_in(someone)
    return peer


async def test_c_07_a_database_of_version_1_works_on(tmp_path: Path) -> None:
    before = left_by(1, tmp_path)
    async with running_server(tmp_path) as app:
        alice, bob = [await logged_in(app.port, each) for each in before.people.values()]
        assert alice.hello is not None
        assert alice.hello.domain == "old.example"
        status = await bob.ask(m.Sync())
        assert isinstance(status, m.Synced)
        assert [(each.epoch, each.head, each.start, each.cursor) for each in status.groups] == [(2, 5, 2, 2)]

        told = await alice.ask(m.SendMessage(before.group, 2, sealed(before.group, 2)))
        fetched = await bob.ask(m.Fetch(before.group, 2))

        assert told == m.Appended(6)
        assert isinstance(fetched, m.Entries)
        kinds = [each.kind for each in fetched.entries if isinstance(each, m.Entry)]
        assert kinds == ["message", "message", "commit", "message", "message"]
        for peer in (alice, bob):
            await peer.close()


async def test_c_07_what_lay_there_before_is_counted_and_goes_in_its_time(tmp_path: Path) -> None:
    before = left_by(1, tmp_path)
    async with running_server(tmp_path) as app:
        counted = "SELECT stored FROM client ORDER BY id"
        lying = (
            "SELECT (SELECT sum(length(body)) FROM entry) + "
            "(SELECT sum(length(public_state)) FROM epoch_state) + "
            "(SELECT sum(length(body)) FROM tree_node WHERE until IS NULL)"
        )
        assert await rows(app, counted) == [*await rows(app, lying), (0,)]
        swept = await sweep(app, days=31)
        assert (swept.messages, swept.expired) == (0, 3)
        assert await rows(app, counted) == [*await rows(app, lying), (0,)]
        bob = await logged_in(app.port, before.people["bob"])
        fetched = await bob.ask(m.Fetch(before.group, 3))
        assert isinstance(fetched, m.Entries)
        assert [type(each) for each in fetched.entries] == [m.Gap, m.Entry, m.Gap]
        await bob.close()


async def test_c_07_what_clients_were_told_before_they_are_told_again(tmp_path: Path) -> None:
    before = left_by(1, tmp_path)
    db = apsw.Connection(str(tmp_path / "data" / "server.db"))
    told: list[Any] = db.execute("SELECT slot / 1024, name, digest, refused, body FROM answer").fetchall()
    last = 5_000
    ring = [
        (2 * ANSWERS_KEPT + name % ANSWERS_KEPT, name) for name in range(last - ANSWERS_KEPT + 1, last + 1)
    ]
    db.executemany("INSERT OR REPLACE INTO answer VALUES (?1, ?2, x'', 0, CAST(?2 AS BLOB))", ring)
    db.execute("UPDATE client SET high_water = ? WHERE id = 2", (last,))
    db.close()
    async with running_server(tmp_path) as app:
        alice = await logged_in(app.port, before.people["alice"])
        await alice.ask(m.SendMessage(before.group, 2, sealed(before.group, 2)))
        await alice.close()

    db = open_database(tmp_path / "data" / "server.db")
    for client, name, digest, refused, body in told:
        if client == 1:
            assert answers.find(db, client, name) == (digest, bool(refused), body)
    bobs = [answers.find(db, 2, name) for _, name in ring]
    assert bobs == [(b"", False, b"%d" % name) for _, name in ring]
    assert answers.find(db, 2, 1) is None
    db.close()


def test_a_database_of_before_can_give_back_its_pages(tmp_path: Path) -> None:
    left_by(1, tmp_path)
    assert open_database(prepare_database(tmp_path / "data")).pragma("auto_vacuum") == 2


def contents(db: apsw.Connection) -> dict[str, list[Any]]:
    """Every row of every table, and the schema."""
    schema = db.execute("SELECT name, sql FROM sqlite_schema ORDER BY name").fetchall()
    tables = [name for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
    found = {str(name): sorted(db.execute(f"SELECT * FROM {name}"), key=repr) for name in tables}  # noqa: S608
    return {"schema": schema, "version": [db.pragma("user_version")], **found}


def brought_up(folder: Path) -> dict[str, list[Any]]:
    db = open_database(prepare_database(folder))
    try:
        assert db.pragma("integrity_check") == "ok"
        return contents(db)
    finally:
        db.close()


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """The data folder of version 1."""
    left_by(1, tmp_path / "old")
    return tmp_path / "old" / "data"


@pytest.fixture
def expected(old: Path, tmp_path: Path) -> dict[str, list[Any]]:
    """What comes of it when nothing happens."""
    shutil.copytree(old, tmp_path / "undisturbed")
    return brought_up(tmp_path / "undisturbed")


def interruptions(old: Path, folder: Path) -> Iterator[bool]:
    """End the migration before its first statement, before its second ... ; False once it went through."""
    number = 0
    while True:
        number += 1
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(old, folder)
        db = open_database(folder / "server.db")
        left = number

        def count(*_statement: object) -> bool:
            nonlocal left
            left -= 1
            return left > 0

        db.exec_trace = count
        try:
            migrate(db)
            make_shrinkable(db)
        except apsw.ExecTraceAbort:
            db.exec_trace = None
            if db.in_transaction:
                db.execute("ROLLBACK")
            yield True
        else:
            yield False
            return
        finally:
            db.close()


def test_c_07_a_migration_that_is_interrupted_at_any_statement_goes_through_the_next_time(
    old: Path, expected: dict[str, list[Any]], tmp_path: Path
) -> None:
    count = 0
    for interrupted in interruptions(old, tmp_path / "again"):
        assert brought_up(tmp_path / "again") == expected
        count += interrupted
    assert count > 20


def test_c_07_a_migration_that_loses_power_at_any_write_goes_through_the_next_time(
    old: Path, expected: dict[str, list[Any]], tmp_path: Path
) -> None:
    """At each write and sync of the database and its log: what the disk has then is enough."""
    chance = random.Random(SEED)
    found: list[dict[str, bytes]] = []
    with faulty_disk(old) as disk:

        def lose_power(operation: Operation) -> None:
            if operation.verb in {"write", "sync"} and not operation.name.endswith("-shm"):
                found.append(disk.after_power_loss(chance))

        disk.operation = lose_power
        prepare_database(old)

    assert len(found) >= 100
    for number, files in enumerate(found):
        folder = tmp_path / f"loss {number}"
        folder.mkdir(mode=0o700)
        write_files(folder, files)
        with contextlib.suppress(FileNotFoundError):
            (folder / "server.db-shm").unlink()
        assert brought_up(folder) == expected
        shutil.rmtree(folder)
