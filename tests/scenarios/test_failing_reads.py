"""The disk under a client stops reading: whoever asks is told, and all goes on once it is mended (C-04)."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import apsw
import pytest

from securechat.client.client import Client
from securechat.client.errors import ExitCode, StoreDamaged, StoreFailed
from securechat.client.events import Connected, Disconnected, Notice
from securechat.client.store import ClientStore
from tests.faults.disk import Disk, Operation, faulty_disk, io_error, well
from tests.faults.kills_server import hurried_clients
from tests.scenarios.world import PATIENCE, Person, World

READS: dict[str, Callable[[Client], Any]] = {
    "conversations": lambda client: client.conversations(),
    "messages": lambda client: client.messages("@alice"),
    "unprinted": lambda client: client.unprinted(10),
    "unshown": lambda client: client.unshown(10),
    "status": lambda client: client.status(),
    "fingerprint": lambda client: client.fingerprint("@alice"),
}


@pytest.fixture
def disk(world: World) -> Iterator[Disk]:
    """Where bob's profile lies."""
    with hurried_clients(), faulty_disk(world.folder / "home-bob" / "bob") as disk:
        yield disk


def no_reading(disk: Disk, person: Person) -> None:
    """From now on nothing is read; what SQLite remembers is forgotten."""
    person.client._engine.store.db.execute("PRAGMA shrink_memory")

    def fail(operation: Operation) -> None:
        if operation.verb == "read":
            io_error(operation)

    disk.operation = fail


async def talk(world: World) -> tuple[Person, Person]:
    alice, bob = await world.join("alice", "bob")
    await alice.says("@bob", "one")
    await bob.hears("one")
    await bob.client.caught_up()
    return alice, bob


@pytest.mark.parametrize("name", READS)
async def test_c_04_whoever_asks_is_told_in_a_sentence(world: World, disk: Disk, name: str) -> None:
    _, bob = await talk(world)

    no_reading(disk, bob)
    with pytest.raises(StoreFailed, match="cannot use") as told:
        READS[name](bob.client)
    disk.operation = well

    assert told.value.exit_code == ExitCode.INTERNAL
    READS[name](bob.client)


async def test_c_04_what_came_meanwhile_comes_again(world: World, disk: Disk) -> None:
    """Also where not even whom it is for can be read, and where the failure lasts over several logins."""
    alice, bob = await talk(world)

    for text in ("two", "three"):
        bob.events.clear()
        no_reading(disk, bob)
        await alice.says("@bob", text)
        for _ in range(2):
            await bob.sees(Notice, lambda event: event.code == "internal")
            await bob.sees(Disconnected)
            bob.events.clear()
        assert bob.heard() == []
        disk.operation = well
        await bob.hears(text)
    await bob.says("@alice", "I heard")
    await alice.hears("I heard")

    assert [message.text for message in bob.client.messages("@alice")] == ["one", "two", "three", "I heard"]


async def test_c_05_a_damaged_store_ends_the_session_for_good(world: World) -> None:
    _, bob = await talk(world)
    await bob.sees(Connected)

    bob.client._engine._failed(StoreDamaged("the store is damaged"))
    lost = await bob.sees(Disconnected)

    assert lost.retry_in is None
    queued = await bob.client.send("@alice", "hello?")
    with pytest.raises(StoreDamaged):
        await bob.client.acknowledged(queued.local_id, PATIENCE)


async def test_c_04_what_the_disk_has_after_all_is_said_after_all(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A commit may fail when everything is written; the message is there then, and nobody wakes it."""
    with hurried_clients():
        alice, bob = await talk(world)
        whole = ClientStore.transaction

        @contextlib.contextmanager
        def fails_at_the_very_end(store: ClientStore) -> Iterator[apsw.Connection]:
            with whole(store) as db:
                yield db
            monkeypatch.undo()
            raise StoreFailed("the disk failed when all was written")

        monkeypatch.setattr(ClientStore, "transaction", fails_at_the_very_end)
        with pytest.raises(StoreFailed):
            await bob.says("@alice", "two")
        await alice.hears("two")
        assert await bob.client.drained(PATIENCE)
