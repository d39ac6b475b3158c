"""Two people make sure that nobody is between them, and find out when somebody is (D-04)."""

import pytest

from securechat.client.contacts import contact
from securechat.client.errors import HolderRefused, IdentityChanged, NotTheSame, UnknownUser
from securechat.client.events import Held, Identity, Invited, MessageState, Notice, Released
from securechat.client.forwarding import connected
from securechat.client.verification import WrongCode, code_for
from securechat.membership.signing import new_key, public_of
from tests.scenarios.world import PATIENCE, Person, World, in_one_epoch


async def met(world: World) -> tuple[Person, Person]:
    alice, bob = await world.join("alice", "bob")
    await alice.says("@bob", "hello")
    await bob.hears("hello")
    return alice, bob


async def test_both_see_one_number_and_one_scan_is_for_all_devices(world: World) -> None:
    alice, bob = await met(world)
    of_bob, of_alice = alice.client.contact("@bob"), bob.client.contact("alice")

    assert (await alice.sees(Notice)).text.startswith("bob is known from now on")
    assert (await bob.sees(Notice)).text.startswith("alice is known from now on")
    assert of_bob.safety_number == of_alice.safety_number
    assert of_bob.code != of_alice.code
    assert (of_bob.identity, alice.client.conversation("@bob").identity) == (Identity.KNOWN, Identity.KNOWN)

    alice.client.compare_code("@bob", of_alice.code)
    bob.client.compare_code("@alice", of_bob.code.lower())

    assert alice.client.contact("bob").identity is Identity.VERIFIED
    assert bob.client.contact("alice").identity is Identity.VERIFIED
    assert alice.client.contact("bob").verified_since > 0
    assert [member.identity for member in alice.client.conversation("@bob").members] == [
        None,
        Identity.VERIFIED,
    ]
    of_others = code_for(bob.client._engine.device, bytes(32), "carol", bytes(32))
    for code, why in ((of_others, "of other people"), (of_bob.code, "that you show")):
        with pytest.raises(WrongCode, match=why):
            alice.client.compare_code("@bob", code)
    assert alice.client.contact("bob").identity is Identity.VERIFIED, "which says nothing of bob"
    alice.client.clear_verified("@bob")
    assert alice.client.contact("bob").identity is Identity.KNOWN


async def test_who_is_met_in_a_room_can_be_verified_without_a_word_to_them(world: World) -> None:
    alice, bob, carol = await world.join("alice", "bob", "carol")
    await alice.client.create_room("#team")
    for person in (bob, carol):
        await alice.client.invite("#team", person.name)
        await person.sees(Invited)
    assert await in_one_epoch(alice, bob, carol), "bob has read that carol came"
    with pytest.raises(UnknownUser, match="write to them first"):
        bob.client.contact("dan")

    assert bob.client.contact("carol").safety_number == carol.client.contact("bob").safety_number
    bob.client.compare_code("@carol", carol.client.contact("bob").code)

    assert bob.client.contact("carol").identity is Identity.VERIFIED
    assert bob.client.conversation("#team").identity is Identity.KNOWN, "alice is not compared yet"
    bob.client.compare_code("@alice", alice.client.contact("bob").code)
    assert bob.client.conversation("#team").identity is Identity.VERIFIED


async def meets_another(alice: Person, bob: Person) -> None:
    """Alice has met other keys in bob's place: of a release before key logs and lists of devices."""
    with alice.client._engine.changes.change() as change:
        change.db.execute(
            "INSERT INTO contact (user, account_key, generation, first_seen) VALUES (?, ?, 1, 1)",
            (bob.name, public_of(new_key())),
        )


async def test_d_04_a_scan_finds_who_is_in_between(world: World) -> None:
    """The server has shown alice other keys than bob's from the first day."""
    alice, bob = await world.join("alice", "bob")
    await meets_another(alice, bob)
    alice.client.set_verified("bob", alice.client.contact("bob").safety_number)
    ours, theirs = alice.client._engine.keys.account_key, bob.client._engine.keys.account_key

    with pytest.raises(NotTheSame, match="keys of bob are not those") as differs:
        alice.client.compare_code("@bob", code_for(bob.client._engine.device, theirs, "alice", ours))

    assert differs.value.exit_code == 4
    assert alice.client.contact("bob").identity is Identity.KNOWN, "and verified no more"
    other = code_for(bob.client._engine.device, pinned(alice, "bob"), "alice", bytes(32))
    with pytest.raises(NotTheSame, match="other keys for you"):
        alice.client.compare_code("@bob", other)


