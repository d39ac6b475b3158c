"""What an account calls its devices: all of them see it, the server does not (D-02, M-17)."""

import asyncio

import pytest

from securechat.client.errors import Forbidden
from securechat.client.events import Notice
from securechat.client.naming import BOX, rename
from securechat.client.views import People
from securechat.protocol.messages import Box, GetBox, PutBox
from tests.scenarios.siblings import another_device, keys_of
from tests.scenarios.world import PATIENCE, Person, World


async def names(person: Person) -> dict[str, str]:
    return {each.device: each.name for each in await person.client.own_devices() if not each.this}


async def test_a_name_that_one_device_gives_all_of_them_see(world: World) -> None:
    (alice,) = await world.join("alice")
    phone = await another_device(alice)
    await phone.open()
    number = keys_of(phone).client

    named = await alice.client.rename_device(number[:6], "  the  phone\x1b[31m ")
    assert named.device == number
    assert "\x1b" not in named.name
    assert await names(alice) == {number: named.name}
    await phone.client.rename_device(keys_of(alice).client[:6], "desk")
    assert await names(phone) == {keys_of(alice).client: "desk"}
    assert (await names(alice))[number] == named.name, "a second name leaves the first"
    await alice.client.rename_device(named.name, "")
    assert await names(alice) == {number: ""}


async def test_two_that_name_at_once_lose_no_name(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    (alice,) = await world.join("alice")
    phone = await another_device(alice)
    await phone.open()
    await phone.client.caught_up()
    await alice.client.caught_up()
    engine, ask = alice.client._engine, alice.client._engine.ask
    own, other = keys_of(alice).client, keys_of(phone).client

    async def overtaken(body: object) -> object:
        if isinstance(body, PutBox) and body.serial == 1:
            monkeypatch.setattr(engine, "ask", ask)
            await rename(phone.client._engine, {other: "phone"})
        return await ask(body)  # type: ignore[arg-type]

    monkeypatch.setattr(engine, "ask", overtaken)
    await rename(engine, {own: "desk"})
    found = {each.device: each.name for each in await alice.client.own_devices()}
    assert found == {own: "desk", other: "phone"}


async def test_nobody_is_meant_by_too_little_or_by_two(world: World) -> None:
    (alice,) = await world.join("alice")
    phone = await another_device(alice)
    await phone.open()
    for device in await alice.client.own_devices():
        await alice.client.rename_device(device.device, "the same")
    for typed in ("the same", "", keys_of(phone).client[:3], "nobody"):
        with pytest.raises(Forbidden):
            await alice.client.rename_device(typed, "x")


async def test_what_none_of_our_devices_wrote_names_nobody_and_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """D-07."""
    (alice,) = await world.join("alice")
    phone = await another_device(alice)
    await phone.open()
    engine, ask = alice.client._engine, alice.client._engine.ask

    async def lying(body: object) -> object:
        if isinstance(body, GetBox) and body.box == BOX:
            return Box(1, bytes(80))
        return await ask(body)  # type: ignore[arg-type]

    monkeypatch.setattr(engine.secrets, "ask", lying)
    assert await names(alice) == {keys_of(phone).client: ""}
    await alice.sees(Notice, lambda event: event.code == "names_refused")


async def test_a_conversation_says_how_many_devices_of_how_many_are_in_it(world: World) -> None:
    alice, bob = await world.join("alice", "bob")
    await alice.client.send("@bob", "hello")
    await bob.hears("hello")
    db = bob.client._engine.store.db
    async with asyncio.timeout(PATIENCE):
        while "alice" not in People.of(db).listed:
            await bob.client._engine.stirred()

    (conversation,) = bob.client.conversations()
    assert {member.user: (member.devices, member.listed) for member in conversation.members} == {
        "alice": (1, 1),
        "bob": (1, 1),
    }
    db.execute("UPDATE statement SET devices = 3 WHERE user = 'alice'")
    (conversation,) = bob.client.conversations()
    assert [member.listed for member in conversation.members if member.user == "alice"] == [3]
    db.execute("UPDATE statement SET devices = 0 WHERE user = 'alice'")
    assert "alice" not in People.of(db).listed, "taken before this was counted"
    await bob.close()
    await bob.open()
    (conversation,) = bob.client.conversations()
    assert [member.listed for member in conversation.members if member.user == "alice"] == [1]
