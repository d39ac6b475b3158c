"""What may be offered to a log that was restored, and by whom (N-03)."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from msgspec.structs import replace

from securechat.mls.framing import GroupInfo, decode_message, encode_message
from securechat.mls.group import Group
from securechat.mls.nodes import LeafIndex
from securechat.mls.staging import CommitPlan, StagedCommit
from securechat.protocol import messages as m
from securechat.protocol.limits import MAX_CHUNK
from securechat.server.backup import back_up, begin_incarnation_if_due
from securechat.server.config import DAY, Retention
from tests.server.peer import (
    Peer,
    Person,
    WasRefused,
    claim,
    commit_request,
    open_room,
    publish,
    read_tree,
    refusal,
    registered,
)
from tests.server.running import running_server
from tests.server.test_backup import restore, server_row
from tests.server.test_ordering import flipped, follow, note


@dataclass
class Scene:
    """A room of alice and bob, and carol and dave who were not in it; the copy is of epoch 1, head 2."""

    folder: Path
    people: dict[str, Person]
    groups: dict[str, Group]
    commits: list[StagedCommit] = field(default_factory=list)
    peers: dict[str, Peer] = field(default_factory=dict)

    @property
    def group(self) -> bytes:
        return self.groups["alice"].group_id

    async def commits_as(self, user: str, plan: CommitPlan, handshake_head: int) -> StagedCommit:
        """Have a commit taken; both have applied it."""
        staged = self.groups[user].stage_commit(plan)
        await self.peers[user].ask(commit_request(self.groups[user], staged, handshake_head))
        for name, group in self.groups.items():
            if name == user:
                group.merge(staged)
            else:
                follow(group, staged.message)
        self.commits.append(staged)
        return staged

    def offer(self, index: int = 0, **more: object) -> m.OfferCommit:
        staged = self.commits[index]
        return m.OfferCommit(
            self.group,
            staged.facts.old_context.epoch,
            m.Carried(staged.message),
            **more,  # type: ignore[arg-type]
        )

    def info(self, user: str) -> m.Carried:
        return m.Carried(self.groups[user].group_info())

    async def fetched(self, user: str, start: int) -> list[m.Entry]:
        answer = await self.peers[user].ask(m.Fetch(self.group, start))
        assert isinstance(answer, m.Entries)
        return [entry for entry in answer.entries if isinstance(entry, m.Entry)]

    async def status(self, user: str, incarnation: int = 0) -> list[m.GroupStatus]:
        answer = await self.peers[user].ask(m.Sync(incarnation=incarnation))
        assert isinstance(answer, m.Synced)
        return answer.groups

    @asynccontextmanager
    async def after_the_copy(self, copy: Path) -> AsyncIterator["Scene"]:
        """The server of the copy, everybody logged in."""
        restore(copy, self.folder)
        async with running_server(self.folder) as app:
            for name, person in self.people.items():
                self.peers[name] = await Peer.connect(app.port)
                await self.peers[name].log_in(person)
            try:
                yield self
            finally:
                for peer in self.peers.values():
                    await peer.close()


@asynccontextmanager
async def a_scene(folder: Path) -> AsyncIterator[Scene]:
    """The room before the server dies; what is done in it is not in the copy."""
    async with (
        running_server(folder) as app,
        registered(app, "alice", "bob", "carol", "dave") as people,
    ):
        at_alice, at_bob = await open_room(*people[:2])
        alice = people[0][1]
        await alice.ask(m.SendMessage(at_alice.group_id, 1, at_alice.encrypt(b"before")))
        back_up(folder / "data" / "server.db", folder / "copy.db")
        scene = Scene(
            folder,
            {person.user: person for person, _ in people},
            {"alice": at_alice, "bob": at_bob},
            peers={person.user: peer for person, peer in people},
        )
        yield scene


async def lost_commits(folder: Path) -> Scene:
    """Two commits that the copy lacks: alice renews her leaf, bob his."""
    async with a_scene(folder) as scene:
        await scene.commits_as("alice", CommitPlan(update=True), 1)
        await scene.commits_as("bob", CommitPlan(update=True), 3)
    return scene


async def test_n_03_what_the_copy_lacks_is_brought_back_by_anybody_in_the_group(tmp_path: Path) -> None:
    scene = await lost_commits(tmp_path)
    async with scene.after_the_copy(tmp_path / "copy.db"):
        bob = scene.peers["bob"]
        assert await bob.ask(scene.offer(0)) == m.Appended(3)
        assert await bob.ask(scene.offer(1, group_info=scene.info("bob"))) == m.Appended(4)

        entries = await scene.fetched("alice", 3)
        assert [entry.body for entry in entries] == [each.message for each in scene.commits]
        assert [entry.sender for entry in entries] == [scene.people[name].client for name in ("alice", "bob")]
        (status,) = await scene.status("alice")
        assert (status.epoch, status.head, status.handshake_head) == (3, 4, 4)
        assert [entry.sequence for entry in await scene.peers["alice"].entries(2)] == [3, 4]
        sealed = scene.groups["alice"].encrypt(b"on we go")
        assert await scene.peers["alice"].ask(m.SendMessage(scene.group, 3, sealed)) == m.Appended(5)


async def test_n_03_sync_says_how_far_a_log_of_another_incarnation_is_known(tmp_path: Path) -> None:
    scene = await lost_commits(tmp_path)
    async with scene.after_the_copy(tmp_path / "copy.db"):
        assert [each.restored for each in await scene.status("bob")] == [None]
        assert [each.restored for each in await scene.status("bob", 1)] == [2]
        await scene.peers["bob"].ask(scene.offer(0))
        assert [(each.head, each.restored) for each in await scene.status("bob", 1)] == [(3, 2)]
        back_up(tmp_path / "data" / "server.db", tmp_path / "second.db")
    first, _ = server_row(tmp_path / "second.db")
    async with scene.after_the_copy(tmp_path / "second.db"):
        assert [each.restored for each in await scene.status("bob", 1)] == [2]
        assert [each.restored for each in await scene.status("bob", first)] == [3]
        assert [each.restored for each in await scene.status("bob", first + 12345)] == [None]


async def test_n_03_until_somebody_describes_the_new_epoch_nobody_joins_by_it(tmp_path: Path) -> None:
    scene = await lost_commits(tmp_path)
    async with scene.after_the_copy(tmp_path / "copy.db"):
        bob = scene.peers["bob"]
        await bob.ask(scene.offer(0))
        assert (await refusal(scene.peers["alice"], m.GetGroupInfo(scene.group))).code == "gone"
        await bob.ask(scene.offer(1, group_info=scene.info("bob")))
        stored = await scene.peers["alice"].ask(m.GetGroupInfo(scene.group))
        assert isinstance(stored, m.StoredGroupInfo)
        tree = await read_tree(scene.peers["alice"], scene.group, 3)
        alice = scene.people["alice"]
        back = Group.join_externally(stored.group_info.body, tree, alice.identity, remove=LeafIndex(0))
        assert await scene.peers["alice"].ask(commit_request(scene.groups["alice"], back, 4)) == m.Appended(5)


async def test_n_03_a_log_that_was_not_restored_takes_no_offer(
    tmp_path: Path,
) -> None:
    async with a_scene(tmp_path) as scene:
        scene.commits.append(scene.groups["alice"].stage_commit(CommitPlan(update=True)))
        for user in ("alice", "bob"):
            assert (await refusal(scene.peers[user], scene.offer())).code == "forbidden"
        assert (await refusal(scene.peers["dave"], scene.offer())).code == "no_group"


@pytest.mark.parametrize(("days", "kept"), [(89, 90), (91, 90), (5, 3)])
async def test_o_05_n_03_offers_end_when_commits_of_before_the_restore_would_have_gone(
    tmp_path: Path, days: int, kept: int
) -> None:
    """For ever, a member could bring commits by them that take_claimed and the clock would refuse."""
    scene = await lost_commits(tmp_path)
    path = restore(tmp_path / "copy.db", tmp_path)
    assert begin_incarnation_if_due(path, restored=False, now=int(time.time()) - days * DAY)
    times = Retention(handshakes_days=kept, messages_days=2)
    async with running_server(tmp_path, retention=times) as app:
        bob = await Peer.connect(app.port)
        await bob.log_in(scene.people["bob"])
        if days < kept:
            assert await bob.ask(scene.offer(0)) == m.Appended(3)
        else:
            assert (await refusal(bob, scene.offer(0))).code == "forbidden"
            (status,) = (await bob.ask(m.Sync())).groups  # type: ignore[union-attr]
            assert (status.epoch, status.head) == (1, 2)
        await bob.close()


async def test_n_03_a_stranger_and_another_epoch_are_refused(tmp_path: Path) -> None:
    scene = await lost_commits(tmp_path)
    async with scene.after_the_copy(tmp_path / "copy.db"):
        for user in ("carol", "dave"):
            assert (await refusal(scene.peers[user], scene.offer())).code == "no_group"
            unknown = replace(scene.offer(), group=b"g" * 32)
            assert (await refusal(scene.peers[user], unknown)).code == "no_group"
        bob = scene.peers["bob"]
        early = await refusal(bob, scene.offer(1))
        assert (early.code, early.head) == ("stale_epoch", 2)
        assert await bob.ask(scene.offer(0)) == m.Appended(3)
        again = await refusal(bob, scene.offer(0))
        assert (again.code, again.head) == ("stale_epoch", 3)
        assert await scene.fetched("bob", 4) == []


def re_signed(info: bytes, group: Group) -> bytes:
    """A GroupInfo that says another signer than who signed it."""
    decoded = decode_message(info)
    assert isinstance(decoded, GroupInfo)
    return encode_message(replace(decoded, signer=LeafIndex(1 - group.own_leaf)))


async def test_n_03_an_offer_that_breaks_a_rule_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    async with a_scene(tmp_path) as scene:
        other = scene.groups["bob"].stage_commit(CommitPlan(update=True))
        await scene.commits_as("alice", CommitPlan(update=True), 1)
        alices = scene.groups["alice"].group_info()
    async with scene.after_the_copy(tmp_path / "copy.db"):
        right, commit = scene.offer(), scene.commits[0].message
        wrong = {
            "no message": replace(right, commit=m.Carried(b"\x00")),
            "its signature": replace(right, commit=m.Carried(flipped(commit, 200))),
            "its tag": replace(right, commit=m.Carried(flipped(commit, len(commit) // 2))),
            "of another state": replace(right, group_info=m.Carried(other.group_info)),
            "of another signer": replace(right, group_info=m.Carried(alices)),
            "of a signer it does not name": replace(
                right, group_info=m.Carried(re_signed(alices, scene.groups["alice"]))
            ),
            "a broken GroupInfo": replace(
                right, group_info=m.Carried(flipped(scene.groups["bob"].group_info()))
            ),
            "a commit as a proposal": replace(right, proposals=[commit]),
            "a Welcome for nobody": replace(right, welcome=m.Carried(alices)),
        }
        for name, request in wrong.items():
            assert (await refusal(scene.peers["bob"], request)).code == "refused_commit", name
        both = m.Carried(b"x", b"b" * 32, 1)
        assert (await refusal(scene.peers["bob"], replace(right, commit=both))).code == "bad_request"
        assert [each.head for each in await scene.status("bob")] == [2]
        assert await scene.peers["bob"].ask(replace(right, group_info=scene.info("bob"))) == m.Appended(3)


async def a_lost_departure(scene: Scene) -> bytes:
    """Bob asks to leave, alice commits it; returns what he asked with."""
    proposal = scene.groups["bob"].propose_self_remove()
    await scene.peers["bob"].ask(m.Propose(scene.group, 1, proposal))
    note(scene.groups["alice"], proposal)
    staged = scene.groups["alice"].stage_commit(CommitPlan(update=True))
    await scene.peers["alice"].ask(commit_request(scene.groups["alice"], staged, 3))
    scene.groups["alice"].merge(staged)
    scene.commits.append(staged)
    return proposal


async def test_n_03_proposals_come_back_with_the_commit_that_takes_them_up(tmp_path: Path) -> None:
    async with a_scene(tmp_path) as scene:
        proposal = await a_lost_departure(scene)
        foreign = scene.groups["alice"].propose_self_remove()
    async with scene.after_the_copy(tmp_path / "copy.db"):
        alice = scene.peers["alice"]
        for wrong in ([], [foreign], [flipped(proposal, 100)]):
            assert (await refusal(alice, scene.offer(proposals=wrong))).code == "refused_commit"
        offer = scene.offer(proposals=[proposal, proposal], group_info=scene.info("alice"))
        assert await alice.ask(offer) == m.Appended(4)
        entries = await scene.fetched("bob", 3)
        assert [(entry.kind, entry.sender) for entry in entries] == [
            ("proposal", scene.people["bob"].client),
            ("commit", scene.people["alice"].client),
        ]
        assert entries[0].body == proposal
        sealed = m.SendMessage(scene.group, 2, scene.groups["bob"].encrypt(b"x"))
        assert (await refusal(scene.peers["bob"], sealed)).code == "not_member"


async def test_n_03_a_proposal_that_the_copy_has_is_not_appended_twice(tmp_path: Path) -> None:
    async with a_scene(tmp_path) as scene:
        proposal = scene.groups["bob"].propose_self_remove()
        await scene.peers["bob"].ask(m.Propose(scene.group, 1, proposal))
        back_up(tmp_path / "data" / "server.db", tmp_path / "later.db")
        note(scene.groups["alice"], proposal)
        staged = scene.groups["alice"].stage_commit(CommitPlan(update=True))
        await scene.peers["alice"].ask(commit_request(scene.groups["alice"], staged, 3))
        scene.groups["alice"].merge(staged)
        scene.commits.append(staged)
    async with scene.after_the_copy(tmp_path / "later.db"):
        assert await scene.peers["alice"].ask(scene.offer(proposals=[proposal])) == m.Appended(4)


async def test_n_03_who_was_added_is_in_again_and_finds_the_welcome(tmp_path: Path) -> None:
    async with a_scene(tmp_path) as scene:
        (bundle,) = await publish(scene.peers["carol"], scene.people["carol"])
        package = await claim(scene.peers["alice"], "carol")
        added = await scene.commits_as("alice", CommitPlan(add=(package,)), 1)
    async with scene.after_the_copy(tmp_path / "copy.db"):
        other = scene.groups["alice"].stage_commit(CommitPlan(update=True))
        with_another = scene.offer(welcome=m.Carried(other.group_info))
        assert (await refusal(scene.peers["alice"], with_another)).code == "refused_commit"
        assert added.welcome is not None
        offer = scene.offer(welcome=m.Carried(added.welcome), group_info=scene.info("alice"))
        assert await scene.peers["alice"].ask(offer) == m.Appended(3)
        (invitation,) = await scene.peers["carol"].invitations(1)
        tree = await read_tree(scene.peers["carol"], scene.group, invitation.epoch)
        joined = Group.join(invitation.welcome.body, bundle, scene.people["carol"].identity, tree=tree).group
        assert joined.epoch_authenticator == scene.groups["bob"].epoch_authenticator
        sealed = m.SendMessage(scene.group, 2, joined.encrypt(b"x"))
        assert await scene.peers["carol"].ask(sealed) == m.Appended(4)


async def test_n_03_who_was_removed_is_out_again_and_reads_no_more(tmp_path: Path) -> None:
    async with a_scene(tmp_path) as scene:
        staged = scene.groups["alice"].stage_commit(CommitPlan(remove=(LeafIndex(1),)))
        await scene.peers["alice"].ask(commit_request(scene.groups["alice"], staged, 1))
        scene.groups["alice"].merge(staged)
        scene.commits.append(staged)
    async with scene.after_the_copy(tmp_path / "copy.db"):
        alice = scene.peers["alice"]
        assert await alice.ask(scene.offer(group_info=scene.info("alice"))) == m.Appended(3)
        await alice.ask(m.SendMessage(scene.group, 2, scene.groups["alice"].encrypt(b"without bob")))
        assert [entry.sequence for entry in await scene.fetched("bob", 1 + 1)] == [2, 3]
        assert (await refusal(scene.peers["bob"], scene.offer())).code == "not_member"


async def test_n_03_an_external_commit_may_be_offered_by_another(tmp_path: Path) -> None:
    async with a_scene(tmp_path) as scene:
        bob = scene.peers["bob"]
        stored = await bob.ask(m.GetGroupInfo(scene.group))
        assert isinstance(stored, m.StoredGroupInfo)
        tree = await read_tree(bob, scene.group, 1)
        staged = Group.join_externally(
            stored.group_info.body, tree, scene.people["bob"].identity, remove=LeafIndex(1)
        )
        await bob.ask(commit_request(scene.groups["bob"], staged, 1))
        follow(scene.groups["alice"], staged.message)
        scene.groups["bob"] = Group.from_staged(staged, scene.people["bob"].identity)
        scene.commits.append(staged)
    async with scene.after_the_copy(tmp_path / "copy.db"):
        offer = scene.offer(group_info=scene.info("alice"))
        assert await scene.peers["alice"].ask(offer) == m.Appended(3)
        (entry,) = await scene.fetched("alice", 3)
        assert entry.sender == scene.people["bob"].client
        sealed = m.SendMessage(scene.group, 2, scene.groups["bob"].encrypt(b"x"))
        assert await scene.peers["bob"].ask(sealed) == m.Appended(4)


async def test_n_03_of_two_who_offer_at_once_one_is_taken(tmp_path: Path) -> None:
    scene = await lost_commits(tmp_path)
    async with scene.after_the_copy(tmp_path / "copy.db"):
        asked = [
            scene.peers[user].ask(scene.offer(index, group_info=scene.info(user) if index else None))
            for index in (0, 1)
            for user in ("alice", "bob")
        ]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert [answer for answer in answers if answer == m.Appended(3)] == [m.Appended(3)]
        refused = [answer.code for answer in answers if isinstance(answer, WasRefused)]
        assert "stale_epoch" in refused
        assert set(refused) <= {"stale_epoch", "behind"}, (
            "or what it stands on was not there when it was judged"
        )
        entries = await scene.fetched("alice", 3)
        assert [entry.body for entry in entries] == [
            each.message for each in scene.commits[: len(entries)]
        ], "dense and each once"


async def test_n_03_a_large_commit_is_offered_as_a_blob(tmp_path: Path) -> None:
    scene = await lost_commits(tmp_path)
    async with scene.after_the_copy(tmp_path / "copy.db"):
        bob, data = scene.peers["bob"], scene.commits[0].message
        missing = m.Carried(blob=b"b" * 32, size=len(data))
        assert (await refusal(bob, replace(scene.offer(), commit=missing))).code == "no_blob"
        answer = await bob.ask(m.PutChunk(b"u" * 16, 0, len(data), data[:MAX_CHUNK]))
        assert isinstance(answer, m.Uploaded)
        offer = replace(scene.offer(), commit=m.Carried(blob=answer.blob, size=len(data)))
        assert await bob.ask(offer) == m.Appended(3)
        assert await scene.peers["alice"].ask(m.GetBlob(answer.blob)) == m.Chunk(len(data), 0, data)


@pytest.mark.parametrize("user", ["alice", "bob"])
async def test_n_03_an_offer_is_a_named_request_like_any_other(tmp_path: Path, user: str) -> None:
    scene = await lost_commits(tmp_path)
    async with scene.after_the_copy(tmp_path / "copy.db"):
        peer = scene.peers[user]
        assert await peer.ask(scene.offer(0)) == m.Appended(3)
        assert await peer.ask(scene.offer(0), peer.name) == m.Appended(3)
        assert (await refusal(peer, scene.offer(1), peer.name)).code == "conflict"