def pinned(person: Person, user: str) -> bytes:
    known = contact(person.client._engine.store.db, user)
    assert known is not None
    return known.account_key


async def test_d_04_changed_keys_are_verified_in_one_act_and_what_waited_goes_out(world: World) -> None:
    """Nothing typed is lost, and nobody but who was compared gets it."""
    alice, bob = await world.join("alice", "bob")
    await meets_another(alice, bob)
    before = alice.client.contact("bob").safety_number
    alice.client.set_verified("bob", before)

    message = await alice.client.send("@bob", "nothing typed is lost")
    with pytest.raises(IdentityChanged) as held:
        await alice.client.acknowledged(message.local_id, PATIENCE)

    assert held.value.exit_code == 4
    changed = alice.client.contact("bob")
    assert (changed.identity, changed.verified) == (Identity.CHANGED, False)
    assert changed.changed_number not in {"", before}
    assert [one.text for one in alice.client.messages("@bob")] == ["nothing typed is lost"]
    assert bob.heard() == []
    async with connected(alice.home.profile("alice")) as face:  # a bot, or any other program
        with pytest.raises(HolderRefused) as refused:
            await face.acknowledged(message.local_id, PATIENCE)
        assert (refused.value.kind, refused.value.exit_code) == ("IdentityChanged", 4)
        assert (await face.contact("bob")).identity is Identity.CHANGED

    alice.client.set_verified("bob", changed.changed_number)

    await alice.sees(Released)
    await bob.hears("nothing typed is lost")
    assert (await alice.client.acknowledged(message.local_id, PATIENCE)).state is MessageState.SENT
    after = alice.client.contact("bob")
    assert (after.identity, after.safety_number) == (Identity.VERIFIED, changed.changed_number)


async def test_d_04_a_scan_of_changed_keys_accepts_and_verifies_them(world: World) -> None:
    alice, bob = await world.join("alice", "bob")
    await meets_another(alice, bob)
    await bob.says("@alice", "it is me")
    await alice.sees(Held)
    assert alice.client.contact("bob").identity is Identity.CHANGED

    alice.client.compare_code("@bob", bob.client.contact("alice").code)

    assert alice.client.contact("bob").identity is Identity.VERIFIED
    await alice.says("@bob", "so it is")
    await bob.hears("so it is")


async def test_a_rooms_code_is_noted_as_compared_for_the_epoch_that_it_was_of(world: World) -> None:
    alice, bob = await world.join("alice", "bob")
    await alice.client.create_room("#team")
    await alice.client.invite("#team", "bob")
    await bob.sees(Invited)
    assert await in_one_epoch(alice, bob)
    code = str(bob.client.fingerprint("#team").epoch_code)
    epoch = alice.client.conversation("#team").epoch

    with pytest.raises(NotTheSame, match="not the code"):
        alice.client.set_compared("#team", "@bob", "00000")
    with pytest.raises(UnknownUser, match="carol is not in"):
        alice.client.set_compared("#team", "@carol", code)
    alice.client.set_compared("#team", "@bob", code[:11])

    (noted,) = alice.client.fingerprint("#team").compared
    assert (noted.user, noted.epoch, noted.present) == ("bob", epoch, True)
    assert bob.client.fingerprint("#team").compared == (), "a note is told to nobody"

    carol = (await world.join("carol"))[0]
    await alice.client.invite("#team", "carol")
    await carol.sees(Invited)
    (noted,) = alice.client.fingerprint("#team").compared
    assert (noted.epoch, noted.present) == (epoch, False)
    alice.client.set_compared("#team", "@bob", "")
    assert alice.client.fingerprint("#team").compared == ()
