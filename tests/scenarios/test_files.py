"""Files between people: they arrive as they were sent, or not at all (U-05, Q-02)."""

import asyncio
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from securechat.client import attachments, source_file, transfers
from securechat.client.client import Client
from securechat.client.errors import (
    Disconnected,
    FileDamaged,
    FileRefused,
    Forbidden,
    NoFile,
    NotAMember,
    RefusedByServer,
    Replaced,
    UnknownConversation,
    UnknownMessage,
)
from securechat.client.events import FileInfo, FileMoved, MessageChanged, MessageKind, MessageReceived, Notice
from securechat.client.file_message import queue_file
from securechat.content.sealed_file import PIECE, SEALED_PIECE, SealedFile, file_part, read_file_part
from securechat.protocol.messages import FilePiece, FileStored, GetFile, PutFile
from securechat.server.attachment_disk import Disk
from tests.scenarios.world import PATIENCE, Person, World


@pytest.fixture
def downloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "downloads"
    monkeypatch.setattr(attachments, "downloads", lambda: folder)
    return folder


def a_file(folder: Path, size: int, name: str = "data.bin") -> Path:
    path = folder / name
    path.write_bytes(secrets.token_bytes(size))
    return path


async def sent(person: Person, to: str, path: Path, caption: str = "") -> None:
    message = await person.client.send_file(to, str(path), caption=caption)
    await person.client.acknowledged(message.local_id, PATIENCE)


async def offered(person: Person) -> str:
    """Wait for a message with a file; return its id."""
    event = await person.sees(MessageReceived, lambda event: event.message.text.startswith("(a file"))
    return event.message.id


