"""History follows: what one device of alice wrote at the server another one reads (rules C, D-02, D-07)."""

import asyncio
from pathlib import Path

import pytest

from securechat.client import finding
from securechat.client.archive_files import get_segment
from securechat.client.archive_format import ArchiveDamaged, Manifest, open_segment
from securechat.client.archive_keeping import Boxes
from securechat.client.archiving import Archive
from securechat.client.change import Change
from securechat.client.errors import Disconnected, RefusedByServer
from securechat.client.events import HistoryMoved, Invited, Joined, Notice
from securechat.client.exported import FORMAT, Header, Said
from securechat.client.importing import bring_in
from securechat.client.newcomers import handed_text, policy_text
from securechat.client.revoking import revoke
from securechat.protocol.messages import Answer, GetFile, RequestBody
from tests.client.archived import NewStore
from tests.scenarios.siblings import another_device as linked
from tests.scenarios.siblings import keys_of
from tests.scenarios.test_brought_back import careful, lose_everything, recover
from tests.scenarios.test_linking import approved, asking, opened
from tests.scenarios.world import PATIENCE, Person, World

LONG_AGO = 1_700_000_000


async def said_before(person: Person, count: int) -> None:
    """A long history is in the store."""
    await person.client.caught_up()
    header = Header(format=FORMAT, user=person.name, room="@bob", kind="direct")
    engine = person.client._engine
    batch = [
        Said(
            id=f"{number:064x}",
            sender="bob",
            text=f"word{number} of long ago",
            ts=1_700_000_000 + number * 60,
        )
        for number in range(1, count + 1)
    ]
    with engine.changes.change() as change:
        bring_in(change, engine.device, header, batch)
        as_from_the_log(change)


def as_from_the_log(change: Change) -> None:
    change.db.execute(
        "UPDATE message SET mimi_id = imported, imported = NULL, content = x'' WHERE imported IS NOT NULL"
    )


def another_device(person: Person, folder: Path) -> Archive:
    """A new store of the same account, that reaches the server as this one does."""
    engine, new = person.client._engine, NewStore(folder)
    return Archive(
        new.changes,
        engine.device,
        engine.secrets.current,
        Boxes(engine),
        engine.ask,
        new.said.append,
    )


async def test_a_new_device_finds_by_search_what_was_said_long_ago(world: World, tmp_path: Path) -> None:
    """It may be killed in the middle, and goes on where it was."""
    alice, _ = await world.join("alice", "bob")
    await said_before(alice, 2_000)
    await alice.client._keeper.now()
    new = another_device(alice, tmp_path / "new")
    ask, pieces = new.ask, iter(range(2))

    async def breaks_off(body: RequestBody) -> Answer:
        if isinstance(body, GetFile) and next(pieces, None) is None:
            raise Disconnected("killed")
        return await ask(body)

    new.ask = breaks_off
    with pytest.raises(Disconnected):
        await new.round()
    new.ask = ask
    await new.round()

    db = new.changes.db
    (found,) = finding.search(db, "word17 ", conversation=None, limit=5, before=0)
    assert found < 0
    assert db.execute("SELECT count(*) FROM message").fetchone() == (2_000,)
    assert (await alice.client.archive()).messages == 2_000


