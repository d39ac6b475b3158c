"""What a sender, a reader and who acknowledges may say, and nothing beyond it (Q-03)."""

from pathlib import Path

import pytest

from securechat.mls.nodes import LeafIndex
from securechat.mls.staging import CommitPlan
from securechat.protocol import messages as m
from securechat.server.app import App
from tests.server.peer import Peer, WasRefused, commit_request, open_room, registered
from tests.server.running import running_server


async def acknowledged(app: App, peer: Peer, *acks: m.Acknowledged) -> None:
    """Say it, and wait until it has been written, or come to nothing."""
    peer.connection.acknowledge(list(acks))
    peer.flush()
    await peer.ask(m.Ping())
    app._riders.leave()
    await app._writer.find(lambda _db: None)


async def number(app: App, sql: str) -> int:
    return int(await app._writer.find(lambda db: db.execute(sql).get))


async def test_a_message_of_an_epoch_that_is_over_is_refused(tmp_path: Path) -> None:
    """Whoever came or went since would read it, or not."""
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (_, alice), (_, bob) = people
        at_alice, at_bob = await open_room(*people)
        commit = commit_request(at_alice, at_alice.stage_commit(CommitPlan(update=True)), 1)
        assert await alice.ask(commit) == m.Appended(2)
        with pytest.raises(WasRefused) as refused:
            await bob.ask(m.SendMessage(at_bob.group_id, 1, at_bob.encrypt(b"late")))
        assert (refused.value.code, refused.value.refusal.head) == ("stale_epoch", 2)
        assert await number(app, "SELECT head FROM conversation") == 2


async def test_a_message_to_a_group_that_is_not_there_is_told_so(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(keys, alice)]:
        group = keys.group()
        with pytest.raises(WasRefused, match="no_group"):
            await alice.ask(m.SendMessage(group.group_id, 0, group.encrypt(b"anybody?")))


async def test_who_was_removed_acknowledges_up_to_that_and_no_further(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (_, alice), (_, bob) = people
        group, _ = await open_room(*people)
        staged = group.stage_commit(CommitPlan(remove=(LeafIndex(1),)))
        await alice.ask(commit_request(group, staged, 1))
        group.merge(staged)
        await alice.ask(m.SendMessage(group.group_id, 2, group.encrypt(b"among ourselves")))
        cursor = "SELECT cursor FROM member WHERE leaf = 1"
        before = await number(app, cursor)
        await acknowledged(app, bob, m.Acknowledged(group.group_id, 3))
        assert await number(app, cursor) == before
        await acknowledged(app, bob, m.Acknowledged(group.group_id, 2))
        assert await number(app, cursor) == 2


async def test_what_is_not_in_an_inbox_yet_is_not_acknowledged(tmp_path: Path) -> None:
    """A Welcome that comes later would never be seen."""
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (_, bob) = people[1]
        await open_room(*people)
        await acknowledged(app, bob, m.Acknowledged(b"", 99))
        assert await number(app, "SELECT max(inbox_cursor) FROM client") == 0
        assert await number(app, "SELECT count(*) FROM inbox") == 1
        await acknowledged(app, bob, m.Acknowledged(b"", 1))
        assert await number(app, "SELECT max(inbox_cursor) FROM client") == 1
        assert await number(app, "SELECT count(*) FROM inbox") == 0
