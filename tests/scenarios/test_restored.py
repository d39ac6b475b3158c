"""The server comes back from an older copy; its clients bring back what it lost (N-03, D-06, M-10)."""

import asyncio
import itertools
import os
import shutil
import time
from pathlib import Path

import msgspec
import pytest
from apsw import Connection

from securechat.client import anchor, intents, receipts
from securechat.client.errors import ProfileExists, ServerOlder
from securechat.client.events import (
    Connected,
    Disconnected,
    Held,
    Invited,
    MembersChanged,
    Notice,
    Removed,
    Undecryptable,
)
from securechat.client.intents import What
from securechat.client.restored import MOST_A_DAY
from securechat.protocol.messages import Appended, LoggedIn, OfferCommit, Sync, Synced
from securechat.server import delivery
from securechat.server import session as server_session
from securechat.server.app import running
from securechat.server.backup import back_up
from securechat.server.config import ServerConfig
from securechat.server.reopening import Reopening
from securechat.server.store.sqlite import open_database
from securechat.server.values import Caller, Decision
from tests.scenarios.test_rooms import room_of_three
from tests.scenarios.world import PATIENCE, Person, World, in_one_epoch

SWEPT_AFTER = 600.0
"""Seconds that those who stay let pass here before they commit that somebody left."""

ALL = bool(os.environ.get("SECURECHAT_ALL_RESTORES"))
ORDERS = list(itertools.permutations(range(3)))[:: 1 if ALL else 2]
"""Who comes back when; in short, each is first once."""


def copy_of(world: World, name: str = "copy.db") -> Path:
    """Take a copy of the server while it runs."""
    target = world.folder / name
    back_up(world.folder / "server" / "server.db", target)
    return target


async def bring_back(world: World, copy: Path, *, declared: bool = True) -> None:
    """The server's disk is gone, the copy is all there is."""
    await world.stop_server()
    data = world.folder / "server"
    for suffix in ("", "-wal", "-shm"):
        (data / f"server.db{suffix}").unlink(missing_ok=True)
    shutil.copy(copy, data / "server.db")
    if not declared:
        undeclare(data / "server.db")
    await world.start_server()


def undeclare(database: Path) -> None:
    """What an operator gets who copies files by hand: nothing says that they are older."""
    db = open_database(database)
    db.execute("UPDATE server SET is_copy = 0")
    db.close()


async def renews(person: Person, name: str = "#team") -> None:
    """Give one's own leaf fresh keys: a commit; returns once it is applied."""
    epoch = person.client.conversation(name).epoch
    with person.client._engine.changes.change() as change:
        record = person.client._verbs.record(name)
        intents.add_once(change.db, record.id, What.UPDATE)
        change.wake(record.id)
    await reaches(person, epoch + 1, name)


async def reaches(person: Person, epoch: int, name: str = "#team") -> None:
    async with asyncio.timeout(PATIENCE):
        while person.client.conversation(name).epoch < epoch:
            await person.client._engine.changed()


def texts(person: Person, name: str) -> list[str]:
    return [message.text for message in person.client.messages(name, 1000)]


async def settled(*people: Person) -> None:
    for _ in range(2):
        for person in people:
            assert await person.client.drained(PATIENCE)
        for person in people:
            await person.client.caught_up()


async def a_lost_day(world: World) -> tuple[tuple[Person, Person, Person], Path]:
    """Three people, a copy, and then: words, a direct word, commits of two of them."""
    people = alice, bob, carol = await room_of_three(world)
    await alice.says("#team", "before")
    await bob.says("@alice", "hi alice")
    for person in (bob, carol):
        await person.hears("before")
    await alice.hears("hi alice")
    copy = copy_of(world)
    await alice.says("#team", "lost 1")
    await bob.hears("lost 1")
    await bob.says("#team", "lost 2")
    await renews(alice)
    await alice.says("#team", "lost 3")
    await alice.says("@bob", "hi bob")
    await reaches(bob, alice.client.conversation("#team").epoch)
    await bob.hears("lost 3")
    await renews(bob)
    await bob.says("#team", "lost 4")
    for person, heard in ((alice, "lost 4"), (bob, "hi bob"), (carol, "lost 4")):
        await person.hears(heard)
    return people, copy


