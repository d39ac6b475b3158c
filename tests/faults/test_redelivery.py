"""However often and however broken it comes: shown once, in order (Q-03)."""

import asyncio

import pytest

from securechat.client import statements
from securechat.client.session import Credentials, Session, SessionReady
from securechat.server.session import Session as ServerSession
from tests.client.conftest import cheap_argon2 as cheap_argon2  # noqa: PLC0414 - a fixture, shared
from tests.faults.proxy import Way
from tests.faults.test_half_open import behind_a_proxy
from tests.scenarios.conftest import world as world  # noqa: PLC0414 - a fixture, shared
from tests.scenarios.world import PATIENCE, Person, World

TIMES = 100


class Stammer:
    """Makes the server push everything a hundred times, at once and again much later."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pushed: list[bytes] = []
        self._deliver = ServerSession.deliver

        def push(session: ServerSession, frame: bytes) -> None:
            self.pushed.append(frame)
            self.again(session, TIMES)

        monkeypatch.setattr(ServerSession, "deliver", push)

    def again(self, session: ServerSession, times: int) -> None:
        for _ in range(times):
            for frame in self.pushed[-5:]:
                self._deliver(session, frame)


def session_of(world: World, person: Person) -> ServerSession:
    assert world.app is not None
    for each in world.app._desk.sessions:
        if isinstance(each, ServerSession) and each.caller is not None and each.caller.user == person.name:
            return each
    raise LookupError(person.name)


async def test_q_03_what_is_delivered_a_hundred_times_is_shown_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    stammer = Stammer(monkeypatch)
    alice, bob = await world.join("alice", "bob")
    texts = [f"message {number}" for number in range(12)]
    for text in texts:
        await alice.says("@bob", text)
    await bob.hears(texts[-1])
    assert bob.heard() == texts

    await bob.close()
    bob.events.clear()
    await bob.open()  # what it has seen survives a restart
    await bob.client.caught_up()
    stammer.again(session_of(world, bob), TIMES)
    await alice.says("@bob", "the end")
    await bob.hears("the end")
    assert bob.heard() == ["the end"]
    assert [message.text for message in bob.client.messages("@alice")] == [*texts, "the end"]


async def test_q_03_what_is_kept_to_know_a_double_does_not_grow_with_doubles(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    Stammer(monkeypatch)
    alice, bob = await world.join("alice", "bob")
    await alice.says("@bob", "before")
    await bob.hears("before")
    store = bob.client._engine.store
    async with asyncio.timeout(PATIENCE):
        while "alice" not in statements.listed(store.db):  # looked up once, behind the first message
            await bob.client._engine.stirred()
    tables = [name for (name,) in store.rows("SELECT name FROM sqlite_schema WHERE type = 'table'")]

    def size() -> dict[str, int]:
        return {table: store.rows(f"SELECT count(*) FROM {table}")[0][0] for table in tables}  # noqa: S608

    before = size()
    await alice.says("@bob", "one more")
    await bob.hears("one more")
    after = size()
    grown = {table for table in tables if after[table] > before[table]}
    assert {table for table in grown if not table.startswith("message_words")} <= {
        "message",
        "chain",
        "owed_receipt",
        "key_log_heard",
    }
    assert after["key_log_heard"] <= 1, "the last that each person was shown"
    assert after["message"] == before["message"] + 1
    assert after["owed_receipt"] <= before["owed_receipt"] + 1


async def test_q_03_a_reconnect_amid_a_batch_shows_each_message_once(world: World) -> None:
    (alice,) = await world.join("alice")
    async with behind_a_proxy(world, "bob") as (bob, proxy):
        await alice.says("@bob", "before")
        await bob.hears("before")
        await bob.close()
        texts = [f"message {number}" for number in range(200)]
        for text in texts:
            await alice.client.send("@bob", text)
        assert await alice.client.drained(PATIENCE)
        proxy.set(Way.TO_CLIENT, cut_after=40_000)
        await bob.open()
        async with asyncio.timeout(PATIENCE):
            while proxy.seen["cut after so many bytes"] < 2:  # noqa: ASYNC110 - the proxy tells nobody
                await asyncio.sleep(0.01)
        proxy.heal()
        await bob.hears(texts[-1])
        assert bob.heard() == ["before", *texts]


async def test_q_03_two_connections_of_one_device_take_nothing_from_each_other(world: World) -> None:
    """The newer replaces the older, whatever was under way to either."""
    alice, bob = await world.join("alice", "bob")
    await alice.says("@bob", "0")
    await bob.hears("0")
    for turn in range(1, 4):
        credentials = Credentials.of(bob.client._engine.keys)
        second = Session(world.address, world.trust, bob.home, credentials)
        second.start()
        sending = asyncio.create_task(alice.says("@bob", str(turn)))
        async with asyncio.timeout(PATIENCE):
            while not isinstance(await second.events.get(), SessionReady):
                pass
        await sending
        await second.close()
        await bob.close()
        await bob.open()
        await bob.hears(str(turn))
    assert bob.heard() == [str(turn) for turn in range(4)]
