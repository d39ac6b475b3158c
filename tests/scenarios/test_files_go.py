"""Files that are not wanted go, at the server and where they were fetched; the others come (U-05, L-04)."""

import asyncio
import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from securechat.client import attachments, forgetting, transfers
from securechat.client.errors import Disconnected, FileRefused, NoFile
from securechat.client.events import MessageReceived, Notice
from securechat.content.errors import ContentError
from securechat.content.sealed_file import PIECE
from securechat.protocol.messages import FilePiece, FileStored
from tests.scenarios.test_files import (
    Line,
    a_file,
    emptied,
    fetched,
    gone_from_disk,
    names,
    offered,
    only,
    raising,
    sent,
    whole_files,
)
from tests.scenarios.world import PATIENCE, Person, World
from tests.server.sweeping import rows


@pytest.fixture
def downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "downloads"
    monkeypatch.setattr(attachments, "downloads", lambda: folder)
    return folder


async def settled(person: Person) -> None:
    """Wait until nothing is left that is to go."""
    db = person.client._engine.store.db
    async with asyncio.timeout(PATIENCE):
        while transfers.files_to_go(db) or transfers.old_parts(db):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


async def stuck_at(person: Person, path: Path, piece: int) -> None:
    """Begin to send a file to bob, and close before all of it is at the server."""
    stuck = asyncio.Event()

    def stop(_: object) -> object:
        stuck.set()
        raise asyncio.CancelledError

    Line(person.client, FileStored, piece, stop)
    sending = asyncio.create_task(person.client.send_file("@bob", str(path)))
    await stuck.wait()
    await person.close()
    await asyncio.gather(sending, return_exceptions=True)


async def test_what_is_given_up_before_there_is_a_connection_leaves_the_server(
    world: World, tmp_path: Path
) -> None:
    """Its place among those being uploaded too: removing a file is how somebody calls its upload off."""
    alice, _ = await world.join("alice", "bob")
    path = a_file(tmp_path, 9 * PIECE)
    await stuck_at(alice, path, 3)
    path.unlink()
    await alice.open()
    await alice.sees(Notice, lambda event: event.code == "file_refused")
    await settled(alice)
    assert world.app is not None
    assert await rows(world.app, "SELECT * FROM file") == []
    assert whole_files(world) == []


async def test_what_is_withdrawn_without_a_connection_leaves_the_server_later(
    world: World, tmp_path: Path
) -> None:
    alice, bob = await world.join("alice", "bob")
    await sent(alice, "@bob", a_file(tmp_path, 10))
    which = await offered(bob)
    await world.stop_server()
    await alice.client.delete("@bob", which)
    await alice.close()
    await world.start_server()
    assert len(whole_files(world)) == 1
    await alice.open()
    await gone_from_disk(world)
    await settled(alice)


async def test_a_file_whose_message_is_refused_leaves_the_server(world: World, tmp_path: Path) -> None:
    alice, _ = await world.join("alice", "bob")
    await sent(alice, "@bob", a_file(tmp_path, 10))
    for state in ("queued", "refused"):
        assert len(whole_files(world)) == 1
        with alice.client._engine.changes.change() as change:
            change.db.execute("UPDATE message SET state = ? WHERE own = 1", (state,))
    await gone_from_disk(world)


async def test_a_file_that_was_sent_by_a_release_before_leaves_with_its_message_too(
    world: World, tmp_path: Path
) -> None:
    alice, bob = await world.join("alice", "bob")
    await sent(alice, "@bob", a_file(tmp_path, 10))
    with alice.client._engine.changes.change() as change:
        change.db.execute("DELETE FROM sent_file")
    await alice.client.delete("@bob", await offered(bob))
    await gone_from_disk(world)


async def test_a_message_that_disappears_leaves_its_file_to_who_has_not_read_it(
    world: World, tmp_path: Path, downloads: Path
) -> None:
    alice, bob = await world.join("alice", "bob")
    path = a_file(tmp_path, 10)
    await sent(alice, "@bob", path)
    disappears(alice)
    assert transfers.files_to_go(alice.client._engine.store.db) == []
    assert await fetched(bob, await offered(bob)) == path.read_bytes()


def disappears(person: Person) -> None:
    with person.client._engine.changes.change() as change:
        row = change.db.execute(
            "SELECT conversation, id, mimi_id FROM message WHERE kind = 'file'"
        ).fetchone()
        assert row is not None
        forgetting.disappear(change.db, *row)