SAID = ["before", "lost 1", "lost 2", "lost 3", "lost 4"]


@pytest.mark.parametrize("order", ORDERS, ids=str)
async def test_n_03_whoever_comes_first_what_was_said_is_there_once(
    world: World, order: tuple[int, int, int]
) -> None:
    people, copy = await a_lost_day(world)
    for person in people:
        await person.close()
    await bring_back(world, copy)

    for index in order:
        await people[index].open()
        await people[index].sees(Notice, lambda event: event.code == "server_restored")
    await settled(*people)
    for person in people:
        await person.says("#team", f"{person.name} goes on")
    for person, other in itertools.permutations(people, 2):
        await person.hears(f"{other.name} goes on")

    for person in people:
        shown = texts(person, "#team")
        assert [text for text in shown if "goes on" not in text] == SAID
        assert len(shown) == len(SAID) + 3
        assert [event for event in person.events if isinstance(event, Undecryptable | Held)] == []
    assert texts(people[0], "@bob") == ["hi alice", "hi bob"]
    assert texts(people[1], "@alice") == ["hi alice", "hi bob"]
    assert await in_one_epoch(*people)


async def test_n_03_who_was_connected_all_the_time_brings_it_back_too(world: World) -> None:
    people, copy = await a_lost_day(world)
    alice, bob, carol = people

    await bring_back(world, copy)
    for person in people:
        await person.sees(Notice, lambda event: event.code == "server_restored")
    await settled(*people)
    await carol.says("#team", "all there?")

    for person in (alice, bob):
        await person.hears("all there?")
    for person in people:
        assert texts(person, "#team") == [*SAID, "all there?"]
    assert await in_one_epoch(*people)


async def test_n_03_who_was_away_all_the_time_hears_what_was_lost(world: World) -> None:
    people = alice, bob, carol = await room_of_three(world)
    await carol.close()
    copy = copy_of(world)
    await alice.says("#team", "one")
    await renews(alice)
    await bob.says("#team", "two")
    await alice.hears("two")
    for person in (alice, bob):
        await person.close()
    await bring_back(world, copy)

    await carol.open()
    await carol.client.caught_up()
    assert texts(carol, "#team") == []
    for person in (bob, alice):
        await person.open()
    await carol.hears("one")
    await carol.hears("two")
    await carol.says("#team", "so that was it")
    await alice.hears("so that was it")

    assert sorted(carol.heard()) == ["one", "two"]
    assert not any(isinstance(event, Undecryptable) for person in people for event in person.events)
    assert await in_one_epoch(*people)


async def test_n_03_who_speaks_before_the_others_are_back_is_heard_by_all(world: World) -> None:
    """They are past the epoch that the copy is in, and could not open what is said in it."""
    people = alice, bob, carol = await room_of_three(world)
    await bob.close()
    copy = copy_of(world)
    await renews(alice)
    await reaches(carol, alice.client.conversation("#team").epoch)
    for person in (alice, carol):
        await person.close()
    await bring_back(world, copy)

    await bob.open()
    await bob.says("#team", "anybody here?")
    for person in (carol, alice):
        await person.open()
        await person.hears("anybody here?")
    await settled(*people)

    for person in people:
        assert texts(person, "#team") == ["anybody here?"]
        assert [event for event in person.events if isinstance(event, Undecryptable | Held)] == []


async def test_n_03_a_committer_who_never_returns_is_not_needed(world: World) -> None:
    people, copy = await a_lost_day(world)
    _, bob, carol = people
    for person in people:
        await person.close()
    await bring_back(world, copy)

    for person in (carol, bob):
        await person.open()
    await settled(bob, carol)
    await carol.says("#team", "without alice")
    await bob.hears("without alice")

    for person in (bob, carol):
        assert texts(person, "#team") == [*SAID, "without alice"]
    assert await in_one_epoch(bob, carol)


