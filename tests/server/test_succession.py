"""A log that is closed stays closed, and goes on as what was announced (RFC 9420 section 11.2, M-13)."""

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace

from securechat.membership.room import Kind
from securechat.mls.cipher_suite import SUITE_3
from securechat.mls.continuing import Continuation, reinitialise
from securechat.mls.examining import ExaminedCommit
from securechat.mls.group import Group
from securechat.mls.proposals import ReInit
from securechat.mls.psk import ResumptionPsk, ResumptionPSKUsage
from securechat.mls.snapshot import Snapshot
from securechat.mls.staging import CommitPlan
from securechat.protocol import messages as m
from securechat.server.groups import Groups
from tests.server.peer import (
    Peer,
    Person,
    claim,
    commit_request,
    create_request,
    open_room,
    publish,
    refusal,
    registered,
    tried,
)
from tests.server.running import running_server

NEXT = b"n" * 32
KINDS = (Kind.ROOM, Kind.DIRECT)


@dataclass(frozen=True)
class Two:
    """Alice, who opened the group, and bob; their group is closed."""

    people: list[tuple[Person, Peer]]
    groups: list[Group]
    head: int

    @property
    def alice(self) -> Peer:
        return self.people[0][1]

    @property
    def bob(self) -> Peer:
        return self.people[1][1]

    @property
    def old(self) -> bytes:
        return self.groups[0].group_id

    async def going_on(self, by: int = 0) -> tuple[Continuation, m.CreateGroup]:
        """The next group, made with a key package of the other that was claimed here."""
        (person, peer), (other, their) = self.people[by], self.people[1 - by]
        await publish(their, other)
        package = await claim(peer, other.user)
        made = reinitialise(self.groups[by], (package,), identity=person.identity)
        return made, replace(create_request(made.group, made.staged), supersedes=self.old)


def reinit_of(group: Group, group_id: bytes = NEXT) -> ReInit:
    return ReInit(group_id, 1, SUITE_3.number, group.public.context.extensions)


@asynccontextmanager
async def closed(folder: Path, kind: Kind = Kind.ROOM) -> AsyncIterator[Two]:
    async with running_server(folder) as app, registered(app, "alice", "bob") as people:
        groups = await open_room(*people, kind=kind)
        staged = groups[0].stage_commit(CommitPlan(reinit=reinit_of(groups[0]), force_path=True))
        appended = await people[0][1].ask(commit_request(groups[0], staged, 1))
        assert isinstance(appended, m.Appended)
        groups[0].merge(staged)
        examined = groups[1].examine(staged.message)
        assert isinstance(examined, ExaminedCommit)
        groups[1].merge(groups[1].process(examined))
        yield Two(people, groups, appended.sequence)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_closed_group_goes_on_as_what_was_announced(tmp_path: Path, kind: Kind) -> None:
    async with closed(tmp_path, kind) as two:
        made, request = await two.going_on()
        assert await two.alice.ask(request) == m.Appended(1)
        (invitation,) = [each for each in await two.bob.invitations(2) if each.group == NEXT]
        assert (invitation.epoch, invitation.start) == (1, 2)
        made.group.merge(made.staged)
        sealed = made.group.encrypt(b"here we are")
        assert await two.alice.ask(m.SendMessage(NEXT, 1, sealed)) == m.Appended(2)
        assert (await refusal(two.alice, request)).code == "exists"


@pytest.mark.parametrize("kept", [True, False], ids=["in memory", "from the disk"])
async def test_nothing_comes_after_what_closed_a_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, kept: bool
) -> None:
    """Q-05: what was sealed before is refused as any message that came too late, and sealed anew."""
    if not kept:
        monkeypatch.setattr(Groups, "_keep", lambda *_: None)
    async with closed(tmp_path) as two:
        epoch = two.groups[0].epoch
        late = m.SendMessage(two.old, epoch - 1, two.groups[1].public.to_bytes())
        assert (await refusal(two.bob, late)).code == "stale_epoch"
        assert (await refusal(two.bob, replace(late, epoch=epoch))).code == "forbidden"
        for number, group in enumerate(two.groups):
            group._now = reopened(group)
            update = group.stage_commit(CommitPlan(update=True))
            said = await refusal(two.people[number][1], commit_request(group, update, two.head))
            assert (said.code, "goes on as another" in said.text) == ("refused_commit", True)
            leaves = m.Propose(two.old, epoch, group.propose_self_remove())
            said = await refusal(two.people[number][1], leaves)
            assert (said.code, "goes on as another" in said.text) == ("refused_message", True)


