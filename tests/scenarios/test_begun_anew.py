"""Bob has lost everything and begins his account anew: what others see, and how he comes back in (D-04)."""

import pytest

from securechat.client.account_link import Place
from securechat.client.config import Home
from securechat.client.errors import IdentityChanged, UntrustedKeys
from securechat.client.events import Held, Identity, Invited, Joined, MembersChanged
from securechat.client.resetting import reset
from tests.scenarios.world import PATIENCE, Person, World


async def begun_anew(world: World, before: Person) -> Person:
    await before.close()
    again = world.people[before.name] = Person(world, before.name)
    again.home = Home(world.folder / f"home-{before.name}-again")
    await reset(Place(again.home, world.address, world.trust, again.name), again.password)
    await again.open()
    return again


async def accepted(person: Person, user: str) -> None:
    await person.client.accept_identity(user, person.client.contact(user).changed_number)


async def test_d_04_who_begins_anew_is_let_in_again_by_those_who_have_accepted_them(world: World) -> None:
    alice, bob = await world.join("alice", "bob")
    await alice.says("@bob", "before")
    await bob.hears("before")
    await alice.client.create_room("#team")
    await alice.client.invite("#team", "bob")
    await bob.sees(Invited)
    await bob.client.join("#team")
    alice.client.set_verified("bob", alice.client.contact("bob").safety_number)
    bob = await begun_anew(world, bob)
    await alice.client.create_room("#new")
    with pytest.raises(IdentityChanged):
        await alice.client.invite("#new", "bob")
    assert alice.client.contact("bob").identity is Identity.CHANGED

    # Nothing goes to the device from before, wherever it still is.
    waiting = [await alice.client.send(name, f"to {name}") for name in ("@bob", "#team")]
    for message in waiting:
        with pytest.raises(IdentityChanged) as refused:
            await alice.client.acknowledged(message.local_id, PATIENCE)
        assert refused.value.exit_code == 4

    await accepted(alice, "bob")

    # The conversation of two goes on by itself, in another group; the room says what is to be done.
    assert alice.client.contact("bob").identity is Identity.KNOWN, "not verified: that was another key"
    await bob.hears("to @bob")
    await bob.says("@alice", "here I am")
    await alice.hears("here I am")
    held = await alice.sees(Held, lambda event: event.code == "other_keys")
    assert held.conversation == "#team"
    with pytest.raises(UntrustedKeys, match="bob is in here with other keys"):
        await alice.client.acknowledged(waiting[1].local_id, PATIENCE)

    await alice.client.remove("#team", "bob")
    await alice.client.invite("#team", "bob")
    await bob.sees(Invited, lambda event: event.conversation == "#team")
    await bob.client.join("#team")
    await bob.sees(Joined, lambda event: event.conversation == "#team")
    await alice.says("#team", "welcome back")
    await bob.hears("welcome back")
    told = [event for event in alice.events if isinstance(event, MembersChanged)]
    assert [(event.removed, event.added) for event in told[-2:]] == [(("bob",), ()), ((), ("bob",))]
