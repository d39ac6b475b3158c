"""A server that says when to ask again is asked again then, and not before (M-14)."""

from securechat.client import intents
from securechat.client.events import Notice
from securechat.client.intents import What
from tests.scenarios.world import PATIENCE, World

OF_THE_RULE = 6
"""Claims of one user's keys that the rule `claims` lets pass at once."""


async def test_a_claim_that_came_too_early_waits_and_does_not_ask_on_and_on(world: World) -> None:
    alice, _ = await world.join("alice", "bob")
    client = alice.client
    for number in range(OF_THE_RULE):
        await client.create_room(f"#room-{number}")
        await client.invite(f"#room-{number}", "bob")
    await client.create_room("#too-many")
    store = client._engine.store
    with client._engine.changes.change() as change:
        record = client._verbs.record("#too-many")
        client._verbs._want(change, record, What.ADD, "bob")

    await alice.sees(Notice, lambda event: event.code == "limited")
    asked = store.value("SELECT value FROM counter WHERE name = 'request_name'")
    for _ in range(5):
        await alice.client.caught_up()
    assert await client.drained(PATIENCE)

    assert store.value("SELECT value FROM counter WHERE name = 'request_name'") == asked
    (waits,) = [intent.waits(client._engine.clock()) for intent in intents.of(store.db, record.id)]
    assert 500 < waits <= intents.LONGEST_WAIT
