"""Copies of a server in use, and what begins when one of them comes back (N-03)."""

import os
import secrets
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from securechat.mls.codec import encode
from securechat.protocol import messages as m
from securechat.server import backup
from securechat.server.backup import BackupFailed, back_up, begin_incarnation_if_due
from securechat.server.store.migrate import migrate
from securechat.server.store.sqlite import open_database
from tests.server.peer import Peer, Person, WasRefused, claim, open_room, publish, registered
from tests.server.running import running_server


def restore(copy: Path, folder: Path) -> Path:
    """Put a copy where a server of ``folder`` looks for its data, in place of what is there."""
    data = folder / "data"
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(mode=0o700)
    shutil.copy(copy, data / "server.db")
    return data / "server.db"


def names_in(folder: Path, part: str) -> list[str]:
    return [path.name for path in folder.iterdir() if part in path.name]


def server_row(path: Path) -> tuple[int, int]:
    db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        incarnation, is_copy = db.execute("SELECT incarnation, is_copy FROM server").fetchone() or (0, 0)
    finally:
        db.close()
    return incarnation, is_copy


async def test_n_03_a_copy_of_a_server_in_use_is_one_private_file_that_says_it_is_one(tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (at_alice, _), (_, alice) = await open_room(*people), people[0]
        await alice.ask(m.SendMessage(at_alice.group_id, 1, at_alice.encrypt(b"before")))
        facts = back_up(tmp_path / "data" / "server.db", target)
        await alice.ask(m.SendMessage(at_alice.group_id, 1, at_alice.encrypt(b"after")))

    assert (facts.path, facts.accounts, facts.groups) == (target, 2, 1)
    assert facts.size == target.stat().st_size
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert names_in(tmp_path, "copy") == ["copy.db"]
    assert server_row(target) == (1, 1)
    assert server_row(tmp_path / "data" / "server.db") == (1, 0)
    db = apsw.Connection(str(target))
    assert db.execute("SELECT head FROM conversation").fetchall() == [(2,)]
    assert db.pragma("journal_mode") == "delete"
    db.close()


def database(folder: Path) -> Path:
    """A server's database with more pages than one step copies."""
    path = folder / "server.db"
    db = open_database(path)
    migrate(db)
    db.execute(
        "INSERT INTO server (id, domain, identity_key, secret, incarnation) VALUES (1, 'd', x'', x'', 1)"
    )
    db.execute(
        "INSERT INTO account (user, salt, login_hash, account_key, statement, created) "
        "VALUES ('alice', x'', '', x'', zeroblob(400000), 0)"
    )
    db.close()
    return path


def test_n_03_a_copy_is_of_one_moment_and_ends_though_somebody_writes_all_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backup, "STEP_PAGES", 4)
    path = database(tmp_path)
    writer = open_database(path)
    steps = 0

    def write() -> bool:
        nonlocal steps
        steps += 1
        assert steps < 1000, "it begins anew with every write"
        writer.execute("UPDATE account SET created = ?, statement = zeroblob(400000 + ?)", (steps, steps))
        return True

    back_up(path, tmp_path / "copy.db", goes_on=write)

    writer.close()
    copy = apsw.Connection(str(tmp_path / "copy.db"))
    assert steps > 10
    assert copy.execute("SELECT created FROM account").fetchall() == [(0,)]
    copy.close()


def refuses(source: Path, target: Path, **more: Callable[[], bool]) -> str:
    """Why there is no copy; nothing of it may be left."""
    before = sorted(target.parent.iterdir())
    with pytest.raises(BackupFailed) as failed:
        back_up(source, target, **more)
    assert sorted(target.parent.iterdir()) == before
    return str(failed.value)


def test_n_03_a_copy_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, folder = database(tmp_path), tmp_path / "copies"
    folder.mkdir()
    target = folder / "copy.db"

    assert "given up" in refuses(path, target, goes_on=lambda: False)
    assert "no database" in refuses(tmp_path / "nothing.db", target)
    assert "No such file" in (refuses_into(path, tmp_path / "nowhere" / "copy.db"))
    with monkeypatch.context() as patch:
        patch.setattr(backup, "_sync", no_space)
        assert "No space" in refuses(path, target)
    with monkeypatch.context() as patch:
        patch.setattr(os, "link", no_space)
        assert "No space" in refuses(path, target)


def refuses_into(source: Path, target: Path) -> str:
    with pytest.raises(BackupFailed) as failed:
        back_up(source, target)
    return str(failed.value)


def no_space(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


def test_n_03_a_copy_is_on_the_disk_before_it_has_its_name_and_then_its_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, folder = database(tmp_path), tmp_path / "copies"
    folder.mkdir()
    steps: list[tuple[str, int]] = []
    fsync, link = os.fsync, os.link

    def synced(number: int) -> None:
        fsync(number)
        steps.append(("synced", os.fstat(number).st_ino))

    def linked(old: Path, new: Path, *, follow_symlinks: bool) -> None:
        link(old, new, follow_symlinks=follow_symlinks)
        steps.append(("linked", new.stat().st_ino))

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "link", linked)
    target = back_up(path, folder / "copy.db").path

    copy = target.stat().st_ino
    assert steps == [("synced", copy), ("linked", copy), ("synced", folder.stat().st_ino)]