def only(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def fetched(person: Person, which: str, to: str = "") -> bytes:
    return Path(await person.client.fetch_file(which, to=to)).read_bytes()  # noqa: ASYNC240 - a test's own


def whole_files(world: World) -> list[Path]:
    """What lies at the server."""
    return [path for path in (world.folder / "server" / "files").rglob("*") if path.is_file()]


async def test_a_file_arrives_as_it_was_sent(world: World, tmp_path: Path, downloads: Path) -> None:
    alice, bob = await world.join("alice", "bob")
    for size in (0, 1, PIECE, PIECE + 1, 5 * PIECE + 77):
        path = a_file(tmp_path, size, f"notes {size}.txt")
        await sent(alice, "@bob", path, f"read these {size}")
        event = await bob.sees(MessageReceived, lambda e: e.message.text.endswith(f"these {size}"))  # noqa: B023
        info = FileInfo(name=path.name, content_type="text/plain", size=size, state="offered")
        assert (event.message.kind, event.message.file) == (MessageKind.FILE, info)
        assert await fetched(bob, event.message.id) == path.read_bytes()
        assert mode_of(downloads / path.name) == 0o600
        saved = await bob.sees(MessageChanged, lambda e: e.message.id == event.message.id)  # noqa: B023
        assert saved.message.file == replace(info, state="saved", path=str(downloads / path.name))
    assert len(names(downloads)) == 5


async def test_nothing_is_fetched_or_opened_by_itself(world: World, tmp_path: Path, downloads: Path) -> None:
    """U-05: whoever only receives asks the server for nothing."""
    alice, bob = await world.join("alice", "bob")
    await sent(alice, "@bob", a_file(tmp_path, 100))
    await offered(bob)
    await bob.client.caught_up()
    assert world.app is not None
    assert world.app.counters.file_bytes_sent == 0
    assert names(downloads) == []


async def test_u_05_a_hostile_name_leads_nowhere(
    world: World, tmp_path: Path, downloads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = await world.join("alice", "bob")
    name = "../../../.ssh/authorized_keys\x1b[2J"
    monkeypatch.setattr(attachments, "safe_name", lambda _: name)
    await sent(alice, "@bob", a_file(tmp_path, 100))
    monkeypatch.undo()
    monkeypatch.setattr(attachments, "downloads", lambda: downloads)
    place = Path(await bob.client.fetch_file(await offered(bob)))
    assert place == downloads / "authorized_keys_[2J"


async def test_u_05_fetched_again_it_lies_where_it_was(world: World, tmp_path: Path, downloads: Path) -> None:
    alice, bob = await world.join("alice", "bob")
    await sent(alice, "@bob", a_file(tmp_path, 100))
    which = await offered(bob)
    first = await bob.client.fetch_file(which)
    assert await bob.client.fetch_file(which[:8]) == first
    (downloads / "data.bin").unlink()
    assert await bob.client.fetch_file(which) == first
    elsewhere = await bob.client.fetch_file(which, to=str(tmp_path / "other"))
    assert Path(elsewhere).parent == tmp_path / "other"


async def test_two_who_want_one_file_at_once_get_the_same(
    world: World, tmp_path: Path, downloads: Path
) -> None:
    alice, bob = await world.join("alice", "bob")
    await sent(alice, "@bob", a_file(tmp_path, 3 * PIECE))
    which = await offered(bob)
    places = await asyncio.gather(*(bob.client.fetch_file(which) for _ in range(3)))
    assert len(set(places)) == 1
    assert only(downloads) == Path(places[0])


async def test_the_server_has_nothing_but_sealed_pieces(world: World, tmp_path: Path) -> None:
    alice, _ = await world.join("alice", "bob")
    path = tmp_path / "canary-name.txt"
    path.write_bytes(b"canary-content " * 5_000)
    await sent(alice, "@bob", path, "canary-caption")
    stored = world.stored()
    assert len(stored) > 75_000
    for word in (b"canary-name", b"canary-content", b"canary-caption"):
        assert word not in stored


async def test_how_far_it_is_is_told_on_both_sides(world: World, tmp_path: Path, downloads: Path) -> None:
    alice, bob = await world.join("alice", "bob")
    await sent(alice, "@bob", a_file(tmp_path, 5 * PIECE))
    total = 5 * SEALED_PIECE
    up = await alice.sees(FileMoved, lambda event: event.done == total)
    assert up == FileMoved("data.bin", total, total, sending=True, number=1)
    await bob.client.fetch_file(await offered(bob))
    assert await bob.sees(FileMoved, lambda event: event.done == total) == replace(up, sending=False)


async def test_what_cannot_be_sent_is_said_before_anything_goes(world: World, tmp_path: Path) -> None:
    (alice,) = await world.join("alice")
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "nowhere", tmp_path, tmp_path / "pipe", Path("/dev/zero"), tmp_path / "a\0b"):
        with pytest.raises(FileRefused):
            await alice.client.send_file("@bob", str(path))
    with (tmp_path / "large").open("wb") as large:
        large.truncate((1 << 30) + 1)
    with pytest.raises(FileRefused, match="too large"):
        await alice.client.send_file("@bob", str(tmp_path / "large"))
    with pytest.raises(FileRefused, match="caption"):
        await alice.client.send_file("@bob", str(a_file(tmp_path, 1)), caption="x" * 20_000)
    with pytest.raises(UnknownConversation):
        await alice.client.send_file("#nobody", str(a_file(tmp_path, 1)))
    assert transfers.all_sending(alice.client._engine.store.db) == []


async def test_a_message_without_a_file_has_nothing_to_fetch(world: World) -> None:
    alice, bob = await world.join("alice", "bob")
    await alice.says("@bob", "only words")
    heard = await bob.hears("only words")
    for which in (heard.message.id, str(heard.message.local_id)):
        with pytest.raises(NoFile):
            await bob.client.fetch_file(which)
    for which in ("f" * 64, "999", "nonsense", "ab%", ""):
        with pytest.raises(UnknownMessage):
            await bob.client.fetch_file(which)


async def test_who_is_not_in_a_room_sends_no_file_to_it(world: World, tmp_path: Path) -> None:
    alice, _ = await world.join("alice", "bob")
    await alice.client.create_room("#team")
    await alice.client.leave("#team")
    with pytest.raises(NotAMember):
        await alice.client.send_file("#team", str(a_file(tmp_path, 1)))


class Line:
    """Stands between a client's files and its session, and does something to the ``number``-th answer."""

    def __init__(self, client: Client, kind: type, number: int, twist: Callable[[object], object]) -> None:
        self.count = 0
        self._kind, self._number, self._twist = kind, number, twist
        self._honest = client._engine._session.request
        client._engine._session.request = self.request  # type: ignore[method-assign, assignment]

    async def request(self, body: object) -> object:
        answer = await self._honest(body)  # type: ignore[arg-type]
        if type(answer) is self._kind:
            self.count += 1
            if self.count == self._number:
                return self._twist(answer)
        return answer


def raising(error: Exception) -> Callable[[object], object]:
    def twist(_: object) -> object:
        raise error

    return twist


@pytest.mark.parametrize("number", [1, 6])
async def test_a_broken_line_costs_only_what_was_under_way(
    world: World, tmp_path: Path, downloads: Path, number: int
) -> None:
    alice, bob = await world.join("alice", "bob")
    path = a_file(tmp_path, 8 * PIECE + 1)

    def cut(person: Person) -> Callable[[object], object]:
        def twist(answer: object) -> object:
            person.client._engine._session._link._transport.abort()  # type: ignore[union-attr]
            return answer

        return twist

    Line(alice.client, FileStored, number, cut(alice))
    await sent(alice, "@bob", path)
    Line(bob.client, FilePiece, number, cut(bob))
    assert await fetched(bob, await offered(bob)) == path.read_bytes()
    assert world.app is not None
    assert world.app.counters.file_bytes_received == 9 * SEALED_PIECE - PIECE + 1


async def test_a_server_that_is_busy_is_asked_again(world: World, tmp_path: Path, downloads: Path) -> None:
    alice, bob = await world.join("alice", "bob")
    path = a_file(tmp_path, 9 * PIECE)
    for number, code in ((1, "limited"), (3, "busy"), (9, "internal")):
        Line(alice.client, FileStored, number, raising(RefusedByServer(code)))
        Line(bob.client, FilePiece, number, raising(RefusedByServer(code)))
    await sent(alice, "@bob", path)
    assert await fetched(bob, await offered(bob)) == path.read_bytes()


async def test_q_08_a_quota_is_told_and_nothing_is_left(world: World, tmp_path: Path) -> None:
    alice, _ = await world.join("alice", "bob")
    Line(alice.client, FileStored, 3, raising(RefusedByServer("quota", "too much")))
    with pytest.raises(RefusedByServer, match="too much"):
        await alice.client.send_file("@bob", str(a_file(tmp_path, 5 * PIECE)))
    assert transfers.all_sending(alice.client._engine.store.db) == []
    assert alice.client.messages("@bob") == []
    await gone_from_disk(world)


async def emptied(folder: Path) -> None:
    async with asyncio.timeout(PATIENCE):
        while names(folder):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


async def gone_from_disk(world: World) -> None:
    async with asyncio.timeout(PATIENCE):
        while whole_files(world):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


async def test_a_withdrawn_message_takes_its_file_from_the_server(world: World, tmp_path: Path) -> None:
    alice, bob = await world.join("alice", "bob")
    await sent(alice, "@bob", a_file(tmp_path, PIECE))
    which = await offered(bob)
    with pytest.raises(Forbidden):
        await bob.client.delete("@alice", which)
    assert len(whole_files(world)) == 1
    await alice.client.delete("@bob", which)
    await gone_from_disk(world)


async def test_an_upload_goes_on_after_a_restart_of_the_client(
    world: World, tmp_path: Path, downloads: Path
) -> None:
    alice, bob = await world.join("alice", "bob")
    path = a_file(tmp_path, 9 * PIECE)
    stuck = asyncio.Event()

    def stop(answer: object) -> object:
        stuck.set()
        raise asyncio.CancelledError

    Line(alice.client, FileStored, 5, stop)
    sending = asyncio.create_task(alice.client.send_file("@bob", str(path)))
    await stuck.wait()
    await alice.close()
    await asyncio.gather(sending, return_exceptions=True)
    await alice.open()
    assert await fetched(bob, await offered(bob)) == path.read_bytes()
    assert transfers.all_sending(alice.client._engine.store.db) == []


async def test_a_session_that_ends_for_good_leaves_the_upload_for_the_next(
    world: World, tmp_path: Path, downloads: Path
) -> None:
    alice, bob = await world.join("alice", "bob")
    path = a_file(tmp_path, 9 * PIECE)

    def replaced(_: object) -> object:
        alice.client._engine._session._link.fail(Replaced("elsewhere"))  # type: ignore[union-attr]
        raise Disconnected("elsewhere")

    Line(alice.client, FileStored, 4, replaced)
    with pytest.raises(Disconnected, match="elsewhere"):
        await alice.client.send_file("@bob", str(path))
    await alice.close()
    await alice.open()
    assert await fetched(bob, await offered(bob)) == path.read_bytes()


async def test_a_file_that_changed_meanwhile_goes_under_a_new_key(
    world: World, tmp_path: Path, downloads: Path
) -> None:
    """Nothing is ever sealed twice under one key and number but the same bytes."""
    alice, bob = await world.join("alice", "bob")
    path = a_file(tmp_path, 9 * PIECE)
    before = path.stat()
    new = secrets.token_bytes(9 * PIECE)
    seen: list[bytes] = []

    def change(answer: object) -> object:
        (sending,) = transfers.all_sending(alice.client._engine.store.db)
        seen.append(sending.key)
        path.write_bytes(new)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))  # as if it had not been touched
        return answer

    Line(alice.client, FileStored, 4, change)
    await sent(alice, "@bob", path)
    which = await offered(bob)
    assert await fetched(bob, which) == new
    found = transfers.attached(bob.client._engine.store.db, which)
    assert found.file.key not in seen


