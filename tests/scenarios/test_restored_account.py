"""A server comes back from a copy that lacks what an account said since: its devices bring it back (N-03)."""

import asyncio

from securechat.client import own_rows, records, statements
from securechat.client.events import Disconnected, Standing
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


RELEASED = 60
"""Seconds: who is held by a look that was under way looks again after some half a minute."""


async def goes_on(person: Person, to: str) -> None:
    """Wait until nothing holds a conversation: who came back first was shown the older list.

    A look that was under way may hold it once more, for a moment: what is sent waits then.
    """
    await person.client.caught_up()
    async with asyncio.timeout(PATIENCE):
        while not _goes_on(person, to):
            await person.client._engine.changed()


def _goes_on(person: Person, to: str) -> bool:
    record = records.by_name(person.client._engine.store.db, to)
    return record is not None and record.state is Standing.JOINED and not record.held


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


async def test_n_03_a_device_that_was_linked_since_is_one_again_and_nothing_stays_held(world: World) -> None:
    alice, bob = await friends(world)
    copy = copy_of(world)
    phone = await another_device(alice)
    for person in (alice, bob):
        await knows(person, "alice", 2)
    await bring_back(world, copy)
    await knows_at_server(world, "alice", 2)

    await phone.open()
    await phone.client.caught_up()
    for person, to in ((phone, "@bob"), (bob, "@alice")):
        await goes_on(person, to)
    await phone.client.send("@bob", "from the phone")
    await bob.hears("from the phone", within=RELEASED)
    await bob.client.send("@alice", "good")
    for person in (alice, phone):
        await person.hears("good", within=RELEASED)


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
    await goes_on(bob, "@alice")
    await bob.client.send("@alice", "are you there")
    await alice.hears("are you there", within=RELEASED)
    assert "are you there" not in phone.heard()


async def knows_at_server(world: World, user: str, serial: int) -> None:
    app = world.app
    assert app is not None
    sql = "SELECT max(s.serial) FROM statement s JOIN account a ON a.id = s.account WHERE a.user = ?"
    async with asyncio.timeout(PATIENCE):
        while await app._readers.run(lambda db: db.execute(sql, (user,)).get) < serial:  # noqa: ASYNC110 - likewise
            await asyncio.sleep(0.01)
