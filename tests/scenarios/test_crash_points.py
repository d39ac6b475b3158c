"""The client crashes at each change of its store, before and after the commit (C-02).

The story is told again after the crash: nothing is lost, nothing comes twice.
"""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from securechat.client.change import Change, Changes
from securechat.client.client import Client
from securechat.client.errors import UnknownConversation
from securechat.client.events import Invited, Standing
from tests.scenarios.world import PATIENCE, Person, World

LAST = 36
"""Changes in the story, and some more."""

POINTS = range(1, LAST + 1) if os.environ.get("SECURECHAT_ALL_CRASHES") else range(1, LAST + 1, 6)
TEXTS = ["one", "two", "three"]


class Crash(BaseException):
    """The process is gone."""


def _but_of_crashes(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Tell what nobody asked for. Of a task that crashed that would be much later, amid some other test."""
    if not isinstance(context.get("exception"), Crash):
        loop.default_exception_handler(context)


class CrashingChanges:
    """Wraps a client's changes: the ``point``-th one is its last."""

    def __init__(self, client: Client, point: int, *, committed: bool) -> None:
        self.changes = client._engine.changes
        self.left = point
        self.committed = committed
        self.crashed = False
        self.over = asyncio.Event()
        self.honest = Changes.change
        self.changes.change = self.change  # type: ignore[method-assign]
        asyncio.get_running_loop().set_exception_handler(_but_of_crashes)

    @contextmanager
    def change(self) -> Iterator[Change]:
        self.left -= 1
        if self.crashed:
            raise Crash
        if self.left > 0:
            with self.honest(self.changes) as change:
                yield change
            return
        self.crashed = True
        self.over.set()
        with self.changes.store.transaction() as db:
            yield Change(db)
            if not self.committed:
                raise Crash
        raise Crash


async def told(alice: Client) -> None:
    """What alice does; told again from the start it does what is still to be done."""
    for text in TEXTS:
        await alice.send("@bob", text, key=text)
    try:
        room = alice.conversation("#team")
    except UnknownConversation:
        room = await alice.create_room("#team")
    assert await alice.drained(PATIENCE)
    if room.state is Standing.OPENING:
        room = alice.conversation("#team")
    if "bob" not in [member.user for member in room.members]:
        await alice.invite("#team", "bob")
    await alice.send("#team", "welcome", key="welcome")
    assert await alice.drained(PATIENCE)


async def crash_and_restart(alice: Person) -> None:
    """Cut everything as a killed process would; only what is on the disk is left."""
    client = alice.client
    link = client._engine._session._link
    if link is not None and link._transport is not None:
        link._transport.abort()
    await client._served.aclose()
    client._engine.outbox.offline()
    client._engine._sync.offline()
    await client._engine._session.close()
    await client._engine._tasks.close()
    client._engine.store.close()
    client._lock.release()
    if alice._watching is not None:
        alice._watching.cancel()
    await alice.open()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("committed", [False, True], ids=["before the commit", "after the commit"])
@pytest.mark.parametrize("point", POINTS)
async def test_a_crash_at_any_change_loses_nothing_and_repeats_nothing(
    world: World, point: int, *, committed: bool
) -> None:
    alice, bob = await world.join("alice", "bob")
    await alice.client.caught_up()
    crashing = CrashingChanges(alice.client, point, committed=committed)
    telling = asyncio.ensure_future(told(alice.client))
    crash = asyncio.ensure_future(crashing.over.wait())
    await asyncio.wait((telling, crash), return_when=asyncio.FIRST_COMPLETED)
    for task in (telling, crash):
        task.cancel()
    await asyncio.gather(telling, crash, return_exceptions=True)

    await crash_and_restart(alice)
    await told(alice.client)
    await bob.sees(Invited)
    await bob.client.join("#team")
    await bob.hears("welcome")
    await bob.says("#team", "thank you")
    await alice.hears("thank you")

    assert bob.heard() == [*TEXTS, "welcome"]
    assert [each.name for each in alice.client.conversations()] == ["#team", "@bob"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("committed", [False, True], ids=["before the commit", "after the commit"])
@pytest.mark.parametrize(
    "point", range(1, 13) if os.environ.get("SECURECHAT_ALL_CRASHES") else range(1, 13, 4)
)
async def test_a_receiver_that_crashes_at_any_change_has_everything_once(
    world: World, point: int, *, committed: bool
) -> None:
    """Q-03: what was stored before the crash is not told as new, what was not is delivered again."""
    alice, bob = await world.join("alice", "bob")
    await bob.client.caught_up()
    crashing = CrashingChanges(bob.client, point, committed=committed)

    await told(alice.client)
    crash = asyncio.ensure_future(crashing.over.wait())
    invited = asyncio.ensure_future(bob.sees(Invited))
    await asyncio.wait((crash, invited), return_when=asyncio.FIRST_COMPLETED)
    for task in (crash, invited):
        task.cancel()
    await crash_and_restart(bob)
    await bob.client.caught_up()
    await bob.client.join("#team")
    await bob.says("#team", "thank you")
    await alice.hears("thank you")

    assert [message.text for message in bob.client.messages("@alice")] == TEXTS
    assert [message.text for message in bob.client.messages("#team")] == ["welcome", "thank you"]
    assert sorted(message.text for message in bob.client.unprinted(10)) == sorted([*TEXTS, "welcome"])
