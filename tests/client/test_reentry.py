"""D-06: who has lost the keys that lead into the next group enters it from outside, if it is the one."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import msgspec
import pytest

from securechat.client.errors import RefusedByServer
from securechat.client.events import Kind
from securechat.client.intents import What
from securechat.client.moving import MISSED, Mover
from securechat.client.reentry import LOOK_AGAIN, Reentry
from securechat.client.session import Session
from securechat.mls.continuing import reinitialise
from securechat.mls.group import Group
from securechat.mls.staging import CommitPlan
from securechat.protocol.messages import (
    Answer,
    Carried,
    Chunk,
    Entries,
    Fetch,
    GetGroupInfo,
    GetTree,
    RequestBody,
    StoredGroupInfo,
)
from tests.client.members import GROUP, MemberOf, entry
from tests.client.parts import NOW
from tests.client.test_moving import NEXT, close
from tests.client.test_work import Worker


class Serving:
    """A session whose server has the next group."""

    def __init__(self, group: Group, *, handshake_head: int, last: str = "commit") -> None:
        self._group, self._last = group, last
        self.handshake_head = handshake_head
        self.twist: Callable[[bytes], bytes] = lambda data: data

    async def request(self, body: RequestBody) -> Answer:
        group = self._group
        match body:
            case GetGroupInfo():
                info = Carried(body=self.twist(group.group_info()))
                return StoredGroupInfo(body.group, group.epoch, 9, self.handshake_head, info)
            case GetTree():
                tree = group.tree_bytes()
                return Chunk(offset=0, total=len(tree), data=tree)
            case Fetch():
                last = entry(self.handshake_head, self._last, b"x", epoch=group.epoch - 1)
                return Entries(body.group, [last], 9)
        raise AssertionError(body)


class NotThere(Serving):
    async def request(self, body: RequestBody) -> Answer:
        assert isinstance(body, GetGroupInfo)
        raise RefusedByServer("no_group")


def left_behind(folder: Path, kind: Kind) -> tuple[MemberOf, Group]:
    """Bob has lost his keys; the group was closed, and alice has made the next one, now in epoch 1."""
    alice, bob = MemberOf(folder, "alice"), MemberOf(folder, "bob")
    alice.founds(bob, kind=kind, uri=alice.device.direct_room("bob") if kind is Kind.DIRECT else "")
    with bob.changes.change() as change:
        bob.groups.follow(change, bob.record.id, bob.group.public)
    close(alice, alice, bob)
    first = reinitialise(alice.group, (bob.key_package(),))
    first.group.merge(first.staged)
    return bob, first.group


def reentry(bob: MemberOf, session: Serving) -> Reentry:
    return Reentry(
        bob.changes, cast(Session, session), bob.groups, Mover(bob.device, bob.groups, lambda: float(NOW))
    )


def renewed(group: Group) -> Group:
    group.merge(group.stage_commit(CommitPlan(update=True)))
    return group


@pytest.mark.parametrize("kind", [Kind.DIRECT, Kind.ROOM])
async def test_the_first_epoch_of_the_next_group_is_followed_and_entered(tmp_path: Path, kind: Kind) -> None:
    bob, following = left_behind(tmp_path, kind)

    await reentry(bob, Serving(following, handshake_head=1)).enter(bob.record.id)

    record = bob.record
    assert (record.group_id, record.predecessor, record.closed) == (NEXT, GROUP, False)
    assert (record.cursor, record.handshake_head, record.epoch, record.held) == (1, 1, 1, False)
    assert bob.groups.follows(bob.store.db, record.id)
    assert bob.groups.public(bob.store.db, record.id) == following.public
    assert bob.wants == [What.RESYNC]


async def test_a_conversation_of_two_is_entered_in_any_epoch(tmp_path: Path) -> None:
    bob, following = left_behind(tmp_path, Kind.DIRECT)

    await reentry(bob, Serving(renewed(following), handshake_head=4)).enter(bob.record.id)

    assert (bob.record.group_id, bob.record.epoch, bob.record.cursor) == (NEXT, 2, 4)


async def test_a_later_epoch_of_a_room_is_not(tmp_path: Path) -> None:
    bob, following = left_behind(tmp_path, Kind.ROOM)

    again = await reentry(bob, Serving(renewed(following), handshake_head=4)).enter(bob.record.id)

    assert (bob.record.group_id, bob.record.held_code) == (GROUP, MISSED)
    assert again >= LOOK_AGAIN


async def test_a_group_that_is_not_as_it_is_described_is_not_entered(tmp_path: Path) -> None:
    bob, following = left_behind(tmp_path, Kind.DIRECT)
    session = Serving(following, handshake_head=1)
    session.twist = lambda data: data[:-1] + bytes([data[-1] ^ 1])

    await reentry(bob, session).enter(bob.record.id)

    assert (bob.record.group_id, bob.record.held_code) == (GROUP, MISSED)


async def test_another_group_than_the_one_announced_is_not_entered(tmp_path: Path) -> None:
    bob, following = left_behind(tmp_path, Kind.DIRECT)
    context = following.public.context
    alone = Group.create(
        bob.device.identity, suite=following.suite, group_id=NEXT, extensions=context.extensions
    )

    await reentry(bob, Serving(renewed(alone), handshake_head=1)).enter(bob.record.id)

    assert (bob.record.group_id, bob.record.held_code) == (GROUP, MISSED)


@pytest.mark.parametrize("served", [NotThere, Serving])
async def test_what_is_not_there_yet_or_just_changes_is_looked_for_again(
    tmp_path: Path, served: type[Serving]
) -> None:
    """A proposal after the commit: who enters from outside would not know of it."""
    bob, following = left_behind(tmp_path, Kind.DIRECT)

    session = served(renewed(following), handshake_head=5, last="proposal")
    again = await reentry(bob, session).enter(bob.record.id)

    assert again >= LOOK_AGAIN
    assert (bob.record.group_id, bob.record.held) == (GROUP, False)


def test_only_who_follows_a_closed_group_is_left_behind(tmp_path: Path) -> None:
    bob, _ = left_behind(tmp_path, Kind.ROOM)
    with bob.changes.change() as change:
        assert Worker(bob).work.act(change, bob.record).left_behind
        behind = msgspec.structs.replace(bob.record, successor=b"")
        assert not Worker(bob).work.act(change, behind).left_behind