async def test_d_02_a_device_that_is_removed_while_the_archive_is_read_opens_nothing_of_what_is_written_then(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, _ = await world.join("alice", "bob")
    phone = await linked(alice)
    await phone.open()
    gone, engine, archive = keys_of(phone), alice.client._engine, alice.client._keeper.archive
    await said_before(alice, 10)

    async def meanwhile(_: object, manifest: Manifest) -> None:
        assert not manifest.segments
        await revoke(engine, gone.client, alice.password)

    monkeypatch.setattr(Archive, "read", meanwhile)
    await alice.client._keeper.now()

    assert archive.stand is not None
    (entry,) = archive.stand.manifest.segments
    with pytest.raises(ArchiveDamaged):
        open_segment(gone.account_secret, entry, await get_segment(engine.ask, entry))


async def test_what_is_much_is_written_before_the_account_is_closed_here(
    world: World, tmp_path: Path
) -> None:
    alice, _ = await world.join("alice", "bob")
    await said_before(alice, 100)
    await alice.close()
    await alice.open()
    new = another_device(alice, tmp_path / "new")
    await alice.client.caught_up()

    await new.round()

    assert new.changes.db.execute("SELECT count(*) FROM message").fetchone() == (100,)


async def test_off_leaves_nothing_at_the_server(world: World) -> None:
    alice, _ = await world.join("alice", "bob")
    await said_before(alice, 10)
    await alice.client._keeper.now()
    assert files(world)
    assert (await alice.client.archive(on=False)).on is False
    await alice.client._keeper.now()
    async with asyncio.timeout(PATIENCE):
        while files(world):  # noqa: ASYNC110 - the server's own folder tells nobody
            await asyncio.sleep(0.01)
    assert (await alice.client.archive()).messages == 0


async def test_what_the_server_makes_up_is_refused_and_said(world: World, tmp_path: Path) -> None:
    """D-07: a segment that the account did not seal says nothing, least of all in its name."""
    alice, _ = await world.join("alice", "bob")
    await said_before(alice, 10)
    await alice.client._keeper.now()
    for path in files(world):
        path.write_bytes(path.read_bytes()[::-1])
    new = another_device(alice, tmp_path / "new")
    told: list[object] = []
    new.tell = told.append
    await new.round()
    assert new.changes.db.execute("SELECT count(*) FROM message").fetchone() == (0,)
    assert [each.code for each in told if isinstance(each, Notice)] == ["archive_damaged"]


def files(world: World) -> list[Path]:
    return [path for path in (world.folder / "server" / "files").rglob("*") if path.is_file()]


async def a_room(world: World, *, history: int) -> tuple[Person, Person, Person]:
    """Alice and bob have talked in a room; carol has an account."""
    alice, bob, carol = await world.join("alice", "bob", "carol")
    await alice.client.create_room("#team", history=history)
    await alice.client.invite("#team", "bob")
    await bob.sees(Invited)
    await bob.client.join("#team")
    for number in range(1, 5):
        await alice.says("#team", f"thing {number}")
    await bob.says("#team", "thing 5")
    await alice.hears("thing 5")
    return alice, bob, carol


async def test_who_comes_in_is_handed_the_last_messages_by_who_lets_them_in(world: World) -> None:
    """Shown under its names with the word of who shared it, never as verified."""
    alice, bob, carol = await a_room(world, history=3)
    await alice.client.invite("#team", "carol")
    await carol.sees(Invited)
    await carol.client.join("#team")
    moved = await carol.sees(HistoryMoved)
    assert (moved.conversation, moved.done) == ("#team", 3)
    await alice.sees(Notice, lambda event: event.text == handed_text("#team", "carol", 3))

    shown = carol.client.messages("#team")
    assert [(each.sender, each.text, each.verified) for each in shown[:3]] == [
        ("alice", "thing 3", "shared:alice"),
        ("alice", "thing 4", "shared:alice"),
        ("bob", "thing 5", "shared:alice"),
    ]
    assert [each.text for each in shown[3:]] == ["(shares the last messages of this room with @carol: 3)"]
    assert carol.heard() == [] or carol.heard() == [shown[3].text]
    assert carol.client.search("thing")[0].text == "thing 5"
    line = await bob.hears(shown[3].text)
    assert line.message.sender == "alice"


async def test_a_room_that_hands_over_nothing_hands_over_nothing(world: World) -> None:
    alice, _, carol = await a_room(world, history=0)
    await alice.client.invite("#team", "carol")
    await carol.sees(Invited)
    await carol.client.join("#team")
    told = await carol.sees(Notice, lambda event: event.code == "room_history")
    assert told.text == "#team: who comes in sees nothing of what was said before"
    await alice.says("#team", "welcome")
    await carol.hears("welcome")
    assert [each.text for each in carol.client.messages("#team")] == ["welcome"]


async def test_an_owner_sets_what_newcomers_are_handed_and_all_are_told(world: World) -> None:
    alice, bob, _ = await a_room(world, history=0)
    assert await alice.client.room_history("#team", last=50) == 50
    told = await bob.sees(Notice, lambda event: event.code == "room_history" and "50" in event.text)
    assert told.text == policy_text("#team", 50)
    assert await bob.client.room_history("#team") == 50
    with pytest.raises(RefusedByServer):
        await bob.client.room_history("#team", last=0)


async def test_a_device_that_is_linked_reads_it_by_itself(world: World) -> None:
    alice, _ = await world.join("alice", "bob")
    await said_before(alice, 200)
    await alice.client._keeper.now()
    async with asking(alice) as device:
        await approved(alice, await device.code())
        await device.asking
    async with opened(alice, device.home) as linked:
        async for event in linked.events():
            if isinstance(event, HistoryMoved) and event.finished:
                break
        (found,) = linked.search("word17 ")
        assert (found.conversation, found.text, found.verified) == ("@bob", "word17 of long ago", "known")
        assert linked.conversation("@bob").unread == 0


async def test_where_the_archive_is_off_the_device_that_lets_another_in_hands_over(world: World) -> None:
    alice, _ = await world.join("alice", "bob")
    await said_before(alice, 50)
    await alice.client.archive(on=False)
    async with asking(alice) as device:
        await approved(alice, await device.code())
        await device.asking
    async with opened(alice, device.home) as linked:
        async for event in linked.events():
            if isinstance(event, HistoryMoved) and event.finished:
                break
        assert len(linked.messages("@bob", 100)) == 50
        assert not (await linked.archive()).on


async def test_an_account_that_is_brought_back_has_its_history(world: World) -> None:
    alice, key = await careful(world)
    (bob,) = await world.join("bob")
    await alice.says("@bob", "hello bob")
    await bob.hears("hello bob")
    await alice.client.create_room("#team")
    await alice.client.invite("#team", "bob")
    await bob.sees(Invited)
    await bob.client.join("#team")
    await alice.says("#team", "hello team")
    await bob.hears("hello team")
    await alice.client._keeper.now()
    await lose_everything(alice)

    await recover(alice, key)
    await alice.sees(HistoryMoved, lambda event: event.finished)

    assert [each.name for each in alice.client.conversations()] == ["#team", "@bob"]
    for name, text in (("@bob", "hello bob"), ("#team", "hello team")):
        found = [each for each in alice.client.messages(name) if each.text == text]
        assert [(each.own, each.state) for each in found] == [(True, "sent")]


async def test_a_linked_device_is_in_the_rooms_whose_history_it_reads(world: World) -> None:
    """One conversation, whichever comes first: the archive or the Welcome."""
    alice, bob, _ = await a_room(world, history=0)
    await alice.client._keeper.now()
    async with asking(alice) as device:
        await approved(alice, await device.code())
        await device.asking
    async with opened(alice, device.home) as linked:
        joined = read = False
        async with asyncio.timeout(20):
            async for event in linked.events():
                joined = joined or (isinstance(event, Joined) and event.conversation == "#team")
                read = read or (isinstance(event, HistoryMoved) and event.finished)
                if joined and read:
                    break
        assert [each.name for each in linked.conversations()] == ["#team"]
        assert [each.text for each in linked.messages("#team")][:5] == [f"thing {n}" for n in range(1, 6)]
        await linked.send("#team", "from the new one")
        await bob.hears("from the new one")
