"""A server comes back from a copy that lacks what an account said since: its devices bring it back (N-03)."""

import asyncio

from securechat.client import own_rows, statements
from securechat.client.events import Disconnected, Held
from tests.scenarios.siblings import another_device, let_go
from tests.scenarios.test_restored import bring_back, copy_of
from tests.scenarios.world import PATIENCE, Person, World


async def friends(world: World) -> tuple[Person, Person]:
    """Two people who have talked."""
    alice, bob = await world.join("alice", "bob")
    await alice.says("@bob", "before")
    await bob.hears("before")
    await bob.says("@alice", "yes")
    await alice.hears("yes")
    return alice, bob


async def knows(person: Person, user: str, serial: int) -> None:
    """Wait until somebody has an account's statement of that serial, and can bring back their own."""
    engine = person.client._engine
    async with asyncio.timeout(PATIENCE):
        while statements.known_serial(engine.store.db, user) < serial or not _kept(person, user):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


def _kept(person: Person, user: str) -> bool:
    db = person.client._engine.store.db
    newest = statements.newest(db, user)
    body = statements.newest_bytes(db, user)
    assert newest is not None
    assert body is not None
    if user != person.name:
        return True
    return body in own_rows.chain_to(db, body).values() and len(own_rows.devices(db)) >= len(newest.devices)


async def test_n_03_a_device_that_was_linked_since_is_one_again_and_nothing_is_held(world: World) -> None:
    alice, bob = await friends(world)
    copy = copy_of(world)
    phone = await another_device(alice)
    for person in (alice, bob):
        await knows(person, "alice", 2)
    await bring_back(world, copy)
    await knows_at_server(world, "alice", 2)

    await phone.open()
    await phone.client.caught_up()
    await phone.says("@bob", "from the phone")
    await bob.hears("from the phone")
    await bob.says("@alice", "good")
    for person in (alice, phone):
        await person.hears("good")
    assert [
        event for person in (alice, bob, phone) for event in person.events if isinstance(event, Held)
    ] == []


async def test_d_02_a_device_that_was_revoked_since_is_cut_off_again_at_once(world: World) -> None:
    """The copy lets it in: until the first of the others is there."""
    alice, bob = await friends(world)
    phone = await another_device(alice)
    await phone.open()
    await phone.client.caught_up()
    copy = copy_of(world)
    await knows(alice, "alice", 2)
    await let_go(alice, phone)
    for person in (alice, bob):
        await knows(person, "alice", 3)
    await phone.close()
    await alice.close()
    await bring_back(world, copy)
    phone.events.clear()
    await phone.open()
    await phone.client.caught_up()

    await alice.open()

    await phone.sees(Disconnected, lambda event: event.retry_in is None)
    await bob.says("@alice", "are you there")
    await alice.hears("are you there")
    assert "are you there" not in phone.heard()


async def knows_at_server(world: World, user: str, serial: int) -> None:
    app = world.app
    assert app is not None
    sql = "SELECT max(s.serial) FROM statement s JOIN account a ON a.id = s.account WHERE a.user = ?"
    async with asyncio.timeout(PATIENCE):
        while await app._readers.run(lambda db: db.execute(sql, (user,)).get) < serial:  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0.01)