async def test_n_03_who_was_removed_since_is_removed_again_and_reads_nothing(world: World) -> None:
    alice, bob, carol = await room_of_three(world)
    copy = copy_of(world)
    await alice.client.remove("#team", "bob")
    await bob.sees(Removed)
    await carol.sees(MembersChanged, lambda event: event.removed == ("bob",))
    await alice.says("#team", "without bob")
    await carol.hears("without bob")
    for person in (alice, bob, carol):
        await person.close()
    await bring_back(world, copy)

    await bob.open()
    await bob.client.caught_up()
    for person in (carol, alice):
        await person.open()
    await settled(alice, carol)
    await carol.says("#team", "still without bob")
    await alice.hears("still without bob")
    await bob.client.caught_up()

    assert bob.heard() == []
    assert not any(isinstance(event, Undecryptable) for event in bob.events)
    assert [member.user for member in alice.client.conversation("#team").members] == ["alice", "carol"]
    assert texts(carol, "#team") == ["without bob", "still without bob"]


@pytest.mark.parametrize("first", ["adder", "added"])
async def test_n_03_who_was_added_since_is_in_again(world: World, first: str) -> None:
    alice, bob, carol = await room_of_three(world)
    dave = (await world.join("dave"))[0]
    await dave.client.caught_up()
    copy = copy_of(world)
    await alice.client.invite("#team", "dave")
    await dave.sees(Invited)
    await dave.client.join("#team")
    await dave.says("#team", "I am here")
    for person in (alice, bob, carol):
        await person.hears("I am here")
        await person.close()
    await dave.close()
    await bring_back(world, copy)

    for person in (alice, dave) if first == "adder" else (dave, alice):
        await person.open()
        await person.sees(Notice, lambda event: event.code == "server_restored")
    await alice.says("#team", "dave?")
    await dave.hears("dave?")
    await dave.says("#team", "yes")
    for person in (bob, carol):
        await person.open()
        await person.hears("yes")

    assert texts(carol, "#team") == ["I am here", "dave?", "yes"]
    assert await in_one_epoch(alice, bob, carol, dave)


async def test_n_03_an_invitation_that_was_not_taken_yet_comes_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of her who committed it: how long the others leave that to her is no matter here."""
    monkeypatch.setattr(anchor, "COMMITTER_FIRST", 2.0 * PATIENCE)
    alice, _, _ = await room_of_three(world)
    dave = (await world.join("dave"))[0]
    await dave.client.caught_up()
    await dave.close()
    copy = copy_of(world)
    await alice.client.invite("#team", "dave")
    await bring_back(world, copy)

    await alice.says("#team", "welcome")
    await dave.open()
    await dave.sees(Invited)
    await dave.client.join("#team")
    await dave.hears("welcome")


async def test_n_03_who_is_woken_meanwhile_leaves_an_invitation_to_her_who_made_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Welcome is only with her: whoever writes before she is back must not make it useless."""
    monkeypatch.setattr(anchor, "COMMITTER_FIRST", 2.0 * PATIENCE)
    alice, bob, carol = await room_of_three(world)
    dave = (await world.join("dave"))[0]
    await dave.client.caught_up()
    copy = copy_of(world)
    await alice.client.invite("#team", "dave")
    await settled(bob, carol)
    for person in (alice, carol, dave):
        await person.close()
    await bring_back(world, copy)
    await bob.sees(Notice, lambda event: event.code == "server_restored")
    await bob.client.caught_up()
    before = head_of(world, "#team", bob)

    for number in range(2):
        await bob.client.send("#team", f"{number}: where is everybody?")
        await bob.client.caught_up()
    assert bob.client._engine._sync.anchor._offered == {}
    assert head_of(world, "#team", bob) == before

    await alice.open()
    await dave.open()
    await dave.sees(Invited)
    await dave.client.join("#team")
    await dave.hears("1: where is everybody?")


