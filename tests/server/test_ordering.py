"""Commits take turns, and only valid ones are taken."""

import asyncio
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from securechat.membership.room import Kind, Role, extensions_for, room_of, with_roles
from securechat.mls.errors import MLSError
from securechat.mls.examining import ExaminedCommit, ExaminedProposal
from securechat.mls.framing import ContentType, PrivateMessage, decode_message, encode_message
from securechat.mls.group import Group
from securechat.mls.nodes import Epoch, LeafIndex
from securechat.mls.staging import CommitPlan, StagedCommit
from securechat.names import user_uri
from securechat.protocol import messages as m
from securechat.protocol.limits import MAX_CHUNK
from securechat.server.delivery import check_message
from securechat.server.errors import Refusal
from tests.server.peer import (
    Peer,
    Person,
    WasRefused,
    claim,
    commit_request,
    create_request,
    open_room,
    publish,
    read_tree,
    refusal,
    registered,
)
from tests.server.running import running_server


def flipped(data: bytes, position: int = -1) -> bytes:
    changed = bytearray(data)
    changed[position] ^= 1
    return bytes(changed)


def follow(group: Group, message: bytes) -> None:
    examined = group.examine(message)
    assert isinstance(examined, ExaminedCommit)
    group.merge(group.process(examined))


def note(group: Group, message: bytes) -> None:
    examined = group.examine(message)
    assert isinstance(examined, ExaminedProposal)
    group.accept(examined)


