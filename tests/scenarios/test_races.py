"""Several members commit at once: one is first, the others judge anew; nobody is lost (M-09)."""

import asyncio
from functools import partial

from securechat.client import intents
from securechat.client.events import Invited, MembersChanged
from securechat.client.intents import What
from tests.scenarios.test_rooms import room_of_three
from tests.scenarios.world import PATIENCE, Person, World, in_one_epoch


def left(name: str, event: MembersChanged) -> bool:
    return event.removed == (name,)


async def fresh_keys(person: Person) -> None:
    """Commit a path, as every client does now and then."""
    client = person.client
    with client._engine.changes.change() as change:
        settled = client._verbs._want(change, client._verbs.record("#team"), What.UPDATE)
    await asyncio.wait_for(settled, PATIENCE)


async def settled_in(world: World) -> bool:
    """Wait until nobody has anything left to do; whether all are in one epoch then."""
    people = [person for person in world.people.values() if person.name != "dave"]
    for person in people:
        assert await person.client.drained(PATIENCE)
        await person.client.caught_up()
    return await in_one_epoch(*people)


async def test_all_who_commit_at_once_succeed_in_turn(world: World) -> None:
    people = await room_of_three(world)
    epoch = people[0].client.conversation("#team").epoch

    await asyncio.gather(*(fresh_keys(person) for person in people for _ in range(2)))
    for person in people:
        await person.client.send("#team", f"{person.name} is there")
    for person in people:
        for other in people:
            if other is not person:
                await person.hears(f"{other.name} is there")

    assert await settled_in(world)
    assert people[0].client.conversation("#team").epoch >= epoch + 3


async def test_messages_and_commits_at_once_cost_no_message_and_no_order(world: World) -> None:
    """Q-03: each sender's messages come once and in order, whatever epochs they were sealed in."""
    people = await room_of_three(world)
    texts = {person.name: [f"{person.name} {number}" for number in range(25)] for person in people}

    async def talk(person: Person) -> None:
        for number, text in enumerate(texts[person.name]):
            await person.client.send("#team", text)
            if number % 8 == 0:
                await fresh_keys(person)

    await asyncio.gather(*(talk(person) for person in people))
    assert await settled_in(world)

    for person in people:
        for sender, expected in texts.items():
            if sender != person.name:
                await person.hears(expected[-1])
                assert [text for text in person.heard() if text.startswith(f"{sender} ")] == expected


async def test_an_invitation_that_lost_its_race_is_made_again(world: World) -> None:
    alice, bob, carol = await room_of_three(world)
    (dave,) = await world.join("dave")

    await asyncio.gather(alice.client.invite("#team", "dave"), fresh_keys(bob), fresh_keys(carol))
    await dave.sees(Invited)
    await dave.client.join("#team")
    await carol.says("#team", "welcome dave")

    await dave.hears("welcome dave")
    await bob.sees(MembersChanged, lambda event: event.added == ("dave",))
    assert intents.of(alice.client._engine.store.db, alice.client._verbs.record("#team").id) == []


async def test_two_who_leave_at_once_are_both_let_go(world: World) -> None:
    alice, bob, carol = await room_of_three(world)

    await asyncio.gather(bob.client.leave("#team"), carol.client.leave("#team"))
    for name in ("bob", "carol"):
        await alice.sees(MembersChanged, partial(left, name))

    assert [member.user for member in alice.client.conversation("#team").members] == ["alice"]
