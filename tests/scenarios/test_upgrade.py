"""A conversation goes on in a better cipher suite: the same one, for everybody (RFC 9420 section 11.2)."""

import asyncio
import contextlib
import os
import shutil

import pytest

from securechat.client import claims, intents, planner, records, upgrading, verbs
from securechat.client.change import Change
from securechat.client.config import Home
from securechat.client.errors import CannotUpgrade, Forbidden, RefusedByServer
from securechat.client.events import Held, Invited, MessageState, Notice
from securechat.client.intents import Intent
from securechat.client.records import ConversationRecord
from securechat.mls.cipher_suite import SUITE_3, SUITE_HYBRID
from securechat.mls.group import Group
from securechat.protocol.messages import ClaimKeyPackages
from tests.scenarios.test_crash_points import CrashingChanges, crash_and_restart
from tests.scenarios.test_restored import bring_back, copy_of
from tests.scenarios.test_suites import older
from tests.scenarios.world import PATIENCE, Person, World, has_keys

LAST = 14
"""Changes of an upgrade, and some more."""

ALL = bool(os.environ.get("SECURECHAT_ALL_CRASHES"))
POINTS = range(1, LAST + 1, 1 if ALL else 3)
FOLLOWING = range(1, 6, 1 if ALL else 2)


async def pair_in_the_older_suite(world: World, monkeypatch: pytest.MonkeyPatch) -> list[Person]:
    """Two people whose devices have both suites, in a conversation from before the better one was used."""
    alice, bob = await world.join("alice", "bob")
    with monkeypatch.context() as before:
        made_in_the_older_suite(before)
        await alice.says("@bob", "from before")
        await bob.hears("from before")
    assert bob.client.conversation("@alice").suite == SUITE_3.name
    return [alice, bob]


def made_in_the_older_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    """Groups are made as a release made them that had the better suite's keys and did not use them yet."""
    monkeypatch.setattr(planner, "first_claim", lambda user, own, _: ClaimKeyPackages(user, own[-1]))
    monkeypatch.setattr(claims, "next_claim", lambda *_: None)
    made = planner.Planner._new_group
    monkeypatch.setattr(planner.Planner, "_new_group", lambda self, room, _: made(self, room, SUITE_3.number))


async def team_in_the_older_suite(world: World, monkeypatch: pytest.MonkeyPatch) -> list[Person]:
    people = await world.join("alice", "bob", "carol")
    alice, *others = people
    with monkeypatch.context() as before:
        made_in_the_older_suite(before)
        await alice.client.create_room("#team", topic="tea")
        for other in others:
            await alice.client.invite("#team", other.name)
            await other.sees(Invited)
            await other.client.join("#team")
        await alice.says("#team", "from before")
        for other in others:
            await other.hears("from before")
    return people


def not_any_more(
    by: planner.Planner, change: Change, _record: ConversationRecord, intent: Intent, _old: Group
) -> None:
    """Whoever would make the next group is gone before."""
    intents.wait(change.db, intent.id, until=by.clock() + 600)


async def moved(*people: Person) -> None:
    for person in people:
        await person.sees(Notice, lambda event: event.code == "upgraded")


def names(person: Person) -> list[str]:
    return [conversation.name for conversation in person.client.conversations()]