def test_n_03_a_copy_takes_nobodys_place_and_follows_no_link(tmp_path: Path) -> None:
    path, folder = database(tmp_path), tmp_path / "copies"
    folder.mkdir()
    (folder / "taken").write_bytes(b"precious")
    (folder / "link").symlink_to(tmp_path / "elsewhere")

    assert "exists already" in refuses(path, folder / "taken")
    assert "exists already" in refuses(path, folder / "link")
    assert (folder / "taken").read_bytes() == b"precious"
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o1777])
def test_l_01_a_copy_is_not_made_where_others_may_write(tmp_path: Path, mode: int) -> None:
    """They could put a link, or a journal that SQLite believes, beside it while it is made."""
    path, folder = database(tmp_path), tmp_path / "copies"
    folder.mkdir()
    folder.chmod(mode)

    assert f"others may write to the folder {folder}" in refuses(path, folder / "copy.db")
    (tmp_path / "link").symlink_to(folder)
    assert f"others may write to the folder {folder}" in refuses(path, tmp_path / "link" / "copy.db")


def test_l_01_others_may_not_change_the_way_to_a_copy(tmp_path: Path) -> None:
    path, shared, own = database(tmp_path), tmp_path / "shared", tmp_path / "shared" / "own"
    own.mkdir(parents=True)
    shared.chmod(0o777)
    assert f"others may write to the folder {shared}" in refuses(path, own / "copy.db")
    shared.chmod(0o1777)
    assert back_up(path, own / "copy.db").path.is_file()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives things away")
def test_l_01_a_copy_is_not_made_in_somebody_elses_folder_nor_behind_their_link(tmp_path: Path) -> None:
    path, theirs, link = database(tmp_path), tmp_path / "theirs", tmp_path / "link"
    theirs.mkdir()
    os.chown(theirs, 12345, -1)
    link.symlink_to(tmp_path)
    os.chown(link, 12345, -1, follow_symlinks=False)
    for folder in (theirs, link):
        assert f"the folder {folder} belongs to somebody else" in refuses(path, folder / "copy.db")


def test_n_03_a_damaged_database_gives_no_copy(tmp_path: Path) -> None:
    path = database(tmp_path)
    open_database(path).close()
    data = bytearray(path.read_bytes())
    page = len(data) - 20 * 4096
    data[page : page + 64] = b"\xa5" * 64
    path.write_bytes(data)

    assert "damaged" in refuses_into(path, tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()


async def test_n_03_no_key_package_of_before_is_handed_out_again(tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (_, alice), (bobs_keys, bob) = people
        bundles = await publish(bob, bobs_keys, 2, last_resort=True)
        back_up(tmp_path / "data" / "server.db", copy)
        await claim(alice, "bob")
    restore(copy, tmp_path)

    async with running_server(tmp_path) as app:
        alice, bob = await back(app.port, people[0][0]), await back(app.port, bobs_keys)
        assert await alice.ask(m.ClaimKeyPackages("bob", 3)) == m.ClaimedKeyPackages("bob", [])
        assert await bob.ask(m.CountKeyPackages()) == m.KeyPackageCount(0, last_resort=False)
        for bundle in bundles[:2]:
            with pytest.raises(WasRefused, match="exists"):
                await bob.ask(m.PublishKeyPackages([encode(bundle.key_package)]))
        (fresh,) = await publish(bob, bobs_keys)
        assert await claim(alice, "bob") == fresh.key_package
        await alice.close()
        await bob.close()


async def back(port: int, person: Person) -> Peer:
    peer = await Peer.connect(port)
    await peer.log_in(person)
    return peer


async def test_n_03_every_restore_is_an_incarnation_of_its_own(tmp_path: Path) -> None:
    copy = tmp_path / "copy.db"
    async with running_server(tmp_path) as app, registered(app, "alice") as [(alice, _)]:
        back_up(tmp_path / "data" / "server.db", copy)

    told = []
    for _ in range(2):
        path = restore(copy, tmp_path)
        async with running_server(tmp_path) as app:
            peer = await Peer.connect(app.port)
            told.append((await peer.log_in(alice)).incarnation)
            await peer.close()
        assert server_row(path) == (told[-1], 0)
    async with running_server(tmp_path) as app:
        assert app.identity.incarnation == told[-1], "the next start is none"
    async with running_server(tmp_path, restored=True) as app:
        assert app.identity.incarnation > told[-1]
    assert told[0] > 1
    assert told[0] != told[1]


def test_n_03_an_incarnation_rises_though_the_clock_does_not(tmp_path: Path) -> None:
    path = database(tmp_path)
    begin_incarnation_if_due(path, restored=True, now=2_000_000_000)
    first, _ = server_row(path)
    begin_incarnation_if_due(path, restored=True, now=0)

    assert server_row(path)[0] > first


def test_n_03_a_copy_restored_twice_is_two_though_the_clock_has_gone_back(tmp_path: Path) -> None:
    path = database(tmp_path)
    begin_incarnation_if_due(path, restored=True, now=2_000_000_000)
    begun = set()
    for number in range(4):
        copy = tmp_path / f"{number}.db"
        back_up(path, copy)
        begin_incarnation_if_due(copy, restored=False, now=1)
        begun.add(server_row(copy)[0])
    assert len(begun) > 1, "four times the same of a million"


def test_n_03_a_crash_in_the_middle_begins_no_incarnation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "copy.db"
    back_up(database(tmp_path), copy)
    path = restore(copy, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(secrets, "randbits", no_space)
        with pytest.raises(OSError, match="No space"):
            begin_incarnation_if_due(path, restored=False, now=1)
    assert server_row(path) == (1, 1)

    assert begin_incarnation_if_due(path, restored=False, now=1)
    assert not begin_incarnation_if_due(path, restored=False, now=1)


def test_a_first_start_with_restored_has_nothing_to_begin(tmp_path: Path) -> None:
    path = tmp_path / "server.db"
    db = open_database(path)
    migrate(db)
    db.close()

    assert not begin_incarnation_if_due(path, restored=True, now=1)
