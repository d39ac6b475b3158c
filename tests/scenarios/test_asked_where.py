"""A log that grows while we ask how long it is has not gone back (N-03)."""

import pytest

from securechat.client.events import Held, Standing
from securechat.protocol.messages import Answer, RequestBody, Sync
from tests.scenarios.world import World


async def test_a_message_that_comes_while_we_ask_is_no_older_server(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    alice, bob = await world.join("alice", "bob")
    await alice.says("@bob", "before")
    await bob.hears("before")
    session = bob.client._engine._session
    ask = session.request

    async def slowly(body: RequestBody) -> Answer:
        answer = await ask(body)
        if isinstance(body, Sync):
            await alice.says("@bob", "meanwhile")
            await bob.hears("meanwhile")
        return answer

    monkeypatch.setattr(session, "request", slowly)
    await bob.client._engine._sync.look()

    assert not [event for event in bob.events if isinstance(event, Held)]
    assert bob.client.conversation("@alice").state is Standing.JOINED
