"""Rooms: made, joined, left; one-way ones; names that only members see."""

import pytest

from securechat.client import outbox
from securechat.client.errors import Forbidden, NotAMember, UnknownUser
from securechat.client.events import Invited, MembersChanged, Removed, Standing
from tests.scenarios.world import Person, World


async def room_of_three(world: World) -> tuple[Person, Person, Person]:
    alice, bob, carol = await world.join("alice", "bob", "carol")
    await alice.client.create_room("#team", topic="plans")
    for person in (bob, carol):
        await alice.client.invite("#team", person.name)
        await person.sees(Invited)
        await person.client.join("#team")
    return alice, bob, carol


async def test_everyone_in_a_room_sees_what_is_said(world: World) -> None:
    alice, bob, carol = await room_of_three(world)

    await carol.says("#team", "hello all")
    for person in (alice, bob):
        event = await person.hears("hello all")
        assert event.message.sender == "carol"

    shown = bob.client.conversation("#team")
    assert (shown.title, shown.topic, shown.invited_by) == ("team", "plans", "alice")
    assert [member.user for member in shown.members] == ["alice", "bob", "carol"]


async def test_an_invited_client_sends_nothing_and_sees_all_once_it_joins(world: World) -> None:
    alice, bob = await world.join("alice", "bob")
    await alice.client.create_room("#team")
    await alice.client.invite("#team", "bob")
    await bob.sees(Invited)
    await alice.says("#team", "are you there?")

    with pytest.raises(NotAMember):
        await bob.client.send("#team", "not yet")
    await alice.says("@bob", "a direct word")
    await bob.hears("a direct word")
    assert "are you there?" not in bob.heard()
    assert [message.text for message in bob.client.unprinted(10)] == ["a direct word"]
    await bob.client.join("#team")

    await bob.hears("are you there?")


async def test_a_removed_member_hears_no_more_and_keeps_what_was_said(world: World) -> None:
    alice, bob, carol = await room_of_three(world)
    await alice.says("#team", "with bob")
    await bob.hears("with bob")

    await alice.client.remove("#team", "bob")
    removed = await bob.sees(Removed)
    await alice.says("#team", "without bob")
    await carol.hears("without bob")

    assert removed.by == "alice"
    assert bob.client.conversation("#team").state is Standing.REMOVED
    assert [message.text for message in bob.client.messages("#team")] == ["with bob"]
    with pytest.raises(NotAMember):
        await bob.client.send("#team", "may I?")


async def test_who_was_removed_can_be_invited_again(world: World) -> None:
    alice, bob, _ = await room_of_three(world)
    await alice.client.remove("#team", "bob")
    await bob.sees(Removed)
    bob.events.clear()

    await alice.client.invite("#team", "bob")
    await bob.sees(Invited)
    await bob.client.join("#team")
    await bob.says("#team", "back again")

    await alice.hears("back again")


async def test_who_was_removed_and_invited_while_away_sees_both(world: World) -> None:
    alice, bob, carol = await room_of_three(world)
    await bob.close()
    await alice.client.remove("#team", "bob")
    await alice.says("#team", "not for bob")
    await alice.client.invite("#team", "bob")
    await carol.says("#team", "for bob")

    await bob.open()
    await bob.sees(Removed)
    await bob.sees(Invited, lambda event: event.conversation == "#team")
    await bob.client.caught_up()
    await bob.client.join("#team")
    await bob.hears("for bob")

    assert "not for bob" not in bob.heard()


async def test_an_invitation_can_be_declined(world: World) -> None:
    alice, bob = await world.join("alice", "bob")
    await alice.client.create_room("#team")
    await alice.client.invite("#team", "bob")
    await bob.sees(Invited)

    await bob.client.leave("#team")
    await alice.sees(MembersChanged, lambda event: event.removed == ("bob",))

    assert bob.client.conversation("#team").state is Standing.LEFT


async def test_who_joins_lets_go_of_those_who_left_before(world: World) -> None:
    alice, bob = await world.join("alice", "bob")
    await alice.client.create_room("#team")
    await alice.client.invite("#team", "bob")
    await bob.sees(Invited)
    await alice.client.leave("#team")

    await bob.client.join("#team")
    await bob.sees(MembersChanged, lambda event: event.removed == ("alice",))

    assert [member.user for member in bob.client.conversation("#team").members] == ["bob"]


async def test_who_leaves_is_let_go_by_those_who_stay(world: World) -> None:
    alice, bob, carol = await room_of_three(world)

    await bob.client.leave("#team")
    gone = await alice.sees(MembersChanged, lambda event: event.removed == ("bob",))
    await alice.says("#team", "bob has left")
    await carol.hears("bob has left")

    assert gone.by == "bob"
    assert bob.client.conversation("#team").state is Standing.LEFT
    assert [member.user for member in carol.client.conversation("#team").members] == ["alice", "carol"]


async def test_the_last_one_just_leaves(world: World) -> None:
    (alice,) = await world.join("alice")
    await alice.client.create_room("#team")

    await alice.client.leave("#team")

    assert alice.client.conversation("#team").state is Standing.LEFT


async def test_in_an_announcement_room_only_some_speak(world: World) -> None:
    alice, bob = await world.join("alice", "bob")
    await alice.client.create_room("#news", announcement=True)
    await alice.client.invite("#news", "bob")
    await bob.sees(Invited)
    await bob.client.join("#news")

    await alice.says("#news", "it is so")
    await bob.hears("it is so")
    with pytest.raises(Forbidden):
        await bob.client.send("#news", "is it?")


async def test_a_second_room_of_a_name_gets_a_number(world: World) -> None:
    alice, bob = await world.join("alice", "bob")
    await bob.client.create_room("#team")
    again = await bob.client.create_room("#team")
    await alice.client.create_room("#team")
    await alice.client.invite("#team", "bob")

    invited = await bob.sees(Invited)

    assert again.name == "#team-2"
    assert invited.conversation == "#team-3"


async def test_a_user_who_is_not_there_is_refused(world: World) -> None:
    (alice,) = await world.join("alice")
    await alice.client.create_room("#team")

    with pytest.raises(UnknownUser):
        await alice.client.invite("#team", "nobody")
    queued = await alice.client.send("@nobody", "hello?")
    with pytest.raises(UnknownUser):
        await alice.client.acknowledged(queued.local_id, 20)
    assert [each.name for each in alice.client.conversations()] == ["#team"]


async def test_a_member_may_not_remove_others(world: World) -> None:
    _, bob, carol = await room_of_three(world)

    with pytest.raises(Forbidden):
        await bob.client.remove("#team", "carol")

    await carol.says("#team", "still here")
    await bob.hears("still here")


async def test_an_owner_who_leaves_takes_the_role_along(world: World) -> None:
    alice, bob, carol = await room_of_three(world)

    await alice.client.leave("#team")
    await bob.sees(MembersChanged, lambda event: event.removed == ("alice",))
    await carol.says("#team", "we go on")
    await bob.hears("we go on")

    members = bob.client.conversation("#team").members
    assert [(member.user, member.role) for member in members] == [("bob", "member"), ("carol", "member")]


async def test_a_room_of_big_commits_travels_in_blobs(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What may not fit a frame goes up and down in pieces, named by its hash."""
    monkeypatch.setattr(outbox, "MAX_BODY", 500)
    monkeypatch.setattr(outbox, "MAX_CHUNK", 300)

    alice, _, carol = await room_of_three(world)
    await carol.says("#team", "all pieces found")

    await alice.hears("all pieces found")