async def test_a_conversation_of_two_goes_on_in_the_better_suite(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = await pair_in_the_older_suite(world, monkeypatch)

    await bob.client.upgrade("@alice")
    await moved(alice, bob)

    assert [p.client.conversation(n).suite for p, n in ((alice, "@bob"), (bob, "@alice"))] == [
        SUITE_HYBRID.name
    ] * 2
    await alice.says("@bob", "after")
    await bob.hears("after")
    await bob.says("@alice", "and back")
    await alice.hears("and back")
    assert (names(alice), names(bob)) == (["@bob"], ["@alice"])
    assert [m.text for m in bob.client.messages("@alice")] == ["from before", "after", "and back"]
    with pytest.raises(CannotUpgrade, match="already"):
        await alice.client.upgrade("@bob")


async def copied_before_the_upgrade(world: World, person: Person, by: Person, name: str) -> None:
    """Somebody is back with a copy of their profile that is older than the upgrade of a conversation."""
    await person.close()
    shutil.copytree(person.home.path, world.folder / "copy")
    await person.open()
    await person.says(name, "after the copy was taken")
    await person.close()
    await by.client.upgrade(name if name.startswith("#") else f"@{person.name}")
    await moved(by)
    person.home = Home(world.folder / "copy")
    person.events.clear()


def renews(person: Person, name: str) -> None:
    engine = person.client._engine
    record = records.by_name(engine.store.db, name)
    assert record is not None
    with engine.changes.change() as change:
        intents.add_once(change.db, record.id, intents.What.UPDATE)
        change.wake(record.id)


async def epoch(person: Person, name: str, number: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while person.client.conversation(name).epoch != number:
            await person.client.changed()


@pytest.mark.parametrize("later", [False, True])
async def test_d_06_whose_keys_are_lost_when_two_go_on_enters_the_next_group_from_outside(
    world: World, monkeypatch: pytest.MonkeyPatch, *, later: bool
) -> None:
    alice, bob = await pair_in_the_older_suite(world, monkeypatch)
    await copied_before_the_upgrade(world, alice, bob, "@bob")
    if later:
        renews(bob, "@alice")
        await epoch(bob, "@alice", 2)

    await alice.open()
    await moved(alice)
    await alice.says("@bob", "here I am")
    await bob.hears("here I am")
    await bob.says("@alice", "and back")
    await alice.hears("and back")

    assert alice.client.conversation("@bob").suite == SUITE_HYBRID.name
    assert not alice.client.conversation("@bob").held_code
    assert (names(alice), names(bob)) == (["@bob"], ["@alice"])


async def test_d_06_whose_keys_are_lost_when_a_room_goes_on_enters_its_first_epoch_only(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a later epoch may have come to only those can tell who were there."""
    alice, bob, carol = await team_in_the_older_suite(world, monkeypatch)
    await copied_before_the_upgrade(world, carol, alice, "#team")
    await moved(bob)
    renews(alice, "#team")
    await epoch(alice, "#team", 2)

    await carol.open()
    held = await carol.sees(Held)

    assert (held.conversation, held.code) == ("#team", "upgrade_missed")


async def test_a_room_of_three_goes_on_with_a_message_waiting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob, carol = await team_in_the_older_suite(world, monkeypatch)
    await carol.close()
    before = records.by_name(bob.client._engine.store.db, "#team")

    with pytest.raises(CannotUpgrade, match="owner"):
        await bob.client.upgrade("#team")
    await alice.client.upgrade("#team")
    await alice.says("#team", "to who was away")
    await carol.open()
    await carol.client.send("#team", "typed before anything was read")
    await moved(bob, carol)

    await carol.hears("to who was away")
    await bob.hears("to who was away")
    await alice.hears("typed before anything was read")
    await bob.hears("typed before anything was read")
    after = records.by_name(bob.client._engine.store.db, "#team")
    assert before is not None
    assert after is not None
    assert after.predecessor == before.group_id
    assert (after.id, after.room, after.topic) == (before.id, before.room, "tea")
    for person in (alice, bob, carol):
        assert names(person) == ["#team"]
        assert person.client.conversation("#team").suite == SUITE_HYBRID.name
        members = [
            (each.user, each.role, each.devices) for each in person.client.conversation("#team").members
        ]
        assert members == [("alice", "owner", 1), ("bob", "member", 1), ("carol", "member", 1)]
        assert not person.client.conversation("#team").held_code


async def test_who_was_certified_before_comes_along_once_the_group_knows(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device of before stands in the way by name, until its password was typed in this release."""
    (alice,) = await world.join("alice")
    olga = await older(world, "olga", monkeypatch)
    await alice.says("@olga", "hello")
    await olga.hears("hello")
    with pytest.raises(CannotUpgrade, match=r"olga's device .* is not certified"):
        await alice.client.upgrade("@olga")
    with pytest.raises(CannotUpgrade, match="this device is not certified"):
        await olga.client.upgrade("@alice")

    await olga.close()
    await olga.open()
    await olga.client.upgrade("@alice")

    await moved(alice, olga)
    await alice.says("@olga", "after")
    await olga.hears("after")
    assert alice.client.conversation("@olga").suite == SUITE_HYBRID.name


async def test_a_group_whose_closer_is_gone_for_good_is_taken_on_by_the_other(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = await pair_in_the_older_suite(world, monkeypatch)
    with monkeypatch.context() as dying:
        dying.setattr(upgrading, "_make_next", not_any_more)
        await alice.client.send("@bob", "before it is closed")
        upgrade = asyncio.ensure_future(alice.client.upgrade("@bob"))
        await bob.sees(Notice, lambda event: event.code == "upgrading")
        await bob.hears("before it is closed")
        await alice.close()
        upgrade.cancel()
    waiting = await bob.client.send("@alice", "typed meanwhile")
    assert bob.client.messages("@alice")[-1].state is MessageState.QUEUED

    await bob.client.upgrade("@alice")
    await bob.client.acknowledged(waiting.local_id, PATIENCE)
    await alice.open()

    await moved(alice)
    await alice.hears("typed meanwhile")
    await alice.says("@bob", "back again")
    await bob.hears("back again")
    assert alice.client.conversation("@bob").suite == SUITE_HYBRID.name


async def test_two_who_upgrade_at_once_end_in_one_group(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = await pair_in_the_older_suite(world, monkeypatch)

    await asyncio.gather(alice.client.upgrade("@bob"), bob.client.upgrade("@alice"))
    await moved(alice, bob)

    ids = [records.by_name(p.client._engine.store.db, n) for p, n in ((alice, "@bob"), (bob, "@alice"))]
    assert len({record.group_id for record in ids if record is not None}) == 1
    await alice.says("@bob", "one")
    await bob.hears("one")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("committed", [False, True], ids=["before the commit", "after the commit"])
@pytest.mark.parametrize("point", POINTS)
async def test_who_upgrades_crashes_at_any_change_and_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch, point: int, *, committed: bool
) -> None:
    """C-02: keys claimed, group closed, the next one made and not sent, sent and not answered."""
    alice, bob = await pair_in_the_older_suite(world, monkeypatch)
    crashing = CrashingChanges(alice.client, point, committed=committed)

    async def told() -> None:
        await alice.client.upgrade("@bob")
        await alice.client.send("@bob", "after", key="after")

    telling = asyncio.ensure_future(told())
    crash = asyncio.ensure_future(crashing.over.wait())
    await asyncio.wait((telling, crash), return_when=asyncio.FIRST_COMPLETED)
    for task in (telling, crash):
        task.cancel()
    await asyncio.gather(telling, crash, return_exceptions=True)

    await crash_and_restart(alice)
    await alice.client.caught_up()
    if alice.client.conversation("@bob").suite != SUITE_HYBRID.name:
        with contextlib.suppress(CannotUpgrade):  # it has gone on by itself meanwhile; see below
            await alice.client.upgrade("@bob")
    await alice.client.send("@bob", "after", key="after")
    await bob.hears("after")
    await bob.says("@alice", "and back")
    await alice.hears("and back")

    assert bob.heard() == ["from before", "after"]
    assert names(alice) == ["@bob"]
    assert bob.client.conversation("@alice").suite == SUITE_HYBRID.name


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("committed", [False, True], ids=["before the commit", "after the commit"])
@pytest.mark.parametrize("point", FOLLOWING)
async def test_who_follows_crashes_at_any_change_and_goes_on(
    world: World, monkeypatch: pytest.MonkeyPatch, point: int, *, committed: bool
) -> None:
    """C-02: the log read to its end, the Welcome kept, the new group entered."""
    alice, bob = await pair_in_the_older_suite(world, monkeypatch)
    await bob.client.caught_up()
    crashing = CrashingChanges(bob.client, point, committed=committed)
    await alice.client.upgrade("@bob")
    await alice.says("@bob", "after")
    crash = asyncio.ensure_future(crashing.over.wait())
    done = asyncio.ensure_future(has_all(bob, "after"))  # what comes at once may be fewer changes
    await asyncio.wait((crash, done), return_when=asyncio.FIRST_COMPLETED)
    for task in (crash, done):
        task.cancel()
    await asyncio.gather(crash, done, return_exceptions=True)

    await crash_and_restart(bob)
    await bob.hears("after")
    await bob.says("@alice", "and back")
    await alice.hears("and back")

    assert bob.heard() == ["from before", "after"]
    assert names(bob) == ["@alice"]


async def has_all(person: Person, text: str) -> None:
    await person.hears(text)
    assert await person.client.drained(PATIENCE)
    await person.client.caught_up()


async def test_who_leaves_just_before_does_not_come_along(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob, carol = await team_in_the_older_suite(world, monkeypatch)

    await asyncio.gather(bob.client.leave("#team"), alice.client.upgrade("#team"))
    await moved(alice, carol)
    await carol.says("#team", "only us")
    await alice.hears("only us")

    async with asyncio.timeout(PATIENCE):  # who asked too late for the old group asks again in the new one
        while "bob" in [member.user for member in alice.client.conversation("#team").members]:
            await alice.client.changed()
    assert "only us" not in bob.heard()


async def test_a_downgrade_is_refused_by_the_server_whoever_asks(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """M-07: neither by our own rules nor by the server's."""
    alice, bob = await world.join("alice", "bob")
    await alice.says("@bob", "hello")
    await bob.hears("hello")
    with monkeypatch.context() as lying:
        lying.setattr(upgrading, "suite_to_go_on_in", lambda *_: SUITE_3.number)
        lying.setattr(verbs, "suite_to_go_on_in", lambda *_: SUITE_3.number)
        lying.setattr(claims, "suite_to_go_on_in", lambda *_: SUITE_3.number)
        with pytest.raises(Forbidden, match="no weaker"):  # our own judge
            await alice.client.upgrade("@bob")
        lying.setattr(planner, "judge", lambda *_: None)
        with pytest.raises(RefusedByServer, match="reinit-room") as refused:  # the server's
            await alice.client.upgrade("@bob")
        assert refused.value.code == "refused_commit"

    await alice.says("@bob", "still here")
    await bob.hears("still here")
    assert alice.client.conversation("@bob").suite == SUITE_HYBRID.name


async def test_a_server_from_before_an_upgrade_gets_the_two_together_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """N-03: the copy knows only the old group, which both have left for good."""
    alice, bob = await pair_in_the_older_suite(world, monkeypatch)
    copy = copy_of(world)
    await alice.client.upgrade("@bob")
    await moved(alice, bob)
    await alice.says("@bob", "in the new group")
    await bob.hears("in the new group")

    await bring_back(world, copy)
    await alice.says("@bob", "after the copy")
    await bob.hears("after the copy")
    await bob.says("@alice", "and back")
    await alice.hears("and back")

    assert bob.heard() == ["from before", "in the new group", "after the copy"]
    assert (names(alice), names(bob)) == (["@bob"], ["@alice"])
    assert alice.client.conversation("@bob").suite == SUITE_HYBRID.name


async def test_a_server_from_before_a_group_was_closed_is_brought_to_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """N-03: nobody can enter a closed group, so its commit is offered without a GroupInfo."""
    alice, bob, carol = await team_in_the_older_suite(world, monkeypatch)
    copy = copy_of(world)
    with monkeypatch.context() as dying:
        dying.setattr(upgrading, "_make_next", not_any_more)
        upgrade = asyncio.ensure_future(alice.client.upgrade("#team"))
        for person in (bob, carol):
            await person.sees(Notice, lambda event: event.code == "upgrading")
        await bring_back(world, copy)
        for person in (alice, bob, carol):
            await person.client.caught_up()
            await has_keys(person)  # the server came back without any
    with alice.client._engine.changes.change() as change:
        record = alice.client._verbs.record("#team")
        for intent in intents.of(change.db, record.id):
            intents.wait(change.db, intent.id, until=0)
        change.wake(record.id)

    await upgrade
    await moved(bob, carol)
    await carol.says("#team", "all here")
    for person in (alice, bob):
        await person.hears("all here")