async def test_a_file_that_never_stands_still_is_given_up(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, _ = await world.join("alice", "bob")
    path = a_file(tmp_path, 3 * PIECE)
    honest = source_file.FirstSealing.step

    def step(self: source_file.FirstSealing) -> bool:
        more = honest(self)
        path.write_bytes(secrets.token_bytes(3 * PIECE))
        return more

    monkeypatch.setattr(source_file.FirstSealing, "step", step)
    with pytest.raises(FileRefused, match="has changed"):
        await alice.client.send_file("@bob", str(path))
    assert transfers.all_sending(alice.client._engine.store.db) == []


async def test_a_file_that_is_gone_when_its_sending_goes_on_is_told(world: World, tmp_path: Path) -> None:
    alice, _ = await world.join("alice", "bob")
    path = a_file(tmp_path, 9 * PIECE)
    stuck = asyncio.Event()

    def stop(_: object) -> object:
        stuck.set()
        raise asyncio.CancelledError

    Line(alice.client, FileStored, 3, stop)
    sending = asyncio.create_task(alice.client.send_file("@bob", str(path)))
    await stuck.wait()
    await alice.close()
    await asyncio.gather(sending, return_exceptions=True)
    path.unlink()
    await alice.open()
    told = await alice.sees(Notice, lambda event: event.code == "file_refused")
    assert "data.bin was not sent" in told.text


async def test_a_download_goes_on_after_a_restart_where_it_stood(
    world: World, tmp_path: Path, downloads: Path
) -> None:
    alice, bob = await world.join("alice", "bob")
    path = a_file(tmp_path, 9 * PIECE)
    await sent(alice, "@bob", path)
    which = await offered(bob)
    Line(bob.client, FilePiece, 6, raising(FileRefused("stop here")))
    with pytest.raises(FileRefused, match="stop here"):
        await bob.client.fetch_file(which)
    part = only(downloads)
    assert part.name.startswith(".securechat-")
    assert part.stat().st_size == 5 * PIECE
    (begun,) = (message.file for message in bob.client.messages("@alice") if message.file)
    assert begun.state == "partial"
    assert stat.S_IMODE(part.stat().st_mode) == 0o600
    await bob.close()
    await bob.open()
    asked = Line(bob.client, FilePiece, 0, lambda answer: answer)
    assert await fetched(bob, which) == path.read_bytes()
    assert asked.count == 4
    assert names(downloads) == ["data.bin"]


async def test_a_part_that_was_changed_meanwhile_is_fetched_anew(
    world: World, tmp_path: Path, downloads: Path
) -> None:
    alice, bob = await world.join("alice", "bob")
    path = a_file(tmp_path, 5 * PIECE)
    await sent(alice, "@bob", path)
    which = await offered(bob)
    Line(bob.client, FilePiece, 3, raising(FileRefused("stop here")))
    with pytest.raises(FileRefused):
        await bob.client.fetch_file(which)
    part = only(downloads)
    part.write_bytes(b"x" + part.read_bytes()[1:])
    assert await fetched(bob, which) == path.read_bytes()


async def test_u_05_a_link_in_the_parts_place_is_not_followed(
    world: World, tmp_path: Path, downloads: Path
) -> None:
    alice, bob = await world.join("alice", "bob")
    await sent(alice, "@bob", a_file(tmp_path, 5 * PIECE))
    which = await offered(bob)
    Line(bob.client, FilePiece, 3, raising(FileRefused("stop here")))
    with pytest.raises(FileRefused):
        await bob.client.fetch_file(which)
    part = only(downloads)
    part.unlink()
    (tmp_path / "precious").write_bytes(b"mine")
    part.symlink_to(tmp_path / "precious")
    with pytest.raises(FileRefused, match="link"):
        await bob.client.fetch_file(which)
    assert (tmp_path / "precious").read_bytes() == b"mine"


async def test_bytes_the_server_changed_are_saved_nowhere(
    world: World, tmp_path: Path, downloads: Path
) -> None:
    alice, bob = await world.join("alice", "bob")
    await sent(alice, "@bob", a_file(tmp_path, 3 * PIECE))
    which = await offered(bob)
    (stored,) = whole_files(world)
    data = stored.read_bytes()
    for where in (0, PIECE + 100, 3 * SEALED_PIECE - 1):
        stored.write_bytes(data[:where] + bytes([data[where] ^ 1]) + data[where + 1 :])
        with pytest.raises(FileDamaged):
            await bob.client.fetch_file(which)
        assert [name for name in names(downloads) if not name.startswith(".")] == []
    stored.write_bytes(data)
    await bob.client.fetch_file(which)


async def test_u_05_a_server_that_has_more_or_less_than_was_named_is_believed_nothing(
    world: World, tmp_path: Path, downloads: Path
) -> None:
    """A bomb is seen by its size before a byte of it is written."""
    alice, bob = await world.join("alice", "bob")
    await sent(alice, "@bob", a_file(tmp_path, 3 * PIECE))
    which = await offered(bob)
    for number, change in enumerate((-1, 1, SEALED_PIECE, 1 << 29), start=1):

        def other(piece: FilePiece, by: int = change) -> FilePiece:
            return replace(piece, total=piece.total + by)

        Line(bob.client, FilePiece, 1, other)  # type: ignore[arg-type]
        with pytest.raises(FileDamaged, match="size"):
            await bob.client.fetch_file(which)
        assert only(downloads).stat().st_size == 0, number


async def test_a_wrong_hash_saves_nothing(
    world: World, tmp_path: Path, downloads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each piece is right, and the whole is not what its sender named."""
    alice, bob = await world.join("alice", "bob")

    def lying(*given: object, **named: object) -> object:
        change, device, record, file = given
        assert isinstance(file, SealedFile)
        return queue_file(change, device, record, replace(file, digest=bytes(32)), **named)  # type: ignore[arg-type]

    monkeypatch.setattr(attachments, "queue_file", lying)
    await sent(alice, "@bob", a_file(tmp_path, 2 * PIECE))
    with pytest.raises(FileDamaged, match="not what its sender named"):
        await bob.client.fetch_file(await offered(bob))
    assert names(downloads) == []


async def test_there_must_be_room_before_anything_is_written(
    world: World, tmp_path: Path, downloads: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = await world.join("alice", "bob")
    await sent(alice, "@bob", a_file(tmp_path, 2 * PIECE))
    which = await offered(bob)
    usage = type("Usage", (), {"free": 2 * PIECE - 1})
    monkeypatch.setattr("securechat.client.downloading.shutil.disk_usage", lambda _: usage)
    with pytest.raises(FileRefused, match="no room"):
        await bob.client.fetch_file(which)
    assert only(downloads).stat().st_size == 0


async def test_a_file_that_is_no_longer_kept_is_told(world: World, tmp_path: Path, downloads: Path) -> None:
    alice, bob = await world.join("alice", "bob")
    await sent(alice, "@bob", a_file(tmp_path, 2 * PIECE))
    which = await offered(bob)
    file = transfers.attached(bob.client._engine.store.db, which).file.id
    Disk(world.folder / "server" / "files").remove(file)
    with pytest.raises(RefusedByServer) as refused:
        await bob.client.fetch_file(which)
    assert refused.value.code == "gone"
    await emptied(downloads)


async def test_a_server_that_takes_nothing_is_given_up(world: World, tmp_path: Path) -> None:
    alice, _ = await world.join("alice", "bob")
    honest = alice.client._engine._session.request

    async def forgetful(body: object) -> object:
        answer = await honest(body)  # type: ignore[arg-type]
        return replace(answer, received=0) if isinstance(answer, FileStored) else answer

    alice.client._engine._session.request = forgetful  # type: ignore[method-assign, assignment]
    with pytest.raises(FileRefused, match="takes no more"):
        await alice.client.send_file("@bob", str(a_file(tmp_path, 2 * PIECE)))


async def test_messages_go_between_the_pieces(world: World, tmp_path: Path, downloads: Path) -> None:
    """While every piece waits for the one before, what is said arrives."""
    alice, bob = await world.join("alice", "bob")
    path = a_file(tmp_path, 12 * PIECE)
    asked: list[object] = []
    honest = alice.client._engine._session.request

    async def counted(body: object) -> object:
        if isinstance(body, PutFile | GetFile):
            asked.append(body)
            if len(asked) == 6:
                await alice.says("@bob", "in between")
                await bob.hears("in between")
        return await honest(body)  # type: ignore[arg-type]

    alice.client._engine._session.request = counted  # type: ignore[method-assign, assignment]
    await sent(alice, "@bob", path)
    assert bob.heard()[0] == "in between"
    assert len(asked) > 12


def test_the_part_of_a_foreign_file_is_no_file_of_ours() -> None:
    file = SealedFile(
        id=b"i" * 32, key=b"k" * 32, prefix=b"p" * 7, size=1, digest=b"d" * 32, name="n", content_type="t"
    )
    assert read_file_part(file_part(file)) == file
