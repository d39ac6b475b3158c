"""What goes, when, and what stays of it (rules.md A, Retention; Q-08, O-06)."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from securechat.mls.codec import encode
from securechat.mls.group import Group
from securechat.mls.staging import CommitPlan
from securechat.protocol import messages as m
from securechat.server import config
from securechat.server.app import App
from securechat.server.swept import Swept
from tests.server.peer import (
    Peer,
    Person,
    WasRefused,
    claim,
    commit_request,
    open_room,
    publish,
    registered,
)
from tests.server.running import running_server
from tests.server.sweeping import acknowledge, fetched, rows, sweep, without


@dataclass
class Scene:
    """Alice, bob and carol in a room: entry 1 let the others in."""

    app: App
    people: list[tuple[Person, Peer]]
    groups: list[Group]

    @property
    def room(self) -> bytes:
        return self.groups[0].group_id

    @property
    def alice(self) -> Peer:
        return self.people[0][1]

    @property
    def bob(self) -> Peer:
        return self.people[1][1]

    @property
    def carol(self) -> Peer:
        return self.people[2][1]

    async def say(self, *texts: bytes) -> list[bytes]:
        """Alice sends; return what lies on the server."""
        sealed = [self.groups[0].encrypt(text) for text in texts]
        for each in sealed:
            await self.alice.ask(m.SendMessage(self.room, self.groups[0].epoch, each))
        return sealed

    async def read(self, sequence: int, *peers: Peer) -> None:
        for peer in peers:
            await acknowledge(self.app, peer, self.room, sequence)

    async def stored(self) -> int:
        """Bytes of alice's messages that lie in the logs: only she commits here, and she began it."""
        ((stored,),) = await rows(
            self.app,
            "SELECT max(stored) - (SELECT sum(length(body) + length(public_state)) FROM epoch_state) - "
            "(SELECT sum(length(body)) FROM tree_node WHERE until IS NULL) - "
            "(SELECT coalesce(sum(length(body)), 0) FROM entry WHERE kind != 'message') FROM client",
        )
        return int(stored)

    async def commit(self, plan: CommitPlan) -> None:
        """Alice commits at the head, which bob and carol don't follow here."""
        group = self.groups[0]
        status = await self.alice.ask(m.Sync())
        assert isinstance(status, m.Synced)
        staged = group.stage_commit(plan)
        await self.alice.ask(commit_request(group, staged, status.groups[0].handshake_head))
        group.merge(staged)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob", "carol") as people:
        groups = await open_room(*people)
        for _, peer in people[1:]:
            await acknowledge(app, peer, b"", 1)
        yield Scene(app, people, groups)


async def test_a_server_sweeps_by_itself_until_it_ends(tmp_path: Path) -> None:
    def rounds() -> list[str]:
        return [task.get_name() for task in asyncio.all_tasks() if task.get_name() == "retention"]

    async with running_server(tmp_path):
        assert rounds() == ["retention"]
    assert rounds() == []


async def test_what_everybody_has_goes_at_the_next_round(scene: Scene) -> None:
    await scene.say(b"one", b"two")
    await scene.read(3, scene.alice, scene.bob, scene.carol)

    assert await sweep(scene.app) == Swept(messages=2)
    assert await sweep(scene.app) == Swept()
    assert await rows(scene.app, "SELECT sequence, kind FROM entry") == [(1, "commit")]
    assert await scene.stored() == 0


async def test_what_one_has_not_fetched_stays(scene: Scene) -> None:
    sealed = await scene.say(b"one", b"two", b"three")
    await scene.read(4, scene.alice, scene.bob)
    await scene.read(2, scene.carol)

    assert await sweep(scene.app) == Swept(messages=1)
    assert await sweep(scene.app, days=29) == Swept()
    assert [entry.body for entry in await fetched(scene.carol, scene.room, 3)] == sealed[1:]  # type: ignore[union-attr]
    assert await scene.stored() == sum(map(len, sealed[1:]))


