"""The agent and what goes through it: several front ends of one identity, and no message lost."""

import json
import os
import signal

from tests.scenarios.programs import Program, command, started
from tests.scenarios.programs import real_world as real_world  # noqa: PLC0414 - a fixture
from tests.scenarios.world import Person, World


async def test_all_front_ends_share_the_agent_and_are_told_when_it_ends(real_world: World) -> None:
    alice, bob = await real_world.register("alice"), await real_world.register("bob")
    async with started(*command(alice, "agent", "--log-format", "json", password=True)) as agent:
        assert (await agent.line()).startswith("ready ")
        async with (
            started(*command(alice, "listen", "--json", "--count", "2")) as listener,
            started(*command(alice, "chat")) as chat,
        ):
            assert (await listener.json())["type"] == "connected"
            assert (await chat.told()).startswith("* connected to")

            await two_lines_are_sent(alice)

            assert (await listener.json())["type"] in {"joined", "acknowledged"}
            assert (await listener.ended())[0] == 0
            assert (await chat.line()).endswith("@alice to @bob: one secret word\n")
            async with started(*command(alice, "agent", password=True)) as second:
                code, said = await second.ended()
            assert (code, str(agent.process.pid) in said) == (75, True)

            code, log = await agent.ended(signal.SIGTERM)
            assert code == 0
            code, said = await chat.ended()
            assert (code, "the process that holds alice has ended" in said) == (75, True)
    logged = [json.loads(line) for line in log.splitlines()]
    assert {"connected", "acknowledged"} <= {line.get("event") for line in logged}
    assert "secret" not in log

    await what_nobody_acknowledged_is_told_again(bob)


async def two_lines_are_sent(alice: Person) -> None:
    async with started(*command(alice, "send", "@bob", "--lines", "--json")) as send:
        send.says("one secret word\n\n/two\n", last=True)
        sent = [await send.json(), await send.json()]
        assert await send.ended() == (0, "")
    assert [(each["type"], each["text"]) for each in sent] == [("sent", "one secret word"), ("sent", "/two")]


async def what_nobody_acknowledged_is_told_again(bob: Person) -> None:
    """Through an agent, so that it does not matter how a reader ends."""
    async with started(*command(bob, "agent", password=True)) as agent:
        await agent.line()
        receive = command(bob, "receive", "--follow", "--ack", "--json")
        async with started(*receive) as first:
            one, two = await first.json(), await first.json()
            first.says(
                f"what?\n{json.dumps({'ack': 999})}\n{json.dumps({'ack': one['local_id']})}\n", last=True
            )
            code, said = await first.ended()
        assert code == 75
        assert "not an acknowledgement: 'what?'" in said
        assert "999 was not printed here" in said
        async with started(*receive) as killed:
            assert await killed.json() == two
            os.kill(killed.process.pid, signal.SIGKILL)
        async with started(*receive, "--count", "1") as second:
            assert await second.json() == two
            second.says(f"{two['local_id']}\n")
            assert (await second.ended())[0] == 0
        async with started(*command(bob, "receive", "--timeout", "0.5")) as nothing:
            assert await ended_with_nothing(nothing)


async def ended_with_nothing(program: Program) -> bool:
    code, said = await program.ended()
    return (code, said, await program.line()) == (8, "", "")
