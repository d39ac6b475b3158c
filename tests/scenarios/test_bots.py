"""The bots of docs/bots.md do what they are for, as they stand there."""

import asyncio
import signal
from pathlib import Path

from tests.cli.shell import SECONDS
from tests.client.test_bots import BESIDE, HOLDING
from tests.scenarios.programs import command, password_file, started
from tests.scenarios.programs import real_world as real_world  # noqa: PLC0414 - a fixture
from tests.scenarios.world import World


async def test_both_bots_answer_each_message_once_also_those_that_came_while_they_were_away(
    real_world: World, tmp_path: Path
) -> None:
    (alice,) = await real_world.join("alice")
    echo = await real_world.register("echo")
    holding, beside = tmp_path / "holding.py", tmp_path / "beside.py"
    await asyncio.to_thread(holding.write_text, HOLDING)
    await asyncio.to_thread(beside.write_text, BESIDE)
    own = (str(holding), str(echo.home.path), "echo", password_file(echo))

    async with started(*own) as bot:
        await alice.says("@echo", "one")
        await alice.hears("one", within=SECONDS)
        bot.process.kill()
        await bot.process.wait()
    await alice.says("@echo", "two")
    async with started(*own):
        await alice.hears("two", within=SECONDS)
    async with started(*command(echo, "agent", password=True)) as agent:
        word, path = (await agent.line()).split()
        assert word == "ready"
        async with started(str(beside), path):
            await alice.says("@echo", "three")
            await alice.hears("three", within=SECONDS)
        assert (await agent.ended(signal.SIGTERM))[0] == 0

    assert alice.heard() == ["one", "two", "three"]
