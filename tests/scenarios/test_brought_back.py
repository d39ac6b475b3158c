"""Everything is lost but the recovery key: the account comes back with it alone (N-02, A-09, rules.md D)."""

import asyncio
import shutil
from typing import Any

import pytest

from securechat.client import intents, reconciling, records, recovering
from securechat.client.account_link import Place, asked
from securechat.client.client import Client
from securechat.client.config import Home
from securechat.client.entering import Entering
from securechat.client.errors import Disconnected, ProfileExists, RefusedByServer, Unfinished
from securechat.client.events import Connected, Held, Invited, Joined, MembersChanged, Notice
from securechat.client.events import Disconnected as Lost
from securechat.client.intents import What
from securechat.client.reconciling import Reconciler
from securechat.client.recovering import BroughtBack, NotRecovered, Overtaken, bring_back, look, resume
from securechat.client.recovery_keys import make_recovery_key
from securechat.client.registration import Wishes
from securechat.client.registration import register as register_account
from securechat.client.revoking import revoke
from securechat.membership.recovery_key import RecoveryKey, new_recovery_key
from securechat.protocol.messages import ChangeAccount
from tests.scenarios.siblings import another_device, keys_of
from tests.scenarios.world import PATIENCE, Person, World

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
    await alice.sees(Joined, lambda event: event.conversation == "#team")
    await alice.sees(Joined, lambda event: event.conversation == "@bob")
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