def reopened(group: Group) -> Snapshot:
    """The state of somebody who does as if nothing had been closed."""
    public = dataclasses.replace(group.public, closed=False)
    return dataclasses.replace(group._now, state=dataclasses.replace(group.state, public=public, reinit=None))


async def test_what_was_announced_is_kept_for_who_goes_on(tmp_path: Path) -> None:
    async with closed(tmp_path) as two:
        (person, _), _ = two.people
        squatting = create_request(person.group(group_id=NEXT))
        assert await tried(two.alice, squatting) == "exists"
        assert await tried(two.alice, replace(squatting, supersedes=two.old)) == "refused_commit"
        _, request = await two.going_on()
        assert await tried(two.alice, replace(request, supersedes=b"")) == "exists"
        assert await tried(two.alice, request) == "taken"


async def test_who_may_not_close_a_room_does_not_go_on_from_it(tmp_path: Path) -> None:
    async with closed(tmp_path) as two:
        _, request = await two.going_on(by=1)
        said = await refusal(two.bob, request)
        assert said.code == "refused_commit"
        assert "@bob may not" in said.text


async def test_either_of_two_goes_on(tmp_path: Path) -> None:
    async with closed(tmp_path, Kind.DIRECT) as two:
        _, request = await two.going_on(by=1)
        assert await two.bob.ask(request) == m.Appended(1)


async def test_without_the_old_groups_key_nothing_goes_on(tmp_path: Path) -> None:
    async with closed(tmp_path) as two:
        (person, _), (other, their) = two.people
        await publish(their, other)
        package = await claim(two.alice, "bob")
        group = Group.create(
            person.identity, suite=SUITE_3, group_id=NEXT, extensions=two.groups[0].public.context.extensions
        )
        staged = group.stage_commit(CommitPlan(add=(package,), force_path=True))
        said = await refusal(two.alice, replace(create_request(group, staged), supersedes=two.old))
        assert (said.code, said.text) == (
            "refused_commit",
            "it does not go on from the group that announced it",
        )


async def test_a_key_of_a_group_that_announced_nothing_is_no_way_to_begin(tmp_path: Path) -> None:
    async with closed(tmp_path) as two:
        (person, _), (other, their) = two.people
        group = person.group()
        await publish(their, other)
        package = await claim(two.alice, "bob")
        linked = group.stage_commit(
            CommitPlan(add=(package,), psks=(the_old_groups_key(two),), force_path=True),
            psks=two.groups[0].psk_source(),
        )
        said = await refusal(two.alice, create_request(group, linked))
        assert said.text == "it does not go on from the group that announced it"


def the_old_groups_key(two: Two) -> ResumptionPsk:
    return ResumptionPsk(ResumptionPSKUsage.REINIT, two.old, two.groups[0].epoch)


async def test_a_group_does_not_go_on_as_one_that_is_there_or_announced(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (group, _), (other, _) = [await open_room(*people) for _ in range(2)]
        alice = people[0][1]

        def closing(one: Group, as_what: bytes) -> m.CommitGroup:
            return commit_request(one, one.stage_commit(CommitPlan(reinit=reinit_of(one, as_what))), 1)

        there = await refusal(alice, closing(group, other.group_id))
        assert await tried(alice, closing(group, NEXT)) == "taken"
        announced = await refusal(alice, closing(other, NEXT))
        for said in (there, announced):
            assert said.text == "the group that it goes on as is there already"


async def test_a_closed_log_is_closed_after_a_restart(tmp_path: Path) -> None:
    async with closed(tmp_path) as two:
        _, request = await two.going_on()
        alice, _ = two.people[0]
    async with running_server(tmp_path) as app:
        back = await Peer.connect(app.port)
        await back.log_in(alice)
        assert await tried(back, replace(request, supersedes=b"")) == "exists"
        assert await back.ask(request) == m.Appended(1)
        await back.close()