async def test_q_08_after_its_time_a_message_leaves_its_hash_for_who_has_not_fetched_it(scene: Scene) -> None:
    sealed = await scene.say(b"one", b"two", b"three")
    await scene.read(4, scene.alice, scene.bob)
    await scene.read(2, scene.carol)
    hashes = [hashlib.sha256(each).digest() for each in sealed]

    assert without(await sweep(scene.app, days=31), "key_packages") == Swept(messages=1, expired=2)
    assert await fetched(scene.carol, scene.room, 3) == [m.Gap(3, 4, hashes[1:])]
    assert await scene.stored() == 0
    assert scene.app.counters.entries_expired == 2


async def test_hashes_go_when_nobody_needs_them(scene: Scene) -> None:
    await scene.say(b"one", b"two", b"three")
    await scene.read(4, scene.alice, scene.bob)
    assert without(await sweep(scene.app, days=31), "key_packages") == Swept(expired=3)

    await scene.read(3, scene.carol)
    assert without(await sweep(scene.app, days=31), "key_packages") == Swept(hashes=2)
    await scene.read(4, scene.carol)
    assert without(await sweep(scene.app, days=31), "key_packages") == Swept(hashes=1)
    assert await rows(scene.app, "SELECT sequence FROM entry") == [(1,)]


async def test_whoever_asks_again_for_what_has_no_row_gets_a_gap_without_hashes(scene: Scene) -> None:
    await scene.say(b"one", b"two")
    await scene.read(3, scene.alice, scene.bob, scene.carol)
    await sweep(scene.app)
    (sealed,) = await scene.say(b"three")

    gap, last = await fetched(scene.carol, scene.room, 2)

    assert gap == m.Gap(2, 3, [])
    assert isinstance(last, m.Entry)
    assert (last.sequence, last.body) == (4, sealed)


async def test_at_the_end_of_a_log_a_gap_reaches_the_head(scene: Scene) -> None:
    await scene.say(b"one", b"two")
    await scene.read(3, scene.alice, scene.bob, scene.carol)
    await sweep(scene.app)

    assert await fetched(scene.carol, scene.room, 3) == [m.Gap(3, 3, [])]
    assert await fetched(scene.carol, scene.room, 4) == []


async def test_hashes_and_holes_are_gaps_of_their_own(scene: Scene) -> None:
    sealed = await scene.say(b"one", b"two")
    await scene.read(3, scene.alice, scene.bob)
    await scene.read(2, scene.carol)
    await sweep(scene.app, days=31)

    assert await fetched(scene.carol, scene.room, 2) == [
        m.Gap(2, 2, []),
        m.Gap(3, 3, [hashlib.sha256(sealed[1]).digest()]),
    ]


async def test_somebody_who_was_removed_may_read_to_the_end_first(scene: Scene) -> None:
    await scene.say(b"one")
    await scene.commit(CommitPlan(remove=(scene.groups[2].own_leaf,)))
    await scene.say(b"not for carol")
    await scene.read(4, scene.alice, scene.bob)

    assert await sweep(scene.app, days=1) == Swept()
    await scene.read(3, scene.carol)
    assert await sweep(scene.app, days=1) == Swept(messages=2)


async def test_who_never_comes_back_pins_nothing_for_ever(scene: Scene) -> None:
    """O-06: carol's device is lost; nothing of the log is left when commits have had their time."""
    for _ in range(3):
        await scene.say(b"one", b"two")
        await scene.commit(CommitPlan(force_path=True))
    await scene.read(10, scene.alice, scene.bob)

    assert without(await sweep(scene.app, days=31), "key_packages") == Swept(expired=6)
    assert without(await sweep(scene.app, days=89), "key_packages") == Swept()
    assert without(await sweep(scene.app, days=91), "answers") == Swept(hashes=6, handshakes=4)
    assert await rows(scene.app, "SELECT count(*) FROM entry") == [(0,)]
    assert await fetched(scene.carol, scene.room, 2) == [m.Gap(2, 10, [])]


async def test_hashes_after_the_last_commit_go_in_the_time_of_commits(scene: Scene) -> None:
    await scene.say(b"one", b"two")

    await sweep(scene.app, days=31)
    swept = await sweep(scene.app, days=91)

    assert (swept.handshakes, swept.hashes) == (1, 2)
    assert await rows(scene.app, "SELECT count(*) FROM entry") == [(0,)]


