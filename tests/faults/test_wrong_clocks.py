"""Dates that are wrong, or jump while everything runs (C-06)."""

import asyncio
import re
from pathlib import Path

import msgspec
import pytest

import securechat
from securechat.client import intents
from securechat.client.errors import UntrustedKeys
from securechat.client.events import Disconnected, Held, Invited, Notice
from securechat.client.intents import What
from securechat.protocol.messages import Entry
from securechat.server import app, delivery
from tests.client.conftest import cheap_argon2 as cheap_argon2  # noqa: PLC0414 - a fixture, shared
from tests.faults.clocks import JUMPS, YEAR, Clock
from tests.scenarios.conftest import world as world  # noqa: PLC0414 - a fixture, shared
from tests.scenarios.test_rooms import room_of_three
from tests.scenarios.world import PATIENCE, Person, World, in_one_epoch

DAY = 86_400.0


async def clocked(world: World, name: str, offset: float = 0.0) -> tuple[Person, Clock]:
    """Register somebody by the right time, and open the client by a clock that can be set."""
    person = await world.register(name)
    clock = person.clock = Clock()
    clock.offset = offset
    await person.open()
    return person, clock


async def renewed(person: Person, room: str) -> None:
    """Commit fresh keys and wait until the log has them."""
    epoch = person.client.conversation(room).epoch
    with person.client._engine.changes.change() as change:
        record = person.client._verbs.record(room)
        intents.add_once(change.db, record.id, What.UPDATE)
        change.wake(record.id)
    async with asyncio.timeout(PATIENCE):
        while person.client.conversation(room).epoch == epoch:
            await person.client.changed()


async def test_c_06_a_clock_that_jumps_during_a_session_stops_nothing(world: World) -> None:
    alice, bob, carol = await room_of_three(world)
    clock = Clock()
    await alice.close()
    alice.clock = clock
    await alice.open()
    said = []
    for jump, offset in [*JUMPS.items(), ("back to what is right", 0.0)]:
        clock.offset = offset
        await alice.says("#team", f"at {jump}")
        await bob.says("#team", f"heard at {jump}")
        await renewed(alice, "#team")
        await renewed(carol, "#team")
        await alice.hears(f"heard at {jump}")
        await bob.hears(f"at {jump}")
        said.append(f"at {jump}")
    assert await in_one_epoch(alice, bob, carol)
    assert [each for each in bob.heard() if each.startswith("at")] == said


