"""Everything is lost but the recovery key: the account comes back with it alone (N-02, A-09, rules.md D)."""

import shutil
from typing import Any

import pytest

from securechat.client import recovering
from securechat.client.account_link import Place, asked
from securechat.client.client import Client
from securechat.client.config import Home
from securechat.client.errors import Disconnected, RefusedByServer, Unfinished
from securechat.client.events import Disconnected as Lost
from securechat.client.events import Held, Invited, Joined, MembersChanged
from securechat.client.recovering import BroughtBack, bring_back, look, resume
from securechat.client.registration import Wishes
from securechat.client.registration import register as register_account
from securechat.membership.recovery_key import RecoveryKey, new_recovery_key
from securechat.protocol.messages import ChangeAccount
from tests.scenarios.world import Person, World

NEW = "nothing is left but this"


async def careful(world: World, name: str = "alice") -> tuple[Person, RecoveryKey]:
    """Somebody who has kept the recovery key."""
    person = world.people[name] = Person(world, name)
    wishes = Wishes(recovery_key=True)
    done = await register_account(
        person.home, world.address, name, person.password, world.trust, wishes=wishes
    )
    assert done.recovery_key is not None
    await person.open()
    return person, done.recovery_key


def place_of(person: Person, home: Home | None = None) -> Place:
    return Place(home or person.home, person.address, person.world.trust, person.name)


async def lose_everything(person: Person) -> None:
    await person.close()
    shutil.rmtree(person.home.path)


async def recover(person: Person, key: RecoveryKey, **how: Any) -> BroughtBack:
    """Bring the account back on an empty machine, and open it."""
    place = place_of(person)
    back = await bring_back(
        place, await look(place, key), key, NEW, keep=how.pop("keep", ()), new=False, **how
    )
    person.password = NEW
    person.events.clear()
    await person.open()
    return back


async def test_n_02_with_the_key_alone_contacts_rooms_and_talk_come_back(world: World) -> None:
    alice, key = await careful(world)
    bob, carol = await world.join("bob", "carol")
    await alice.says("@bob", "hello bob")
    await bob.hears("hello bob")
    await alice.client.create_room("#team")
    for person in (bob, carol):
        await alice.client.invite("#team", person.name)
        await person.sees(Invited)
        await person.client.join("#team")
    number = alice.client.fingerprint("@bob").safety_number
    assert number is not None
    alice.client.set_verified("bob", number)
    thief = Home(world.folder / "thief")
    await alice.close()
    shutil.copytree(alice.home.path, thief.path)
    await lose_everything(alice)

    back = await recover(alice, key)

    assert (back.people, back.verified, back.talks, back.revoked) == (2, 1, 2, 1)
    assert {each.user: each.verified for each in alice.client.contacts()} == {"bob": True, "carol": False}
    assert [each.name for each in alice.client.conversations()] == ["#team", "@bob"]
    for name in ("#team", "@bob"):
        await alice.sees(Joined, lambda event, name=name: event.conversation == name)
    assert alice.client.fingerprint("@bob").safety_number == number
    await alice.says("#team", "I lost everything")
    await alice.says("@bob", "but not you")
    for text in ("I lost everything", "but not you"):
        await bob.hears(text)
    await carol.hears("I lost everything")
    await bob.says("@alice", "good to have you back")
    await alice.hears("good to have you back")
    await carol.says("#team", "indeed")
    await alice.hears("indeed")

    old = await Client.open(thief, "alice", "alice has a long enough password", trust=world.trust)
    async with old:
        async for event in old.events():
            if isinstance(event, Lost):
                assert event.retry_in is None  # it is no device of hers any more
                break


async def test_a_group_that_has_gone_on_waits_for_another_users_word(world: World) -> None:
    alice, key = await careful(world)
    bob, carol = await world.join("bob", "carol")
    await alice.client.create_room("#team")
    await alice.client.invite("#team", "bob")
    await bob.sees(Invited)
    await bob.client.join("#team")
    await alice.client.invite("#team", "carol")
    await carol.sees(Invited)
    await carol.client.join("#team")
    await lose_everything(alice)
    await carol.client.leave("#team")
    await bob.sees(MembersChanged, lambda event: event.removed == ("carol",))

    await recover(alice, key)

    held = await alice.sees(Held)
    assert (held.conversation, held.code) == ("#team", "unproven")
    await bob.says("#team", "it is us")
    await alice.hears("it is us")
    await alice.says("#team", "so it is")
    await bob.hears("so it is")