async def test_a_proposal_stays_as_long_as_its_commit(scene: Scene) -> None:
    """An old proposal is still to be taken up, then still to be followed."""
    proposal = scene.groups[2].propose_self_remove()
    await scene.carol.ask(m.Propose(scene.room, 1, proposal))

    assert (await sweep(scene.app, days=91)).handshakes == 1
    assert await rows(scene.app, "SELECT kind FROM entry") == [("proposal",)]
    scene.groups[0].accept(scene.groups[0].examine(proposal))  # type: ignore[arg-type]
    staged = scene.groups[0].stage_commit(CommitPlan())
    assert await scene.alice.ask(commit_request(scene.groups[0], staged, 2)) == m.Appended(3)
    assert (await sweep(scene.app, days=91)).handshakes == 2


async def test_commits_are_kept_at_least_as_long_as_messages(scene: Scene) -> None:
    await scene.say(b"one")
    times = config.Retention(messages_days=60, handshakes_days=10)

    assert without(await sweep(scene.app, days=59, times=times), "key_packages") == Swept()
    swept = await sweep(scene.app, days=61, times=times)
    assert (swept.handshakes, swept.messages + swept.expired) == (1, 1)
    assert await scene.stored() == 0


async def test_a_welcome_nobody_took_goes_and_lets_the_old_tree_go(scene: Scene) -> None:
    (dave, at_dave) = scene.people[2]
    await scene.commit(CommitPlan(remove=(scene.groups[2].own_leaf,)))
    await publish(at_dave, dave)
    await scene.commit(CommitPlan(add=(await claim(scene.alice, dave.user),)))
    for _ in range(2):
        await scene.commit(CommitPlan(force_path=True))
    pinned = "SELECT count(*) FROM tree_node WHERE until IS NOT NULL"
    ((before,),) = await rows(scene.app, pinned)
    assert before > 0

    assert await sweep(scene.app, days=29) == Swept()
    swept = await sweep(scene.app, days=31)

    assert (swept.welcomes, swept.tree_nodes) == (1, before)
    assert await rows(scene.app, pinned) == [(0,)]
    inbox = await at_dave.ask(m.FetchInbox(0))
    assert inbox == m.InboxEntries([], 2)


async def test_a_welcome_that_was_taken_lets_the_old_tree_go_without_another_commit(scene: Scene) -> None:
    (dave, at_dave) = scene.people[2]
    await scene.commit(CommitPlan(remove=(scene.groups[2].own_leaf,)))
    await publish(at_dave, dave)
    await scene.commit(CommitPlan(add=(await claim(scene.alice, dave.user),)))
    await scene.commit(CommitPlan(force_path=True))
    assert (await sweep(scene.app)).tree_nodes == 0

    await acknowledge(scene.app, at_dave, b"", 2)

    assert (await sweep(scene.app)).tree_nodes > 0


async def test_key_packages_go_when_nobody_may_use_them_and_are_known_until_then(scene: Scene) -> None:
    (bob, at_bob) = scene.people[1]
    (bundle,) = await publish(at_bob, bob)
    await claim(scene.alice, "bob")
    ((count,),) = await rows(scene.app, "SELECT count(*) FROM key_package")

    assert (await sweep(scene.app, days=30)).key_packages == 0  # a day's difference between clocks
    with pytest.raises(WasRefused, match="published before"):
        await at_bob.ask(m.PublishKeyPackages([encode(bundle.key_package)], b""))
    assert (await sweep(scene.app, days=31.1)).key_packages == count


async def test_answers_go_with_clients_that_have_not_come_for_as_long_as_commits_are_kept(
    scene: Scene,
) -> None:
    await scene.say(b"one")
    everybody = "SELECT count(*) FROM answer"
    ((before,),) = await rows(scene.app, everybody)

    await sweep(scene.app, days=1)
    assert await rows(scene.app, everybody) == [(before,)]
    await rows(scene.app, "UPDATE client SET seen = created")
    assert (await sweep(scene.app, days=89)).answers == 0
    assert (await sweep(scene.app, days=91)).answers == before