async def test_c_06_a_server_whose_clock_jumps_keeps_all_sessions_and_the_order(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Order is the log's: what came later stands later, whatever the time says."""
    clock = Clock()
    await world.stop_server()
    monkeypatch.setattr(app, "now", lambda: int(clock()))
    await world.start_server()
    alice, bob = await world.join("alice", "bob")
    await alice.says("@bob", "before")
    for jump, offset in [*JUMPS.items(), ("back to what is right", 0.0)]:
        clock.offset = offset
        await alice.says("@bob", jump)
        await bob.says("@alice", f"not {jump}")
    await bob.hears("back to what is right")
    assert bob.heard() == ["before", *JUMPS, "back to what is right"]
    assert not troubles(alice, bob)


@pytest.mark.parametrize("offset", [-10 * YEAR, 10 * YEAR])
async def test_c_06_who_was_online_by_a_wrong_date_can_still_be_invited(world: World, offset: float) -> None:
    """The keys that others need to add us are not thrown away because our clock says they have lapsed."""
    (alice,) = await world.join("alice")
    bob, clock = await clocked(world, "bob", offset)
    await bob.client.caught_up()
    await bob.client._engine._sync.top_up()
    await bob.close()
    clock.offset = 0.0
    await bob.open()
    await alice.client.create_room("#team")
    await alice.client.invite("#team", "bob")
    await bob.sees(Invited)
    await bob.client.join("#team")
    await alice.says("#team", "welcome")
    await bob.hears("welcome")


async def test_c_06_a_wrong_date_is_said_in_words(world: World) -> None:
    bob, _ = await clocked(world, "bob", 3 * DAY)
    notice = await bob.sees(Notice, lambda each: each.code == "clock")
    assert "3 days ahead of the server's" in notice.text
    alice, _ = await clocked(world, "alice", -2 * YEAR)
    notice = await alice.sees(Notice, lambda each: each.code == "clock")
    assert "days behind the server's" in notice.text


@pytest.mark.parametrize("offset", [-0.9 * DAY, 0.9 * DAY])
async def test_c_06_less_than_a_day_is_tolerated(world: World, offset: float) -> None:
    (bob,) = await world.join("bob")
    alice, _ = await clocked(world, "alice", offset)
    await alice.says("@bob", "by my clock")
    await bob.hears("by my clock")
    await bob.says("@alice", "by mine")
    assert not troubles(alice)


@pytest.mark.parametrize("offset", [-40 * DAY, 40 * DAY])
async def test_c_06_keys_that_are_not_valid_by_a_wrong_date_are_refused_with_the_reason(
    world: World, offset: float
) -> None:
    (bob,) = await world.join("bob")
    alice, clock = await clocked(world, "alice", offset)
    message = await alice.client.send("@bob", "hello")
    with pytest.raises(UntrustedKeys, match=r"not valid at this time.*clock"):
        await alice.client.acknowledged(message.local_id, PATIENCE)
    clock.offset = 0.0
    await alice.client.send("@bob", "hello again")
    await bob.hears("hello again")
    assert bob.heard() == ["hello", "hello again"]


async def test_c_06_what_a_wrong_date_held_up_goes_out_on_the_next_connection(world: World) -> None:
    """Nobody has to write again: found by a clock that jumped while a conversation was being opened."""
    (bob,) = await world.join("bob")
    alice, clock = await clocked(world, "alice", 40 * DAY)
    await alice.client.send("@bob", "hello")
    await alice.sees(Held)
    clock.offset = 0.0
    await world.stop_server()
    await world.start_server()
    await bob.hears("hello")
    assert not alice.client.conversation("@bob").held_code


async def test_c_06_any_time_the_server_gives_is_taken(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    alice, bob = await world.join("alice", "bob")
    await alice.says("@bob", "before")
    await bob.hears("before")
    moment = 0

    def timed(*fields: object) -> Entry:
        entry = msgspec.convert(dict(zip(Entry.__struct_fields__, fields, strict=False)), Entry)
        return msgspec.structs.replace(entry, time=moment)

    monkeypatch.setattr(delivery, "Entry", timed)
    for moment in (0, 1, 2**31, 2**32, 2**53 + 1, 253402300800, 2**63 - 1):
        await alice.says("@bob", f"from {moment}")
        event = await bob.hears(f"from {moment}")
        assert event.message.timestamp == moment
    await bob.says("@alice", "and back")
    assert [message.text for message in bob.client.messages("@alice")][-1] == "and back"


WALL_CLOCK = re.compile(r"time\.time\b|time_ns|datetime\.now|utcnow|dt\.datetime\.now")


def troubles(*people: Person) -> list[Disconnected | Notice]:
    """What anybody was told of connections and clocks; that somebody is met first is no trouble."""
    return [
        event
        for person in people
        for event in person.events
        if isinstance(event, Disconnected) or (isinstance(event, Notice) and event.code != "first_met")
    ]


MAY_ASK_THE_DATE = {
    "cli/admin.py",
    "cli/show.py",
    "cli/taking_out.py",
    "cli/witness.py",
    "client/client.py",
    "client/engine.py",
    "client/linking.py",
    "client/password_change.py",
    "client/recovering.py",
    "client/recovery_keys.py",
    "client/registration.py",
    "client/resetting.py",
    "server/app.py",
    "server/attachment_disk.py",
    "server/certificate.py",
    "server/counters.py",
    "server/overview.py",
}
"""What shows dates, what signs them (statements of accounts), what compares those of files, which are the
wall clock's too, and the one place on each side that hands the clock to whoever needs a date."""


def test_c_06_nothing_that_waits_asks_for_the_date() -> None:
    """Timeouts go by the loop's clock, or the monotonic one."""
    root = Path(securechat.__file__).parent
    asking = {
        str(path.relative_to(root)) for path in root.rglob("*.py") if WALL_CLOCK.search(path.read_text())
    }
    assert {path for path in asking if not path.startswith("tui/")} <= MAY_ASK_THE_DATE
