"""Who sent what expired before everybody else had it is told at the next sync (Q-08)."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from securechat.mls.group import Group
from securechat.mls.staging import CommitPlan
from securechat.protocol import messages as m
from securechat.protocol.frames import encode_value
from securechat.protocol.limits import MAX_FRAME, MAX_UNREAD
from securechat.server.app import App
from securechat.server.delivery import SYNC_PAGE
from tests.server.peer import Peer, commit_request, open_room, registered
from tests.server.running import running_server
from tests.server.sweeping import acknowledge, rows, sweep


@dataclass
class Scene:
    """Alice, bob and carol in a room: entry 1 let the others in."""

    app: App
    peers: list[Peer]
    groups: list[Group]

    @property
    def room(self) -> bytes:
        return self.groups[0].group_id

    async def say(self, sender: int, count: int) -> None:
        for _ in range(count):
            sealed = self.groups[sender].encrypt(b"hello")
            await self.peers[sender].ask(m.SendMessage(self.room, self.groups[0].epoch, sealed))

    async def read(self, **places: int) -> None:
        for name, place in places.items():
            await acknowledge(self.app, self.peers[NAMES.index(name)], self.room, place)

    async def told(self, name: str) -> list[m.Run]:
        answer = await self.peers[NAMES.index(name)].ask(m.Sync())
        assert isinstance(answer, m.Synced)
        (status,) = answer.groups
        return status.unread


NAMES = ("alice", "bob", "carol")
ALICE, BOB, CAROL = range(3)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with running_server(tmp_path) as app, registered(app, *NAMES) as people:
        groups = await open_room(*people)
        for _, peer in people[1:]:
            await acknowledge(app, peer, b"", 1)
        yield Scene(app, [peer for _, peer in people], groups)


async def test_q_08_who_sent_what_expired_unread_is_told_where(scene: Scene) -> None:
    """Bob has all, carol only the first: 2, 3 and 5 are of alice, 4 of bob."""
    await scene.say(ALICE, 2)
    await scene.say(BOB, 1)
    await scene.say(ALICE, 1)
    await scene.read(alice=5, bob=5, carol=2)

    await sweep(scene.app, days=29)
    assert await scene.told("alice") == []
    await sweep(scene.app, days=31)

    assert [await scene.told(name) for name in NAMES] == [[(3, 5)], [(4, 4)], []]
    await sweep(scene.app, days=32)
    assert await scene.told("alice") == [(3, 5)], "as often as it is asked"


async def test_what_everybody_has_is_not_unread(scene: Scene) -> None:
    await scene.say(ALICE, 2)
    await scene.read(bob=3, carol=3)

    await sweep(scene.app, days=31)

    assert await scene.told("alice") == []


async def test_ones_own_devices_are_no_readers(scene: Scene) -> None:
    """Alice's other device never comes back, and neither of hers has acknowledged."""
    await rows(
        scene.app,
        "UPDATE client SET account = (SELECT account FROM client WHERE id = 1) WHERE id = "
        "(SELECT client FROM member ORDER BY id DESC LIMIT 1)",
    )
    await scene.say(ALICE, 1)
    await scene.say(BOB, 1)
    await scene.read(bob=3)

    await sweep(scene.app, days=31)

    assert await scene.told("alice") == []
    assert await scene.told("bob") == [(3, 3)], "alice herself has not come for it"


async def test_who_has_left_is_neither_waited_for_nor_told(scene: Scene) -> None:
    await scene.say(CAROL, 1)
    await scene.say(ALICE, 1)
    await scene.read(alice=2, bob=3)
    staged = scene.groups[ALICE].stage_commit(CommitPlan(remove=(scene.groups[CAROL].own_leaf,)))
    await scene.peers[ALICE].ask(commit_request(scene.groups[ALICE], staged, 1))

    await sweep(scene.app, days=31)

    assert await scene.told("alice") == []
    await scene.read(bob=4)
    assert await scene.told("carol") == []


