"""Front ends on the socket of a real account: the same as in its process, and what it refuses."""

import pytest

from securechat.client.errors import HolderLeft, HolderRefused
from securechat.client.events import Connected, Invited, MessageReceived, MessageState
from securechat.client.follow import following
from securechat.client.forwarding import connected
from securechat.client.holder import MAX_LINE
from tests.scenarios.world import PATIENCE, World


async def test_two_front_ends_of_one_account_do_everything_and_hear_the_same(world: World) -> None:
    alice, bob = await world.join("alice", "bob")
    profile = bob.home.profile("bob")
    await bob.sees(Connected)
    async with connected(profile) as one, connected(profile) as other:
        heard = await other.events()
        assert isinstance(await anext(heard), Connected)
        await alice.client.create_room("#team", topic="plans")
        await alice.client.invite("#team", "bob")
        await bob.sees(Invited)
        await one.join("#team")
        await alice.says("#team", "hello team")
        await bob.hears("hello team")
        sent = await one.send("#team", "hello alice", key="once")
        again = await other.send("#team", "hello alice", key="once")

        assert again.local_id == sent.local_id
        assert (await one.acknowledged(sent.local_id, PATIENCE)).state is MessageState.SENT
        await alice.hears("hello alice")
        assert [each.text for each in await other.messages("#team")] == ["hello team", "hello alice"]
        assert await one.conversations() == bob.client.conversations()
        assert await one.fingerprint("#team") == bob.client.fingerprint("#team")
        async for event in heard:
            if isinstance(event, MessageReceived):
                assert event.message.text == "hello team"
                break
        async with following(one) as messages:
            told = await anext(messages)
            assert told.text == "hello team"
            await messages.acknowledge([told.local_id])
        assert await other.unprinted(10) == []
        await bob.close()
        with pytest.raises(HolderLeft):
            async for _event in heard:
                pass


async def test_what_is_wrong_is_refused_by_name_and_harms_nobody(world: World) -> None:
    (alice,) = await world.join("alice")
    profile = alice.home.profile("alice")
    async with connected(profile) as face:
        for call, kind, code in (
            (face.acknowledged(12345, 1), "UnknownMessage", 1),
            (face.acknowledged(2**63 - 1, 1), "UnknownMessage", 1),
            (face.messages("@nobody"), "UnknownConversation", 1),
            (face.send("@bob", "x" * 70_000), "Forbidden", 5),
            (face.send("\x1b[2J", "x"), "NameRefused", 1),
            (face.messages("@bob", 100_000), "", 1),
        ):
            with pytest.raises(HolderRefused) as refused:
                await call
            assert (refused.value.kind, refused.value.exit_code) == (kind, code)
            assert "\x1b" not in str(refused.value)
        with pytest.raises((HolderRefused, HolderLeft)):
            await face.send("@bob", "x" * (2 * MAX_LINE))
    async with connected(profile) as face:
        assert (await face.status()).user == "alice"