async def test_n_02_who_takes_their_time_to_come_back_finds_the_conversation_of_two(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one is online, and has looked for keys of the new device before it has left any."""
    monkeypatch.setattr(reconciling, "TAKE_OUT_WITHIN", 0.0)
    alice, key = await careful(world)
    (bob,) = await world.join("bob")
    await alice.says("@bob", "hello bob")
    await bob.hears("hello bob")
    await lose_everything(alice)
    place = place_of(alice)

    await bring_back(place, await look(place, key), key, NEW, keep=(), new=False)
    async with asyncio.timeout(PATIENCE):
        while not looked_for_keys(bob):  # noqa: ASYNC110 - nobody is told of it
            await asyncio.sleep(0.01)
    alice.password = NEW
    await alice.open()

    await bob.says("@alice", "good to have you back")
    await alice.hears("good to have you back")


def looked_for_keys(person: Person) -> bool:
    db = person.client._engine.store.db
    wanted = [each for record in records.every(db) for each in intents.of(db, record.id)]
    return any(each.what is What.REVOKE and each.attempts for each in wanted)


async def test_n_02_d_02_the_vault_is_of_before_a_device_was_removed_and_all_comes_back(world: World) -> None:
    """What her devices keep for each other is sealed under another secret since, and now under a third."""
    alice, key = await careful(world)
    await world.join("bob")
    phone = await another_device(alice)
    await phone.open()
    gone = keys_of(phone)
    engine = alice.client._engine
    before = await engine.secrets.current()
    await revoke(engine, gone.client, alice.password)
    await alice.says("@bob", "hello bob")
    await engine._contacts.keep()
    after = await engine.secrets.current()
    assert after.older == before.every == (gone.account_secret,)
    await lose_everything(alice)

    back = await recover(alice, key)

    assert (back.people, back.talks, back.revoked) == (1, 1, 1)
    await alice.client.caught_up()
    assert (await alice.client._engine.secrets.current()).older == after.every


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


async def test_a_conversation_of_two_that_cannot_be_known_again_is_opened_anew(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one holds until its user has seen it, and then both go on."""
    alice, key = await careful(world)
    (bob,) = await world.join("bob")
    await alice.says("@bob", "hello bob")
    await bob.hears("hello bob")
    await lose_everything(alice)
    monkeypatch.setattr(Entering, "_is_anchored", lambda *_: False)
    # Nor does bob bring the new device in, as he would with the commit that takes the lost one out.
    monkeypatch.setattr(Reconciler, "look", lambda _self, _change, record: (record, frozenset()))

    await recover(alice, key)

    held = await bob.sees(Held)
    assert (held.conversation, held.code) == ("@alice", "opened_anew")
    await bob.client.send("@alice", "written while it was held")
    await bob.client.release("@alice")
    await alice.hears("written while it was held")
    await alice.says("@bob", "here I am")
    await bob.hears("here I am")
    assert [each.text for each in bob.client.messages("@alice")] == [
        "hello bob",
        "written while it was held",
        "here I am",
    ]


@pytest.mark.parametrize("which", ["same key", "new key"])
async def test_a_lost_answer_costs_nothing(world: World, monkeypatch: pytest.MonkeyPatch, which: str) -> None:
    new = which == "new key"
    alice, key = await careful(world)
    await lose_everything(alice)
    place = place_of(alice)

    async def without_answer(link: Any, body: Any) -> Any:
        answer = await asked(link, body)
        if isinstance(body, ChangeAccount):
            raise Disconnected("the line broke")
        return answer

    with monkeypatch.context() as patched:
        patched.setattr(recovering, "asked", without_answer)
        with pytest.raises(Disconnected):
            await bring_back(place, await look(place, key), key, NEW, keep=(), new=new)
    alice.password = NEW
    with pytest.raises(Unfinished):
        await alice.open()
    back = await resume(place, key, NEW)

    assert (back.recovery_key is not None) == new
    await alice.open()
    await alice.sees(Connected)
    await alice.close()
    with pytest.raises(ProfileExists):
        await resume(place, key, NEW)
    elsewhere = place_of(alice, Home(world.folder / "elsewhere"))
    assert (await look(elsewhere, back.recovery_key or key)).clients
    if new:
        with pytest.raises(RefusedByServer, match="not the recovery key"):
            await look(elsewhere, key)


async def test_a_device_that_is_kept_stays_and_another_recovery_is_told(world: World) -> None:
    alice, key = await careful(world)
    laptop = place_of(alice, Home(world.folder / "laptop"))
    found = await look(laptop, key)

    back = await bring_back(laptop, found, key, NEW, keep=found.clients, new=False)
    assert back.revoked == 0
    both = await look(place_of(alice, Home(world.folder / "third")), key)
    assert len(both.clients) == 2
    assert set(found.clients) < set(both.clients)
    third = place_of(alice, Home(world.folder / "third"))
    with pytest.raises(Overtaken):  # what was looked at is not so any more
        await bring_back(third, found, key, NEW, keep=(), new=False)
    assert not third.home.profile("alice").exists
    await alice.sees(Lost)  # her session ended with the old password, and she is let in again
    told = await alice.sees(Notice, lambda event: event.code == "password_changed")
    assert "was changed on" in told.text
    await alice.close()
    alice.events.clear()
    await alice.open()
    await alice.sees(Connected)
    assert "password_changed" not in [each.code for each in alice.events if isinstance(each, Notice)]


async def test_n_02_another_key_and_an_old_vault_open_nothing(world: World) -> None:
    alice, key = await careful(world)
    await alice.close()
    elsewhere = place_of(alice, Home(world.folder / "elsewhere"))
    assert world.app is not None
    with pytest.raises(RefusedByServer, match="not the recovery key"):
        await look(elsewhere, new_recovery_key())
    old = await world.app._readers.run(lambda db: db.execute("SELECT vault FROM account").get)
    with pytest.raises(ProfileExists):
        await look(place_of(alice), key)
    following = await make_recovery_key(place_of(alice), alice.password, password_opens=False)
    with pytest.raises(RefusedByServer, match="not the recovery key"):
        await look(elsewhere, key)
    assert (await look(elsewhere, following)).clients

    await world.app._writer.find(lambda db: db.execute("UPDATE account SET vault = ?", (old,)))
    with pytest.raises(NotRecovered, match="older than the account says"):
        await look(elsewhere, following)
