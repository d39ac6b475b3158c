"""Three people in a room, and what they say there."""

from typing import Final

from securechat.client.intents import What
from tests.scenarios.evil_server.lies import VICTIM
from tests.scenarios.evil_server.stage import Stage

TRIO: Final = ("alice", VICTIM, "carol")


async def a_room(stage: Stage) -> None:
    await stage.room(*TRIO)
    for name in TRIO:
        await stage.says(name, f"{name} says good morning")
    for name in TRIO:
        for other in TRIO:
            if other != name:
                await stage.hears(name, f"{other} says good morning")


async def talk(stage: Stage) -> None:
    """Each of the others says something; then the group changes, and alice goes on."""
    await stage.says("alice", "alice was here")
    await stage.go(2)
    await stage.says("carol", "carol was here")
    await stage.go(2)
    stage.world.want("alice", What.UPDATE)
    await stage.go(2)
    stage.say("alice", "alice goes on")
    await stage.go(2)
