"""No truth in memory: two servers on one database race, and the database decides."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from securechat.mls.codec import encode
from securechat.mls.staging import CommitPlan
from securechat.protocol import messages as m
from securechat.server.app import App, running
from tests.server.peer import Peer, Person, WasRefused, claim, commit_request, open_room, publish, registered
from tests.server.running import UNLIMITED, config_in
from tests.server.test_ordering import follow


@asynccontextmanager
async def two_servers(folder: Path) -> AsyncIterator[tuple[App, App]]:
    config = config_in(folder, rates=UNLIMITED)
    async with running(config) as one, running(config) as other:
        assert one.identity_key == other.identity_key
        yield one, other


async def moved(app: App, person: Person) -> Peer:
    """The same client, at the other server."""
    peer = await Peer.connect(app.port)
    await peer.log_in(person)
    return peer


async def test_racing_commits_one_is_taken_and_the_others_judged_anew(tmp_path: Path) -> None:
    async with two_servers(tmp_path) as (one, other), registered(one, "alice", "bob") as people:
        (_, alice), (bobs_keys, _) = people
        groups = await open_room(*people)
        bob = await moved(other, bobs_keys)
        for round_number in range(5):
            staged = [group.stage_commit(CommitPlan(update=True)) for group in groups]
            head = 1 + round_number
            answers = await asyncio.gather(
                *(
                    peer.ask(commit_request(group, commit, head))
                    for peer, group, commit in zip((alice, bob), groups, staged, strict=True)
                ),
                return_exceptions=True,
            )
            (winner,) = [index for index, answer in enumerate(answers) if answer == m.Appended(head + 1)]
            lost = answers[1 - winner]
            assert isinstance(lost, WasRefused)
            assert (lost.code, lost.refusal.head) == ("stale_epoch", head + 1)
            groups[winner].merge(staged[winner])
            follow(groups[1 - winner], staged[winner].message)
        assert groups[0].epoch_authenticator == groups[1].epoch_authenticator
        await bob.close()


async def test_m_14_racing_claims_never_get_the_same_package(tmp_path: Path) -> None:
    async with two_servers(tmp_path) as (one, other), registered(one, "alice", "bob", "carol") as people:
        (_, alice), (bobs_keys, bob), (carols_keys, _) = people
        carol = await moved(other, carols_keys)
        await publish(bob, bobs_keys, 40)
        asked = [claim(peer, "bob") for _ in range(20) for peer in (alice, carol)]
        handed = [encode(package) for package in await asyncio.gather(*asked)]
        assert len(set(handed)) == 40
        await carol.close()


async def test_racing_messages_get_a_place_each(tmp_path: Path) -> None:
    async with two_servers(tmp_path) as (one, other), registered(one, "alice", "bob") as people:
        (_, alice), (bobs_keys, _) = people
        at_alice, at_bob = await open_room(*people)
        bob = await moved(other, bobs_keys)
        asked = [
            peer.ask(m.SendMessage(group.group_id, 1, group.encrypt(b"x")))
            for _ in range(50)
            for peer, group in ((alice, at_alice), (bob, at_bob))
        ]
        places = [
            answer.sequence for answer in await asyncio.gather(*asked) if isinstance(answer, m.Appended)
        ]
        assert sorted(places) == list(range(2, 102))
        fetched = await bob.ask(m.Fetch(at_bob.group_id, 2))
        assert isinstance(fetched, m.Entries)
        assert [entry.sequence for entry in fetched.entries if isinstance(entry, m.Entry)] == list(
            range(2, 102)
        )
        await bob.close()


async def test_one_name_asked_at_both_servers_is_decided_once(tmp_path: Path) -> None:
    async with two_servers(tmp_path) as (one, other), registered(one, "alice", "bob") as people:
        (alices_keys, alice), _ = people
        group, _ = await open_room(*people)
        twin = await moved(other, alices_keys)
        for _ in range(20):
            body = m.SendMessage(group.group_id, 1, group.encrypt(b"once"))
            name = alice.name = alice.name + 1
            answers = await asyncio.gather(alice.ask(body, name), twin.ask(body, name))
            assert answers[0] == answers[1]
        synced = await alice.ask(m.Sync())
        assert isinstance(synced, m.Synced)
        assert synced.groups[0].head == 21
        await twin.close()


async def test_what_one_server_did_the_other_knows(tmp_path: Path) -> None:
    async with two_servers(tmp_path) as (one, other), registered(one, "alice", "bob") as people:
        (_, alice), (bobs_keys, _) = people
        at_alice, at_bob = await open_room(*people)
        bob = await moved(other, bobs_keys)
        await bob.ask(m.SendMessage(at_bob.group_id, 1, at_bob.encrypt(b"warm the other server's memory")))
        commit = at_alice.stage_commit(CommitPlan(update=True))
        await alice.ask(commit_request(at_alice, commit, 1))
        follow(at_bob, commit.message)
        mine = at_bob.stage_commit(CommitPlan(update=True))
        assert await bob.ask(commit_request(at_bob, mine, 3)) == m.Appended(4)
        at_bob.merge(mine)
        assert await bob.ask(m.SendMessage(at_bob.group_id, 3, at_bob.encrypt(b"go on"))) == m.Appended(5)
        await bob.close()