async def half_fetched(bob: Person, which: str, downloads: Path) -> Path:
    Line(bob.client, FilePiece, 3, raising(FileRefused("stop here")))
    with pytest.raises(FileRefused, match="stop here"):
        await bob.client.fetch_file(which)
    return only(downloads)


async def test_l_04_what_is_withdrawn_leaves_no_part(world: World, tmp_path: Path, downloads: Path) -> None:
    alice, bob = await world.join("alice", "bob")
    await sent(alice, "@bob", a_file(tmp_path, 5 * PIECE))
    which = await offered(bob)
    await half_fetched(bob, which, downloads)
    await alice.client.delete("@bob", which)
    await emptied(downloads)
    await settled(bob)
    assert bob.client._engine.store.rows("SELECT * FROM fetched_file") == []


async def test_l_04_what_disappears_leaves_no_part_after_a_restart_either(
    world: World, tmp_path: Path, downloads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk that it lies on was not there when its time was over."""
    alice, bob = await world.join("alice", "bob")
    await sent(alice, "@bob", a_file(tmp_path, 5 * PIECE))
    part = await half_fetched(bob, await offered(bob), downloads)
    os.rename(downloads, tmp_path / "away")  # noqa: PTH104 - of a test: asyncio's rules know Path's alone
    disappears(bob)
    await bob.client.caught_up()
    await bob.close()
    (tmp_path / "away").rename(downloads)
    assert part.exists()
    await bob.open()
    await emptied(downloads)
    await settled(bob)


async def test_l_04_what_is_withdrawn_while_it_comes_is_not_saved(
    world: World, tmp_path: Path, downloads: Path
) -> None:
    alice, bob = await world.join("alice", "bob")
    await sent(alice, "@bob", a_file(tmp_path, 9 * PIECE))
    which = await offered(bob)
    honest = bob.client._engine._session.request
    count = 0

    async def withdrawn_meanwhile(body: object) -> object:
        nonlocal count
        answer = await honest(body)  # type: ignore[arg-type]
        count += isinstance(answer, FilePiece)
        if count == 9 and isinstance(answer, FilePiece):
            disappears(bob)
        return answer

    bob.client._engine._session.request = withdrawn_meanwhile  # type: ignore[method-assign, assignment]
    with pytest.raises(NoFile, match="withdrawn"):
        await bob.client.fetch_file(which)
    await emptied(downloads)


async def test_twelve_files_at_once_all_arrive(world: World, tmp_path: Path) -> None:
    """The server takes eight of an account at once; the others wait, and none is thrown away."""
    alice, _ = await world.join("alice", "bob")
    paths = [a_file(tmp_path, 1, f"{number}.bin") for number in range(12)]
    await asyncio.gather(*(alice.client.send_file("@bob", str(path)) for path in paths))
    assert len(whole_files(world)) == 12


async def test_twelve_files_sent_without_a_connection_all_arrive(world: World, tmp_path: Path) -> None:
    alice, _ = await world.join("alice", "bob")
    await sent(alice, "@bob", a_file(tmp_path, 1))
    await world.stop_server()
    paths = [a_file(tmp_path, 1, f"{number}.bin") for number in range(12)]
    sending = [asyncio.create_task(alice.client.send_file("@bob", str(path))) for path in paths]
    db = alice.client._engine.store.db
    async with asyncio.timeout(PATIENCE):
        while len(transfers.all_sending(db)) < 12:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    await world.start_server()
    await asyncio.gather(*sending)
    assert len(whole_files(world)) == 13


async def test_a_part_that_cannot_be_removed_keeps_no_file_from_coming(
    world: World, tmp_path: Path, downloads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lies on a stick that is read-only by now."""
    alice, bob = await world.join("alice", "bob")
    path = a_file(tmp_path, 5 * PIECE)
    await sent(alice, "@bob", path)
    which = await offered(bob)
    part = await half_fetched(bob, which, downloads)
    honest = Path.unlink

    def unlink(self: Path, *, missing_ok: bool = False) -> None:
        if self == part:
            raise OSError(errno.EROFS, "Read-only file system")
        honest(self, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink)
    assert await fetched(bob, which, to=str(tmp_path / "elsewhere")) == path.read_bytes()
    assert part.exists()


async def test_a_folder_that_was_removed_with_a_part_is_made_again(
    world: World, tmp_path: Path, downloads: Path
) -> None:
    alice, bob = await world.join("alice", "bob")
    path = a_file(tmp_path, 5 * PIECE)
    await sent(alice, "@bob", path)
    which = await offered(bob)
    await half_fetched(bob, which, downloads)
    shutil.rmtree(downloads)
    assert await fetched(bob, which) == path.read_bytes()


async def test_who_wants_a_file_in_two_folders_at_once_has_it_in_both(world: World, tmp_path: Path) -> None:
    alice, bob = await world.join("alice", "bob")
    path = a_file(tmp_path, 3 * PIECE)
    await sent(alice, "@bob", path)
    which = await offered(bob)
    folders = [tmp_path / name for name in ("a", "b")]
    places = await asyncio.gather(*(bob.client.fetch_file(which, to=str(folder)) for folder in folders))
    assert [Path(place) for place in places] == [folder / "data.bin" for folder in folders]
    assert {only(folder).read_bytes() for folder in folders} == {path.read_bytes()}


async def test_who_waits_for_another_folder_is_told_that_the_account_was_closed(
    world: World, tmp_path: Path
) -> None:
    alice, bob = await world.join("alice", "bob")
    await sent(alice, "@bob", a_file(tmp_path, 9 * PIECE))
    which = await offered(bob)
    stuck = asyncio.Event()

    def stop(_: object) -> object:
        stuck.set()
        raise asyncio.CancelledError

    Line(bob.client, FilePiece, 3, stop)
    asking = [
        asyncio.create_task(bob.client.fetch_file(which, to=str(tmp_path / name))) for name in ("a", "b")
    ]
    await stuck.wait()
    await bob.close()
    for found in await asyncio.gather(*asking, return_exceptions=True):
        assert isinstance(found, Disconnected)


def rewritten(place: Path) -> bytes:
    """What a user makes of a file, in its place."""
    with place.open("r+b") as notes:
        notes.write(b"my own words")
        notes.truncate(PIECE)
    return content_of(place)


def content_of(place: Path) -> bytes:
    return place.read_bytes()


async def test_u_05_a_crash_between_two_names_leaves_the_file_to_the_user(
    world: World, tmp_path: Path, downloads: Path
) -> None:
    """It had its name already, and the store did not know; meanwhile the user has written in it."""
    alice, bob = await world.join("alice", "bob")
    path = a_file(tmp_path, 3 * PIECE, "notes.txt")
    await sent(alice, "@bob", path)
    which = await offered(bob)
    place = Path(await bob.client.fetch_file(which))
    part = downloads / ".securechat-0123456789abcdef.part"
    os.link(place, part)
    with bob.client._engine.changes.change() as change:
        change.db.execute("UPDATE fetched_file SET part = ?, path = x''", (os.fsencode(part),))
    mine = rewritten(place)
    assert await fetched(bob, which) == path.read_bytes()
    assert content_of(place) == mine
    await settled(bob)
    assert names(downloads) == ["notes (2).txt", "notes.txt"]


async def test_a_date_and_a_caption_that_no_message_can_hold_keep_no_file_from_going(
    world: World, tmp_path: Path, downloads: Path
) -> None:
    alice, bob = await world.join("alice", "bob")
    late: Callable[[object], object] = lambda answer: replace(answer, expires=1 << 33)  # type: ignore[type-var]  # noqa: E731
    Line(alice.client, FileStored, 2, late)
    path = a_file(tmp_path, 10)
    await sent(alice, "@bob", path, caption="what \udcff is that")
    event = await bob.sees(MessageReceived, lambda event: "what ? is that" in event.message.text)
    assert await fetched(bob, event.message.id) == path.read_bytes()


async def test_a_message_that_cannot_be_made_gives_its_file_up(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, _ = await world.join("alice", "bob")

    def no_message(*_: object, **__: object) -> None:
        raise ContentError("The content has a field that cannot be encoded.")

    monkeypatch.setattr(attachments, "queue_file", no_message)
    with pytest.raises(FileRefused, match="cannot be encoded"):
        await alice.client.send_file("@bob", str(a_file(tmp_path, 10)))
    assert transfers.all_sending(alice.client._engine.store.db) == []
    await settled(alice)
    assert whole_files(world) == []