async def test_n_03_whose_invitation_nobody_brought_back_is_invited_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Welcome is only with the committer, and the others did not wait for her for ever."""
    monkeypatch.setattr(anchor, "COMMITTER_FIRST", 0.1)
    alice, bob, carol = await room_of_three(world)
    dave = (await world.join("dave"))[0]
    await dave.client.caught_up()
    await dave.close()
    copy = copy_of(world)
    await alice.client.invite("#team", "dave")
    await settled(bob, carol)
    await alice.close()
    await bring_back(world, copy)
    await settled(bob, carol)
    await bob.says("#team", "dave is in")
    await dave.open()
    await dave.client.caught_up()
    assert not [event for event in dave.events if isinstance(event, Invited)]

    await alice.open()
    await alice.hears("dave is in")
    await alice.client.remove("#team", "dave")
    await alice.client.invite("#team", "dave")
    await dave.sees(Invited)
    await dave.client.join("#team")
    await dave.says("#team", "at last")
    for person in (alice, bob, carol):
        await person.hears("at last")


async def test_n_03_who_asked_to_leave_since_asks_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob, carol = await room_of_three(world)
    copy = copy_of(world)
    with monkeypatch.context() as patch:
        patch.setattr(intents, "jitter", lambda _: SWEPT_AFTER)
        await bob.client.leave("#team")
        await settled(alice, bob, carol)
        for person in (alice, bob, carol):
            await person.close()
    assert not [event for event in alice.events if isinstance(event, MembersChanged) and event.removed]
    await bring_back(world, copy)

    for person in (alice, carol, bob):
        person.clock = lambda: time.time() + SWEPT_AFTER
        await person.open()
    for person in (alice, carol):
        await person.sees(MembersChanged, lambda event: event.removed == ("bob",))
    await alice.says("#team", "bye bob")
    await carol.hears("bye bob")
    assert bob.heard() == []


async def test_n_03_a_conversation_of_two_made_since_is_opened_anew(world: World) -> None:
    alice, bob = await world.join("alice", "bob")
    await alice.client.caught_up()
    await bob.client.caught_up()
    copy = copy_of(world)
    await alice.says("@bob", "one")
    await bob.hears("one")
    await bob.says("@alice", "two")
    await alice.hears("two")
    for person in (alice, bob):
        await person.close()
    await bring_back(world, copy)

    for person in (bob, alice):
        await person.open()
        await person.sees(Notice, lambda event: event.code == "server_restored")
    await settled(alice, bob)
    await alice.says("@bob", "three")
    await bob.hears("three")

    assert texts(alice, "@bob") == ["one", "two", "three"]
    assert texts(bob, "@alice") == ["one", "two", "three"]
    assert bob.heard() == ["one", "three"]


async def test_n_03_a_room_made_since_is_held_and_says_what_to_do(world: World) -> None:
    (alice,) = await world.join("alice")
    await alice.client.caught_up()
    copy = copy_of(world)
    await alice.client.create_room("#team")
    await bring_back(world, copy)

    held = await alice.sees(Held)

    assert (held.conversation, held.code) == ("#team", "restored_unknown")


async def test_n_03_an_account_made_since_is_made_again_with_its_keys(world: World) -> None:
    alice, bob, carol = await room_of_three(world)
    copy = copy_of(world)
    dave = (await world.join("dave"))[0]
    await alice.client.invite("#team", "dave")
    await dave.sees(Invited)
    await dave.client.join("#team")
    await dave.says("#team", "I am new")
    for person in (alice, bob, carol):
        await person.hears("I am new")
    await bring_back(world, copy)
    await dave.sees(Disconnected, lambda event: event.retry_in is None)
    held = await alice.sees(Held)
    assert held.code == "restored_refused"

    await dave.close()
    await dave.register()
    with pytest.raises(ProfileExists):
        await dave.register()
    await dave.open()
    await dave.client.send("#team", "still me")
    for person in (alice, bob, carol):
        await person.hears("still me")

    assert texts(alice, "#team") == ["I am new", "still me"]
    assert texts(dave, "#team") == ["I am new", "still me"]
    assert await in_one_epoch(alice, bob, carol, dave)


async def test_n_03_two_restores_in_a_row(world: World) -> None:
    people, copy = await a_lost_day(world)
    alice, bob, carol = people
    await carol.close()
    await bring_back(world, copy)
    await settled(alice, bob)
    second = copy_of(world, "second.db")
    await alice.says("#team", "lost twice")
    await bob.hears("lost twice")
    await renews(bob)

    await bring_back(world, second)
    await carol.open()
    await settled(*people)
    await bob.says("#team", "again")
    for person in (alice, carol):
        await person.hears("again")

    for person in people:
        assert texts(person, "#team") == [*SAID, "lost twice", "again"]
        assert [event for event in person.events if isinstance(event, Undecryptable | Held)] == []
    assert await in_one_epoch(*people)


async def test_n_03_the_same_copy_twice(world: World) -> None:
    people, copy = await a_lost_day(world)
    alice, bob, carol = people
    await bring_back(world, copy)
    await settled(*people)
    await carol.says("#team", "once")
    await alice.hears("once")
    await bob.hears("once")

    await bring_back(world, copy)
    await settled(*people)
    await alice.says("#team", "twice")
    for person in (bob, carol):
        await person.hears("twice")

    for person in people:
        assert texts(person, "#team") == [*SAID, "once", "twice"]
        assert [event for event in person.events if isinstance(event, Undecryptable | Held)] == []
    assert await in_one_epoch(*people)


async def test_d_06_data_that_went_back_unsaid_is_noticed_and_held(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """N-03: nothing is sent to a server that forgot, until its operator has said so."""
    monkeypatch.setattr(receipts, "GATHER_SECONDS", 600.0)  # or they are in the copy of a slow machine
    people, copy = await a_lost_day(world)
    alice, bob, carol = people
    await bring_back(world, copy, declared=False)

    for person in people:
        await person.sees(Held, lambda event: event.code == "server_older")
    queued = await alice.client.send("#team", "to whom?")
    with pytest.raises(ServerOlder):
        await alice.client.acknowledged(queued.local_id, PATIENCE)
    await world.stop_server()
    assert head_of(world, "#team", alice) == 3, "what the copy had, and nothing since"

    await start_declared(world)
    for person in people:
        await person.sees(Notice, lambda event: event.code == "server_restored")
    await settled(*people)
    await carol.says("#team", "now it has")
    for person in (alice, bob):
        await person.hears("now it has")

    for person in people:
        assert texts(person, "#team") == [*SAID, "to whom?", "now it has"]
        assert not person.client.conversation("#team").held_code
    assert await in_one_epoch(*people)


def head_of(world: World, name: str, person: Person) -> int:
    """Where a log stands on the server's disk."""
    group = person.client._verbs.record(name).group_id
    db = open_database(world.folder / "server" / "server.db")
    try:
        (head,) = db.execute("SELECT head FROM conversation WHERE group_id = ?", (group,)).fetchone() or (0,)
    finally:
        db.close()
    return int(head)