async def test_m_09_of_several_commits_for_one_epoch_one_is_taken(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob", "carol") as people:
        groups = await open_room(*people)
        staged = [group.stage_commit(CommitPlan(update=True)) for group in groups]
        asked = [
            peer.ask(commit_request(group, commit, 1))
            for (_, peer), group, commit in zip(people, groups, staged, strict=True)
        ]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        taken = [answer for answer in answers if isinstance(answer, m.Appended)]
        refused = [answer for answer in answers if isinstance(answer, WasRefused)]
        assert taken == [m.Appended(2)]
        assert [(no.code, no.refusal.head) for no in refused] == [("stale_epoch", 2)] * 2
        winner = answers.index(taken[0])
        for index, ((_, peer), group) in enumerate(zip(people, groups, strict=True)):
            entry = await peer.entry(2)
            assert entry.body == staged[winner].message
            if index == winner:
                group.merge(staged[winner])
            else:
                follow(group, entry.body)
        assert len({group.epoch_authenticator for group in groups}) == 1


async def test_a_commit_behind_a_proposal_is_told_so(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (_, alice), (_, bob) = people
        at_alice, at_bob = await open_room(*people)
        proposal = at_bob.propose_self_remove()
        assert await bob.ask(m.Propose(at_bob.group_id, 1, proposal)) == m.Appended(2)
        commit = at_alice.stage_commit(CommitPlan(update=True))
        no = await refusal(alice, commit_request(at_alice, commit, 1))
        assert (no.code, no.head) == ("behind", 2)
        note(at_alice, (await alice.entry(2)).body)
        commit = at_alice.stage_commit(CommitPlan(update=True))
        assert await alice.ask(commit_request(at_alice, commit, 2)) == m.Appended(3)
        assert [entry.kind for entry in await bob.entries(2)] == ["proposal", "commit"]


async def test_who_was_removed_reads_its_removal_and_no_more(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (_, alice), (_, bob) = people
        at_alice, _ = await open_room(*people)
        commit = at_alice.stage_commit(CommitPlan(remove=(LeafIndex(1),)))
        await alice.ask(commit_request(at_alice, commit, 1))
        at_alice.merge(commit)
        await alice.ask(m.SendMessage(at_alice.group_id, 2, at_alice.encrypt(b"he is gone")))
        assert [entry.sequence for entry in await bob.entries(1)] == [2]
        fetched = await bob.ask(m.Fetch(at_alice.group_id, 2))
        assert isinstance(fetched, m.Entries)
        assert ([entry.kind for entry in fetched.entries if isinstance(entry, m.Entry)], fetched.head) == (
            ["commit"],
            2,
        )
        assert (await refusal(bob, m.SendMessage(at_alice.group_id, 2, b"x"))).code == "not_member"
        synced = await bob.ask(m.Sync())
        assert synced == m.Synced([m.GroupStatus(at_alice.group_id, 2, 3, 2, 2, 1, 2)])
        bob.connection.acknowledge([m.Acknowledged(at_alice.group_id, 2)])
        bob.flush()
        while await bob.ask(m.Sync()) != m.Synced([]):
            await bob.ask(m.Ping())


async def test_nothing_before_ones_coming_is_readable(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        at_alice, _ = await open_room(*people)
        assert (await refusal(people[1][1], m.Fetch(at_alice.group_id, 1))).code == "forbidden"


async def test_a_newcomer_finds_a_welcome_and_the_tree_of_its_epoch(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (_, alice), (bobs_keys, bob) = people
        (at_alice,) = await open_room(people[0])
        (bundle,) = await publish(bob, bobs_keys)
        commit = at_alice.stage_commit(CommitPlan(add=(await claim(alice, "bob"),)))
        await alice.ask(commit_request(at_alice, commit, 0))
        at_alice.merge(commit)
        later = at_alice.stage_commit(CommitPlan(update=True))
        await alice.ask(commit_request(at_alice, later, 1))
        (invitation,) = await bob.invitations(1)
        assert (invitation.group, invitation.epoch, invitation.start) == (at_alice.group_id, 1, 2)
        tree = await read_tree(bob, at_alice.group_id, invitation.epoch)
        joined = Group.join(invitation.welcome.body, bundle, bobs_keys.identity, tree=tree).group
        fetched = await bob.ask(m.Fetch(at_alice.group_id, invitation.start))
        assert isinstance(fetched, m.Entries)
        (entry,) = fetched.entries
        assert isinstance(entry, m.Entry)
        follow(joined, entry.body)
        at_alice.merge(later)
        assert joined.epoch_authenticator == at_alice.epoch_authenticator
        bob.connection.acknowledge([m.Acknowledged(b"", invitation.sequence)])
        bob.flush()
        while await bob.ask(m.FetchInbox(0)) != m.InboxEntries([], 1):
            await bob.ask(m.Ping())
        assert (await refusal(bob, m.GetTree(at_alice.group_id, 1))).code == "gone"


async def test_a_device_that_lost_its_state_comes_back_by_an_external_commit(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (_, alice), (bobs_keys, bob) = people
        at_alice, at_bob = await open_room(*people)
        stored = await bob.ask(m.GetGroupInfo(at_bob.group_id))
        assert isinstance(stored, m.StoredGroupInfo)
        tree = await read_tree(bob, at_bob.group_id, stored.epoch)
        staged = Group.join_externally(
            stored.group_info.body, tree, bobs_keys.identity, remove=at_bob.own_leaf
        )
        assert await bob.ask(commit_request(at_bob, staged, stored.handshake_head)) == m.Appended(2)
        follow(at_alice, (await alice.entry(2)).body)
        back = Group.from_staged(staged, bobs_keys.identity)
        assert back.epoch_authenticator == at_alice.epoch_authenticator
        assert await bob.ask(m.SendMessage(at_bob.group_id, 2, back.encrypt(b"hi"))) == m.Appended(3)


async def test_a_strangers_commit_is_not_even_judged(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob", "eve") as people:
        at_alice, at_bob = await open_room(*people[:2])
        eve = people[2][1]
        commit = commit_request(at_alice, at_alice.stage_commit(CommitPlan(update=True)), 1)
        assert (await refusal(eve, commit)).code == "no_group"
        assert (await refusal(eve, replace(commit, epoch=9))).code == "no_group"
        proposal = m.Propose(at_bob.group_id, 1, at_bob.propose_self_remove())
        assert (await refusal(eve, proposal)).code == "no_group"


async def test_one_cannot_commit_for_another(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        at_alice, _ = await open_room(*people)
        commit = at_alice.stage_commit(CommitPlan(update=True))
        assert (await refusal(people[1][1], commit_request(at_alice, commit, 1))).code == "forbidden"


def spoilt(group: Group, commit: StagedCommit, other: StagedCommit) -> dict[str, m.CommitGroup]:
    """Commits that each break one rule."""
    right = commit_request(group, commit, 1)
    assert commit.welcome is not None
    assert other.welcome is not None
    return {
        "no message": replace(right, commit=m.Carried(b"\x00")),
        "its signature": replace(right, commit=m.Carried(flipped(commit.message, 200))),
        "another's GroupInfo": replace(right, group_info=m.Carried(other.group_info)),
        "GroupInfo's signature": replace(right, group_info=m.Carried(flipped(commit.group_info))),
        "no Welcome": replace(right, welcome=None),
        "another's Welcome": replace(right, welcome=m.Carried(other.welcome)),
        "no Welcome at all": replace(right, welcome=m.Carried(commit.group_info)),
    }


async def test_a_commit_that_breaks_a_rule_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob", "carol", "dave") as people:
        (_, alice), (carols_keys, carol), (daves_keys, dave) = people[0], people[2], people[3]
        at_alice, _ = await open_room(*people[:2])
        await publish(carol, carols_keys)
        await publish(dave, daves_keys)
        commit = at_alice.stage_commit(CommitPlan(add=(await claim(alice, "carol"),)))
        other = at_alice.stage_commit(CommitPlan(add=(await claim(alice, "dave"),)))
        for name, request in spoilt(at_alice, commit, other).items():
            assert (await refusal(alice, request)).code == "refused_commit", name
        assert await alice.ask(commit_request(at_alice, commit, 1)) == m.Appended(2)


async def test_m_13_who_may_not_add_is_refused(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob", "carol") as people:
        (_, bob), (carols_keys, carol) = people[1], people[2]
        _, at_bob = await open_room(*people[:2])
        await publish(carol, carols_keys)
        commit = at_bob.stage_commit(CommitPlan(add=(await claim(bob, "carol"),)))
        no = await refusal(bob, commit_request(at_bob, commit, 1))
        assert (no.code, no.text.split(":")[0]) == ("refused_commit", "add")


async def test_a_reader_only_reads_until_a_commit_says_otherwise(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (_, alice), (_, bob) = people
        at_alice, at_bob = await open_room(*people, kind=Kind.ANNOUNCEMENT)
        no = await refusal(bob, m.SendMessage(at_bob.group_id, 1, at_bob.encrypt(b"may I?")))
        assert no.code == "forbidden"
        room = room_of(at_alice.public.context)
        domain = app.identity.domain
        roles = {user_uri(domain, "alice"): Role.OWNER, user_uri(domain, "bob"): Role.MEMBER}
        commit = at_alice.stage_commit(CommitPlan(extensions=extensions_for(with_roles(room, roles))))
        await alice.ask(commit_request(at_alice, commit, 1))
        follow(at_bob, (await bob.entry(2)).body)
        assert await bob.ask(m.SendMessage(at_bob.group_id, 2, at_bob.encrypt(b"thanks"))) == m.Appended(3)


async def test_both_open_at_once_and_it_is_one_conversation(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        await asyncio.gather(*(publish(peer, person) for person, peer in people))
        requests = []
        for (person, peer), other in zip(people, ("bob", "alice"), strict=True):
            group = person.group(Kind.DIRECT)
            first = group.stage_commit(CommitPlan(add=(await claim(peer, other),)))
            requests.append((peer, create_request(group, first)))
        answers = await asyncio.gather(
            *(peer.ask(request) for peer, request in requests), return_exceptions=True
        )
        (taken,) = [index for index, answer in enumerate(answers) if answer == m.Appended(1)]
        lost = answers[1 - taken]
        assert isinstance(lost, WasRefused)
        assert (lost.code, lost.refusal.detail) == ("exists", requests[taken][1].group)
        assert (await people[1 - taken][1].invitations(1))[0].group == requests[taken][1].group


async def test_a_new_direct_conversation_takes_the_place_it_names(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (alices_keys, alice), (bobs_keys, bob) = people
        old, _ = await open_room(*people, kind=Kind.DIRECT)
        await publish(bob, bobs_keys)
        group = alices_keys.group(Kind.DIRECT)
        first = group.stage_commit(CommitPlan(add=(await claim(alice, "bob"),)))
        request = create_request(group, first)
        assert (await refusal(alice, request)).detail == old.group_id
        assert await alice.ask(replace(request, supersedes=old.group_id)) == m.Appended(1)


async def test_a_direct_conversation_needs_its_first_commit(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(person, alice)]:
        assert (await refusal(alice, create_request(person.group(Kind.DIRECT)))).code == "refused_commit"


async def test_a_group_is_opened_by_its_first_leaf(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        request = create_request(people[0][0].group())
        assert (await refusal(people[1][1], request)).code == "forbidden"
        assert (await refusal(people[0][1], replace(request, group=b"g" * 32))).code == "refused_commit"
        assert await people[0][1].ask(request) == m.Appended(0)
        assert (await refusal(people[0][1], request)).code == "exists"


async def test_a_room_of_another_domain_is_refused(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice") as [(person, alice)]:
        elsewhere = replace_domain(person, "elsewhere.example")
        assert (await refusal(alice, create_request(elsewhere.group()))).code == "refused_commit"


def replace_domain(person: Person, domain: str) -> Person:
    return Person(person.user, domain, person.client, person.account_key, person.device_key)


@pytest.mark.parametrize("spoil", ["bytes", "epoch", "group", "public"])
async def test_only_sealed_messages_of_the_group_and_epoch_are_taken(tmp_path: Path, spoil: str) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (alices_keys, alice), _ = people
        group, _ = await open_room(*people)
        message = {
            "bytes": lambda: b"\x00\x01\x00\x02nonsense",
            "epoch": lambda: alices_keys.group(group_id=group.group_id).encrypt(b"x"),
            "group": lambda: alices_keys.group().encrypt(b"x"),
            "public": group.propose_self_remove,
        }[spoil]()
        assert (await refusal(alice, m.SendMessage(group.group_id, 1, message))).code == "refused_message"


async def test_proposals_are_ones_own_and_one_per_epoch(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (_, alice), (_, bob) = people
        at_alice, at_bob = await open_room(*people)
        assert (
            await refusal(bob, m.Propose(at_bob.group_id, 1, at_alice.propose_self_remove()))
        ).code == "forbidden"
        remove = at_alice.propose_remove(LeafIndex(1))
        assert (await refusal(alice, m.Propose(at_alice.group_id, 1, remove))).code == "refused_message"
        update = at_bob.propose_update()
        assert await bob.ask(m.Propose(at_bob.group_id, 1, update)) == m.Appended(2)
        assert (await refusal(bob, m.Propose(at_bob.group_id, 1, update))).code == "quota"
        assert (await refusal(bob, m.Propose(at_bob.group_id, 0, update))).code == "stale_epoch"


async def test_a_large_commit_travels_as_a_blob(tmp_path: Path) -> None:
    async with running_server(tmp_path) as app, registered(app, "alice", "bob") as people:
        (_, alice), (_, bob) = people
        at_alice, _ = await open_room(*people)
        commit = at_alice.stage_commit(CommitPlan(update=True))
        blob = await upload(alice, commit.message)
        request = replace(
            commit_request(at_alice, commit, 1), commit=m.Carried(blob=blob, size=len(commit.message))
        )
        assert await alice.ask(request) == m.Appended(2)
        entry = await bob.entry(2)
        assert (entry.body, entry.blob, entry.size) == (b"", blob, len(commit.message))
        assert await bob.ask(m.GetBlob(blob)) == m.Chunk(len(commit.message), 0, commit.message)


async def upload(peer: Peer, data: bytes) -> bytes:
    name = b""
    for start in range(0, len(data), MAX_CHUNK):
        answer = await peer.ask(m.PutChunk(b"u" * 16, start, len(data), data[start : start + MAX_CHUNK]))
        assert isinstance(answer, m.Uploaded)
        name = answer.blob
    return name


PRIVATE = encode_message(
    PrivateMessage(b"g" * 32, Epoch(7), ContentType.APPLICATION, b"a" * 70, b"s" * 20, b"c" * 300)
)


def decodes(data: bytes) -> bool:
    try:
        message = decode_message(data)
    except MLSError:
        return False
    return (
        isinstance(message, PrivateMessage)
        and message.content_type is ContentType.APPLICATION
        and (message.group_id, message.epoch) == (b"g" * 32, 7)
    )


def taken(data: bytes) -> bool:
    try:
        check_message(m.SendMessage(b"g" * 32, 7, data))
    except Refusal:
        return False
    return True


@given(st.binary(max_size=3), st.integers(0, len(PRIVATE)), st.integers(0, 4))
@example(new=b"", at=len(PRIVATE) - 302, instead_of=302)  # without its last field, and ends where that begins
def test_m_01_the_quick_look_at_a_message_says_what_decoding_it_says(
    new: bytes, at: int, instead_of: int
) -> None:
    data = PRIVATE[:at] + new + PRIVATE[at + instead_of :]
    assert taken(data) == decodes(data)
    assert taken(PRIVATE)
