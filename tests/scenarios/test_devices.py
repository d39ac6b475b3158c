"""Many devices, one identity: each is a leaf in every group, and who is revoked is out (D-02, D-03, M-17)."""

import asyncio
import time
from typing import Any

import pytest

from securechat.client import intents, statements
from securechat.client.change import Change
from securechat.client.errors import Forbidden, UntrustedKeys, WrongPassword
from securechat.client.events import Disconnected, Held, Joined, Kind, Notice, Released
from securechat.client.people import client_of
from securechat.client.reconciling import Reconciler
from securechat.client.records import ConversationRecord
from securechat.client.revoking import revoke
from securechat.mls.codec import encode
from securechat.mls.errors import MLSError
from securechat.mls.examining import ExaminedCommit
from securechat.mls.key_package import KeyPackageBundle
from securechat.names import parse_client_uri
from securechat.protocol.messages import (
    Answer,
    ChangeAccount,
    ClaimedKeyPackage,
    GetDevices,
    RequestBody,
)
from securechat.server import account_changes
from tests.scenarios.evil import LyingDirectory
from tests.scenarios.siblings import Sibling, another_device, keys_of, let_go
from tests.scenarios.world import PATIENCE, Person, World


@pytest.fixture(autouse=True)
def short_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intents, "jitter", lambda longest: min(longest, 0.1))
    monkeypatch.setattr(intents, "PUT_OFF_FIRST", 0.1)


def devices_in(person: Person, name: str) -> set[str]:
    """The devices in a conversation, as somebody sees it."""
    engine = person.client._engine
    public = engine.groups.public(engine.store.db, person.client._verbs.record(name).id)
    return set() if public is None else {client_of(leaf) for _, leaf in public.tree.leaves()}


