"""To whom a bot sends: also to people first met, or only where everybody's keys were compared (D-04)."""

import pytest

from securechat.client.client import Client
from securechat.client.errors import UntrustedKeys
from securechat.client.events import Held, Invited, MessageState, Released
from securechat.client.policy import Policy
from tests.scenarios.world import PATIENCE, World


async def test_d_04_nothing_is_sent_to_people_not_compared_until_they_are(world: World) -> None:
    bot, bob, carol = await world.join("bot", "bob", "carol")
    await bob.says("@bot", "who are you?")
    await bot.hears("who are you?")
    await bot.close()
    bot.policy = Policy.VERIFIED
    await bot.open()

    message = await bot.client.send("@bob", "nobody knows")
    with pytest.raises(UntrustedKeys, match="safety numbers of bob") as refused:
        await bot.client.acknowledged(message.local_id, PATIENCE)
    assert refused.value.exit_code == 4
    assert (await bot.sees(Held)).code == "not_verified"
    await bot.client.release("@bob")
    with pytest.raises(UntrustedKeys):
        await bot.client.acknowledged(message.local_id, PATIENCE)
    assert bob.heard() == []

    bot.client.set_verified("@bob", str(bot.client.fingerprint("@bob").safety_number))
    await bot.sees(Released)
    await bob.hears("nobody knows")

    await bob.client.create_room("#team")
    await bob.client.invite("#team", "bot")
    await bob.client.invite("#team", "carol")
    await bot.sees(Invited)
    await bot.client.join("#team")
    stranger = await bot.client.send("#team", "carol may not see this")
    with pytest.raises(UntrustedKeys, match="numbers of carol"):
        await bot.client.acknowledged(stranger.local_id, PATIENCE)
    assert "carol may not see this" not in carol.heard()


async def test_what_was_held_back_goes_out_when_the_policy_is_another(world: World) -> None:
    bot, bob = await world.join("bot", "bob")
    await bob.says("@bot", "who are you?")
    await bot.hears("who are you?")
    await bot.close()
    async with await Client.open(
        bot.home, "bot", bot.password, trust=world.trust, server=world.address, people=Policy.VERIFIED
    ) as client:
        message = await client.send("@bob", "a bot")
        with pytest.raises(UntrustedKeys):
            await client.acknowledged(message.local_id, PATIENCE)

    await bot.open()

    assert (await bot.client.acknowledged(message.local_id, PATIENCE)).state is MessageState.SENT
    await bob.hears("a bot")