async def start_declared(world: World) -> None:
    """Start it as an operator does who knows: with --restored."""
    config = ServerConfig(data=world.folder / "server", host="127.0.0.1", port=world.port, restored=True)
    world.app = await world._stack.enter_async_context(running(config))


async def test_d_06_who_only_listened_notices_by_the_log(world: World) -> None:
    alice, bob = await world.join("alice", "bob")
    await alice.says("@bob", "one")
    await bob.hears("one")
    await settled(alice, bob)
    await alice.close()
    copy = copy_of(world)
    await alice.open()
    await alice.says("@bob", "two")
    await bob.hears("two")
    await alice.close()
    await bring_back(world, copy, declared=False)

    held = await bob.sees(Held)
    assert (held.conversation, held.code) == ("@alice", "server_older")

    await world.stop_server()
    await start_declared(world)
    await alice.open()
    await alice.says("@bob", "three")
    await bob.hears("three")
    assert bob.heard() == ["one", "two", "three"]


class Liar:
    """A server that says at every login that it was restored, and of every log what it likes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.on = False
        self.restored: int | None = None
        self.logins = 0
        sync = delivery.Delivery.sync

        enter = server_session.Session._enter

        async def logged_in(session: server_session.Session, caller: Caller) -> LoggedIn:
            told = await enter(session, caller)
            self.logins += self.on
            return msgspec.structs.replace(told, incarnation=told.incarnation + self.logins)

        def synced(service: delivery.Delivery, db: Connection, caller: Caller, body: Sync) -> Synced:
            told = sync(service, db, caller, body)
            if not body.incarnation or not self.on:
                return told
            return Synced([msgspec.structs.replace(each, restored=self.restored) for each in told.groups])

        monkeypatch.setattr(server_session.Session, "_enter", logged_in)
        monkeypatch.setattr(delivery.Delivery, "sync", synced)


@pytest.mark.parametrize("restored", [None, 0, 3, 10_000] if ALL else [None, 3], ids=str)
async def test_m_10_a_server_that_always_says_it_was_restored_does_no_harm(
    world: World, monkeypatch: pytest.MonkeyPatch, restored: int | None
) -> None:
    """D-06: nothing is shown twice, no key is used twice, and after a few times a day it is not believed."""
    people = alice, bob, carol = await room_of_three(world)
    for number in range(3):
        await alice.says("#team", f"alice {number}")
        await bob.hears(f"alice {number}")
        await bob.says("#team", f"bob {number}")
        await alice.hears(f"bob {number}")
    await renews(alice)
    await alice.says("#team", "alice 3")
    for person in (bob, carol):
        await person.hears("alice 3")
    await world.stop_server()
    liar = Liar(monkeypatch)
    liar.on, liar.restored = True, restored
    await world.start_server()

    for number in range(4, 7):
        await settled(alice, bob)
        await alice.says("#team", f"alice {number}")
        await bob.hears(f"alice {number}")
        for person in people:
            await person.close()
        for person in people:
            await person.open()
    await settled(*people)

    told = [f"{name} {number}" for number in range(3) for name in ("alice", "bob")]
    for person in people:
        assert texts(person, "#team") == [*told, *(f"alice {number}" for number in range(3, 7))]
        assert not any(isinstance(event, Undecryptable) for event in person.events)
    for _ in range(2 * MOST_A_DAY):  # midnight may come in between
        await bob.close()
        await bob.open()
        await bob.sees(Connected)
        bob.events.clear()
        if bob.client.conversation("#team").held_code:
            break
    assert bob.client.conversation("#team").held_code == "server_older"


async def test_m_10_a_server_that_takes_an_offer_and_stays_where_it_is_gets_few(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    people, copy = await a_lost_day(world)
    for person in people:
        await person.close()
    offers = 0

    def take(_: Reopening, __: Connection, ___: Caller, ____: OfferCommit, _____: object) -> Decision:
        nonlocal offers
        offers += 1
        return Decision(Appended(5))

    monkeypatch.setattr(Reopening, "offer", take)
    await bring_back(world, copy)
    await people[0].open()
    held = await people[0].sees(Held)

    assert held.code == "restored_refused"
    assert offers <= 2


async def test_n_03_a_log_that_went_another_way_meanwhile_is_a_fork(world: World) -> None:
    """Nothing is sent into a group whose other members we can not know to be those we chose."""
    alice, bob, carol = await room_of_three(world)
    await carol.close()
    copy = copy_of(world)
    await alice.client.remove("#team", "bob")
    await bob.sees(Removed)
    for person in (alice, bob):
        await person.close()
    await bring_back(world, copy)
    await carol.open()
    await carol.client.caught_up()
    await renews(carol)

    await alice.open()
    held = await alice.sees(Held)
    queued = await alice.client.send("#team", "not with bob")
    with pytest.raises(ServerOlder):
        await alice.client.acknowledged(queued.local_id, PATIENCE)
    await carol.client.caught_up()

    assert held.code == "restored_fork"
    assert carol.heard() == []


async def test_n_03_who_is_on_another_branch_comes_back_by_a_new_invitation(world: World) -> None:
    """The old branch stays held until then; what was queued on it is said on the new one."""
    alice, bob, carol = await room_of_three(world)
    await alice.close()
    copy = copy_of(world)
    await renews(carol)
    await reaches(bob, carol.client.conversation("#team").epoch)
    for person in (bob, carol):
        await person.close()
    await bring_back(world, copy)
    await alice.open()
    await alice.client.caught_up()
    await renews(alice)

    await bob.open()
    assert (await bob.sees(Held)).code == "restored_fork"
    queued = await bob.client.send("#team", "I am on the wrong branch")
    bob.events.clear()
    await alice.client.remove("#team", "bob")
    await alice.client.invite("#team", "bob")
    await bob.sees(Invited)
    await bob.client.join("#team")
    await bob.client.acknowledged(queued.local_id, PATIENCE)

    await alice.hears("I am on the wrong branch")
    await alice.says("#team", "welcome back")
    await bob.hears("welcome back")
    assert bob.client.conversation("#team").held_code == ""
    assert await in_one_epoch(alice, bob)