async def test_who_has_left_is_not_told_of_what_others_missed(scene: Scene) -> None:
    await scene.say(CAROL, 1)
    staged = scene.groups[ALICE].stage_commit(CommitPlan(remove=(scene.groups[CAROL].own_leaf,)))
    await scene.peers[ALICE].ask(commit_request(scene.groups[ALICE], staged, 1))

    await sweep(scene.app, days=31)

    assert len(await rows(scene.app, "SELECT * FROM unread")) == 1
    assert await scene.told("carol") == []


async def test_who_came_later_missed_nothing(scene: Scene) -> None:
    """Carol's stay begins behind what alice said."""
    await scene.say(ALICE, 2)
    await scene.read(alice=3, bob=2)
    await rows(
        scene.app,
        "UPDATE member SET start = 4, cursor = 3 WHERE id = (SELECT max(id) FROM member)",
    )

    await sweep(scene.app, days=31)

    assert await scene.told("alice") == [(3, 3)], "bob's, not what was before carol's time"


async def test_a_run_goes_on_until_its_reader_comes_back(scene: Scene) -> None:
    await scene.say(ALICE, 2)
    await scene.read(alice=3, bob=3)
    await sweep(scene.app, days=31)
    await scene.say(ALICE, 2)
    await sweep(scene.app, days=31)
    assert await scene.told("alice") == [(2, 5)]

    await scene.say(ALICE, 1)
    await scene.read(alice=6, bob=6, carol=6)
    await scene.say(ALICE, 1)
    await sweep(scene.app, days=31)

    assert await scene.told("alice") == [(7, 7), (2, 5)], "the newest first, without the one all had"


async def test_what_goes_with_an_old_commit_is_told_too(scene: Scene) -> None:
    """A server that was off for long lets go of commits before it has looked at messages."""
    await scene.say(ALICE, 1)
    staged = scene.groups[ALICE].stage_commit(CommitPlan(force_path=True))
    await scene.peers[ALICE].ask(commit_request(scene.groups[ALICE], staged, 1))
    await scene.read(alice=3, bob=3)

    swept = await sweep(scene.app, days=91)

    assert (swept.handshakes, swept.expired) == (2, 0)
    assert await scene.told("alice") == [(2, 2)]


async def test_what_has_left_its_hash_is_not_counted_again_when_that_goes(scene: Scene) -> None:
    await scene.say(ALICE, 1)
    staged = scene.groups[ALICE].stage_commit(CommitPlan(force_path=True))
    await scene.peers[ALICE].ask(commit_request(scene.groups[ALICE], staged, 1))
    scene.groups[ALICE].merge(staged)
    await scene.say(ALICE, 1)
    await sweep(scene.app, days=31)
    before = await rows(scene.app, "SELECT first, last, time FROM unread")

    assert (await sweep(scene.app, days=91)).handshakes == 2
    assert await rows(scene.app, "SELECT first, last, time FROM unread") == before
    assert await scene.told("alice") == [(2, 4)]


async def test_o_06_a_run_is_told_for_as_long_as_commits_are_kept(scene: Scene) -> None:
    await scene.say(ALICE, 1)
    await sweep(scene.app, days=31)

    await sweep(scene.app, days=31 + 89)
    assert await scene.told("alice") == [(2, 2)]
    await sweep(scene.app, days=31 + 91)
    assert await rows(scene.app, "SELECT * FROM unread") == []
    assert await scene.told("alice") == []


async def test_o_06_of_many_runs_the_newest_are_told(scene: Scene) -> None:
    await rows(
        scene.app,
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9) "
        "INSERT INTO unread SELECT (SELECT min(client) FROM member), 1, 10 * i, 10 * i + 5, 0 FROM n",
    )
    assert await scene.told("alice") == [(90, 95), (80, 85), (70, 75), (60, 65)]


def test_o_02_a_page_of_groups_with_unread_runs_fits_a_frame() -> None:
    """Group ids as long as they may be, sequences up to four thousand million."""
    last = 2**32 - 1
    runs = [(last, last)] * MAX_UNREAD
    status = m.GroupStatus(b"g" * 64, last, last, last, last, last, restored=last, unread=runs)
    assert len(encode_value(m.Synced([status] * SYNC_PAGE, more=True))) < MAX_FRAME
