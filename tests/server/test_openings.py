"""What opens a group, part by part: a room, a direct conversation, and what is neither (M-13, S-04)."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from securechat.membership.room import Kind
from securechat.mls.staging import CommitPlan
from securechat.protocol import messages as m
from tests.server.peer import Peer, Person, claim, create_request, publish, refusal, registered
from tests.server.running import running_server


async def test_a_group_info_without_a_commit_opens_an_empty_room(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(person, alice)]:
        group = person.group()
        request = replace(create_request(group), commit_group_info=m.Carried(group.group_info()))
        assert await alice.ask(request) == m.Appended(0)
        assert await alice.ask(m.Sync()) == m.Synced([m.GroupStatus(group.group_id, 0, 0, 0, 1, 0)])
        kept = await alice.ask(m.GetGroupInfo(group.group_id))
        assert isinstance(kept, m.StoredGroupInfo)
        assert (kept.epoch, kept.group_info) == (0, request.group_info)


async def test_a_first_commit_comes_with_its_group_info(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(person, alice)]:
        group = person.group()
        first = group.stage_commit(CommitPlan(update=True))
        no = await refusal(alice, replace(create_request(group, first), commit_group_info=None))
        assert (no.code, no.text) == ("bad_request", "a first commit comes with its GroupInfo")


async def test_a_room_may_open_with_a_commit_that_adds_nobody(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(person, alice)]:
        group = person.group()
        request = create_request(group, group.stage_commit(CommitPlan(update=True)))
        assert await alice.ask(request) == m.Appended(1)
        assert await alice.ask(m.Sync()) == m.Synced([m.GroupStatus(group.group_id, 1, 1, 1, 1, 0)])
        fetched = await alice.ask(m.Fetch(group.group_id, 1))
        assert isinstance(fetched, m.Entries)
        assert [
            (each.sequence, each.kind, each.epoch) for each in fetched.entries if isinstance(each, m.Entry)
        ] == [(1, "commit", 0)]


async def test_nobody_has_a_direct_conversation_alone(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(person, alice)]:
        group = person.group(Kind.DIRECT)
        no = await refusal(alice, create_request(group, group.stage_commit(CommitPlan(update=True))))
        assert (no.code, no.text.split(":")[0]) == ("refused_commit", "direct-users")


async def test_nobody_has_a_direct_conversation_with_who_is_not_here(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(person, alice)]:
        group, ghost = person.group(Kind.DIRECT), Person("ghost", app.identity.domain)
        first = group.stage_commit(CommitPlan(add=(ghost.key_package().key_package,)))
        no = await refusal(alice, create_request(group, first))
        assert (no.code, no.text) == ("refused_commit", "it adds a user that is not registered here")


@pytest.mark.parametrize("opener", [0, 1])
async def test_a_direct_conversation_is_one_whoever_opens_it_again(tmp_path: Path, opener: int) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        first = await opened(people[0], people[1])
        (person, peer), (_, other) = people[opener], people[1 - opener]
        await publish(other, people[1 - opener][0])
        group = person.group(Kind.DIRECT)
        staged = group.stage_commit(CommitPlan(add=(await claim(peer, people[1 - opener][0].user),)))
        request = create_request(group, staged)
        no = await refusal(peer, replace(request, supersedes=group.group_id))
        assert (no.code, no.detail) == ("exists", first)
        assert await peer.ask(replace(request, supersedes=first)) == m.Appended(1)


async def opened(creator: tuple[Person, Peer], other: tuple[Person, Peer]) -> bytes:
    (person, peer), (other_person, other_peer) = creator, other
    await publish(other_peer, other_person)
    group = person.group(Kind.DIRECT)
    first = group.stage_commit(CommitPlan(add=(await claim(peer, other_person.user),)))
    assert await peer.ask(create_request(group, first)) == m.Appended(1)
    return group.group_id
