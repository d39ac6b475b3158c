"""M-07: who talks in which cipher suite; the hybrid where all can, and no server makes it less."""

import asyncio

import pytest

from securechat.client import recertify, registration
from securechat.client.errors import SuiteForbidden, SuiteWithheld, UntrustedKeys
from securechat.client.events import Connected, Held, Invited
from securechat.client.outbox import unanswered
from securechat.membership.room import PRODUCT_SUITES
from securechat.mls.cipher_suite import SUITE_3, SUITE_HYBRID
from securechat.server import directory
from tests.scenarios.world import PATIENCE, Person, World


async def older(world: World, name: str, monkeypatch: pytest.MonkeyPatch) -> Person:
    """Somebody whose account was made by a release that knew one suite."""
    with monkeypatch.context() as before:
        for module in (registration, recertify):
            before.setattr(module, "PRODUCT_SUITES", (SUITE_3.number,))
        person = await world.register(name)
        await person.open()
    return person


async def published(person: Person, suite: int) -> None:
    """Wait until the server has taken key packages of a suite."""
    store = person.client._engine.store
    async with asyncio.timeout(PATIENCE):
        while not store.value("SELECT count(*) FROM key_package WHERE suite = ?", (suite,)) or unanswered(
            store.db
        ):
            await person.client.changed()


def hands_out_old_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the directory give key packages of the older suite, whatever is asked for."""
    older_only = directory._NEXT.replace("suite = ?", "suite = 3 + 0 * ?")
    assert older_only != directory._NEXT
    monkeypatch.setattr(directory, "_NEXT", older_only)


async def test_new_conversations_are_hybrid(world: World) -> None:
    alice, bob = await world.join("alice", "bob")
    await alice.says("@bob", "hello")
    await bob.hears("hello")
    await alice.client.create_room("#team")
    await alice.client.invite("#team", "bob")
    await bob.sees(Invited)
    await bob.client.join("#team")
    await bob.says("#team", "here I am")
    await alice.hears("here I am")

    for name in ("#team", "@bob"):
        assert alice.client.conversation(name).suite == SUITE_HYBRID.name
        assert alice.client.fingerprint(name).suite == SUITE_HYBRID.name
    assert "X25519 with ML-KEM-768" in alice.client.status().encryption


async def test_with_an_older_device_a_conversation_is_in_what_both_have(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (alice,) = await world.join("alice")
    olga = await older(world, "olga", monkeypatch)
    await alice.says("@olga", "hello")
    await olga.hears("hello")
    await olga.says("@alice", "hello to you")
    await alice.hears("hello to you")

    assert alice.client.conversation("@olga").suite == SUITE_3.name
    assert "ML-KEM" not in olga.client.status().encryption


async def test_an_older_device_is_not_let_into_a_hybrid_room_and_it_is_said_whose(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    (alice,) = await world.join("alice")
    olga = await older(world, "olga", monkeypatch)
    await alice.client.create_room("#team")

    with pytest.raises(SuiteForbidden, match=r"olga.*does not list") as refused:
        await alice.client.invite("#team", "olga")

    assert olga.client._engine.keys.client[:8] in str(refused.value)
    assert [member.user for member in alice.client.conversation("#team").members] == ["alice"]


async def test_an_older_device_gains_the_suite_when_its_password_is_typed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was begun in the older suite goes on there; a hybrid room takes the device in from then on."""
    (alice,) = await world.join("alice")
    olga = await older(world, "olga", monkeypatch)
    await alice.says("@olga", "hello")
    await olga.hears("hello")
    await alice.client.create_room("#team")

    await olga.close()
    await olga.open()
    await olga.sees(Connected, lambda event: "ML-KEM" in event.encryption)
    await published(olga, SUITE_HYBRID.number)
    await olga.says("@alice", "updated")
    await alice.hears("updated")
    await alice.client.invite("#team", "olga")
    await olga.sees(Invited)
    await olga.client.join("#team")
    await olga.says("#team", "here I am")
    await alice.hears("here I am")

    assert alice.client.conversation("@olga").suite == SUITE_3.name
    await olga.close()
    await olga.open()
    assert olga.client._engine.device.suites == PRODUCT_SUITES


async def test_a_directory_of_old_keys_gets_a_conversation_refused_not_downgraded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = await world.join("alice", "bob")
    await alice.client.create_room("#team")
    with monkeypatch.context() as lying:
        hands_out_old_keys(lying)
        message = await alice.client.send("@bob", "for later computers too")
        with pytest.raises(UntrustedKeys):
            await alice.client.acknowledged(message.local_id, PATIENCE)
        held = await alice.sees(Held)
        assert (held.conversation, held.code) == ("@bob", "suite_withheld")
        with pytest.raises(SuiteWithheld):
            await alice.client.invite("#team", "bob")

    await alice.client.send("@bob", "once more")
    await bob.hears("for later computers too")
    assert alice.client.conversation("@bob").suite == SUITE_HYBRID.name