async def sees_devices(person: Person, name: str, count: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while len(devices_in(person, name)) != count:
            await person.client._engine.stirred()


async def with_a_phone(world: World, *names: str) -> tuple[Person, Sibling, list[Person]]:
    """Alice with two devices and others, all in #team; the phone is open."""
    alice, *others = await world.join("alice", *names)
    await alice.client.create_room("#team")
    for other in others:
        await alice.client.invite("#team", other.name)
        await other.client._verbs.found("#team")
        await other.client.join("#team")
    phone = await another_device(alice)
    await phone.open()
    await phone.sees(Joined, lambda event: event.conversation == "#team")
    return alice, phone, others


def look_away(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Have the devices of one user leave it to others what accounts say."""
    look = Reconciler.look

    def looks(
        reconciler: Reconciler, change: Change, record: ConversationRecord
    ) -> tuple[ConversationRecord, frozenset[str]]:
        if reconciler.device.user == name:
            return record, frozenset()
        return look(reconciler, change, record)

    monkeypatch.setattr(Reconciler, "look", looks)


async def test_a_new_device_is_in_every_conversation_by_itself(world: World) -> None:
    alice, bob = await world.join("alice", "bob")
    await alice.says("@bob", "from the first device")
    await bob.hears("from the first device")
    await alice.client.create_room("#team")

    phone = await another_device(alice)
    await phone.open()

    await phone.sees(Joined, lambda event: event.conversation == "@bob")
    await phone.sees(Joined, lambda event: event.conversation == "#team")
    await bob.says("@alice", "for all of you")
    await alice.hears("for all of you")
    await phone.hears("for all of you")
    await phone.says("@bob", "from the second one")
    await bob.hears("from the second one")


async def test_a_conversation_begins_with_all_devices_of_who_begins_it(world: World) -> None:
    alice, bob = await world.join("alice", "bob")
    phone = await another_device(alice)
    await phone.open()
    await phone.client.caught_up()

    await alice.says("@bob", "the first word is for my own devices too")

    await bob.hears("the first word is for my own devices too")
    await phone.hears("the first word is for my own devices too")
    assert phone.client.conversation("@bob").kind is Kind.DIRECT


async def test_d_02_a_revoked_device_is_cut_off_and_out_of_every_group(world: World) -> None:
    alice, phone, (bob,) = await with_a_phone(world, "bob")
    gone = keys_of(phone).client

    done = await revoke(alice.client._engine, gone, alice.password)

    assert (done.conversations, done.left) == (1, 0)
    lost = await phone.sees(Disconnected, lambda event: event.retry_in is None)
    assert "removed from its account" in lost.reason
    await sees_devices(bob, "#team", 2)
    assert gone not in devices_in(bob, "#team")
    await bob.says("#team", "is it only us now?")
    await alice.hears("is it only us now?")
    assert phone.heard() == []


@pytest.mark.parametrize("asked", [GetDevices, ChangeAccount])
async def test_d_02_who_revokes_while_another_device_changes_the_account_tries_again(
    world: World, monkeypatch: pytest.MonkeyPatch, asked: type[RequestBody]
) -> None:
    """Nothing of what is certified anew is of the account as it was before."""
    (alice,) = await world.join("alice")
    phone = await another_device(alice)
    await phone.open()
    gone = keys_of(phone).client
    engine, ask = alice.client._engine, alice.client._engine.ask

    async def overtaken(body: RequestBody) -> Answer:
        if isinstance(body, asked):
            monkeypatch.setattr(engine, "ask", ask)
            await another_device(alice, 3)
        return await ask(body)

    monkeypatch.setattr(engine, "ask", overtaken)
    await revoke(engine, gone, alice.password)

    newest = statements.newest(engine.store.db, "alice")
    assert newest is not None
    assert (newest.serial, newest.generation, len(newest.devices)) == (4, 2, 2)
    assert [parse_client_uri(each.client).name for each in newest.revoked] == [gone]


async def test_d_02_anybody_who_is_online_takes_a_revoked_device_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None of alice's devices does it: the statement is the evidence, and bob has no rights in the room."""
    alice, phone, (bob,) = await with_a_phone(world, "bob")
    gone = keys_of(phone).client
    look_away(monkeypatch, "alice")

    await let_go(alice, phone)
    await alice.close()

    held = await bob.sees(Held, lambda event: event.code == "revoked_device")
    assert "alice" in held.text
    await bob.sees(Released)
    assert gone not in devices_in(bob, "#team")
    known = statements.newest(bob.client._engine.store.db, "alice")
    assert known is not None
    assert known.generation == 2


async def test_d_02_what_is_written_meanwhile_is_sealed_once_the_device_is_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """M-17: with everything that the revoked device has, nothing of the next epoch opens."""
    alice, phone, (bob,) = await with_a_phone(world, "bob")
    look_away(monkeypatch, "alice")
    stolen = phone.client._engine.groups.group(
        phone.client._engine.store.db, phone.client._verbs.record("#team").id
    )
    assert stolen is not None
    epoch = stolen.epoch

    await let_go(alice, phone)
    await bob.sees(Held, lambda event: event.code == "revoked_device")
    await bob.says("#team", "not for the phone")
    await alice.hears("not for the phone")

    assert world.app is not None
    rows: list[Any] = await world.app._readers.run(
        lambda db: db.execute("SELECT kind, body FROM entry WHERE epoch >= ?", (epoch,)).fetchall()
    )
    for body in (body for kind, body in rows if kind == "commit"):
        examined = stolen.examine(body)
        assert isinstance(examined, ExaminedCommit)
        stolen.merge(stolen.process(examined))
        if stolen.removed:
            break
    messages = [body for kind, body in rows if kind == "message"]
    assert stolen.removed
    assert messages
    for body in messages:
        with pytest.raises(MLSError):
            stolen.decrypt(body)


async def test_d_03_a_device_that_its_account_took_off_is_never_added_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server hands out keys of it that it kept."""
    alice, phone, (bob,) = await with_a_phone(world, "bob")
    await bob.client.create_room("#other")
    kept = phone.client._engine.store.row(
        "SELECT bundle FROM key_package WHERE last_resort = 0 AND suite = ? LIMIT 1",
        (phone.client._engine.device.suites[0],),
    )
    assert kept is not None
    package = KeyPackageBundle.from_bytes(kept[0]).key_package
    await revoke(alice.client._engine, keys_of(phone).client, alice.password)
    LyingDirectory(monkeypatch).added["alice"] = [ClaimedKeyPackage(keys_of(phone).client, encode(package))]

    with pytest.raises(UntrustedKeys):
        await bob.client.invite("#other", "alice")

    assert len(devices_in(bob, "#other")) == 1
    await bob.sees(Notice, lambda event: event.code == "ghost_device")


async def test_d_03_a_server_that_takes_a_revocation_back_is_told_and_nothing_is_sent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, phone, (bob,) = await with_a_phone(world, "bob")
    await revoke(alice.client._engine, keys_of(phone).client, alice.password)
    await sees_devices(bob, "#team", 2)
    honest = account_changes._STATEMENTS
    monkeypatch.setattr(account_changes, "_STATEMENTS", honest.replace("serial >", "serial < 3 AND serial >"))

    await bob.client._engine.news.refresh("alice")

    held = await bob.sees(Held, lambda event: event.code == "statement_older")
    assert "alice" in held.text
    monkeypatch.setattr(account_changes, "_STATEMENTS", honest)
    await bob.client._engine.news.refresh("alice")
    async with asyncio.timeout(PATIENCE):
        while bob.client.conversation("#team").held_code:
            await bob.client._engine.stirred()


async def test_m_17_who_has_devices_sees_them_and_removes_one_by_the_beginning_of_its_name(
    world: World,
) -> None:
    """One that was not seen for 45 days is offered for it; a wrong password changes nothing."""
    alice, phone, _ = await with_a_phone(world)
    gone = keys_of(phone).client
    await phone.close()
    alice.client._engine.clock = lambda: time.time() + 46 * 86_400

    listed = {each.device: each for each in await alice.client.own_devices()}
    assert {name: (each.this, each.idle) for name, each in listed.items()} == {
        keys_of(alice).client: (True, False),
        gone: (False, True),
    }
    alice.client._engine.clock = time.time
    with pytest.raises(Forbidden):
        await alice.client.revoke_device("", alice.password)
    with pytest.raises(WrongPassword):
        await alice.client.revoke_device(gone[:8], "another long password")
    assert len(devices_in(alice, "#team")) == 2

    done = await alice.client.revoke_device(gone[:8], alice.password)

    assert (done.device, done.conversations, done.left) == (gone, 1, 0)
    assert [each.device for each in await alice.client.own_devices()] == [keys_of(alice).client]
