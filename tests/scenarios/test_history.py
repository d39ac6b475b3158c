"""History follows: what one device of alice wrote at the server another one reads (rules.md C, D-07)."""

import asyncio
from pathlib import Path

import pytest

from securechat.client import finding
from securechat.client.archive_keeping import Boxes
from securechat.client.archiving import Archive
from securechat.client.change import Change
from securechat.client.errors import Disconnected
from securechat.client.events import Notice
from securechat.client.exported import FORMAT, Header, Said
from securechat.client.importing import bring_in
from securechat.protocol.messages import Answer, GetFile, RequestBody
from tests.client.archived import NewStore
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
        engine.keys.account_secret,
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
