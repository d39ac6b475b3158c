"""What must hold of the database after any history (rules.md A, invariants)."""

import random
from dataclasses import dataclass, field
from pathlib import Path

import apsw
import pytest

from securechat.mls.codec import decode
from securechat.mls.errors import MLSError
from securechat.mls.examining import ExaminedCommit, ExaminedProposal
from securechat.mls.group import Group
from securechat.mls.key_package import KeyPackage, KeyPackageBundle
from securechat.mls.nodes import LeafIndex
from securechat.mls.ratchet_tree import RatchetTree
from securechat.mls.staging import CommitPlan
from securechat.protocol import messages as m
from securechat.server.app import App
from securechat.server.groups import tree_bytes
from securechat.server.judging import leaf_owner
from tests.server.peer import (
    Peer,
    Person,
    WasRefused,
    commit_request,
    open_room,
    publish,
    read_tree,
    registered,
)
from tests.server.running import running_server

STEPS = 40
USERS = ("alice", "bob", "carol", "dave")


@dataclass
class Member:
    """A client that follows the log of one group, as far as it may."""

    person: Person
    peer: Peer
    group: Group | None = None
    stored: int = 0
    handshake_head: int = 0
    bundles: list[KeyPackageBundle] = field(default_factory=list)

    def is_in(self) -> bool:
        return self.group is not None and self.group.active

    async def follow(self, group_id: bytes) -> None:
        """Read on to the end of what one may read."""
        while self.group is not None and self.group.active:
            fetched = await self.peer.ask(m.Fetch(group_id, self.stored + 1))
            assert isinstance(fetched, m.Entries)
            if not fetched.entries:
                return
            for entry in fetched.entries:
                assert isinstance(entry, m.Entry)
                self.take(entry)

    def take(self, entry: m.Entry) -> None:
        assert self.group is not None
        assert entry.sequence == self.stored + 1
        assert entry.epoch == self.group.epoch
        self.stored = entry.sequence
        if entry.kind == "message":
            return
        self.handshake_head = entry.sequence
        examined = self.group.examine(entry.body)
        if isinstance(examined, ExaminedProposal):
            self.group.accept(examined)
        elif isinstance(examined, ExaminedCommit):
            self.group.merge(self.group.process(examined))


class History:
    def __init__(self, seed: int, members: list[Member], group_id: bytes) -> None:
        self.random = random.Random(seed)
        self.members = members
        self.group_id = group_id
        self.refused: dict[str, int] = {}

    async def step(self) -> None:
        acting = self.random.choice(self.members)
        if not acting.is_in():
            await self.enter(acting)
            return
        if self.random.random() < 0.8:
            await acting.follow(self.group_id)
        if not acting.is_in():
            return
        verbs = [self.send, self.update, self.send, self.remove, self.propose_leave, self.lose_state]
        try:
            await self.random.choice(verbs)(acting)
        except WasRefused as no:
            self.refused[no.code] = self.refused.get(no.code, 0) + 1

    async def send(self, member: Member) -> None:
        if member.group is not None and not member.group.pending:
            sealed = member.group.encrypt(b"hello")
            answer = await member.peer.ask(m.SendMessage(self.group_id, member.group.epoch, sealed))
            assert isinstance(answer, m.Appended)
            if answer.sequence == member.stored + 1:
                member.stored = answer.sequence

    async def update(self, member: Member) -> None:
        await self.commit(member, CommitPlan(update=True))

    async def remove(self, member: Member) -> None:
        leaf = LeafIndex(self.random.randrange(1, len(self.members)))
        if member.group is not None and leaf != member.group.own_leaf:
            try:
                await self.commit(member, CommitPlan(remove=(leaf,)))
            except MLSError:
                return  # there is nobody on that leaf

    async def propose_leave(self, member: Member) -> None:
        if member.group is not None and member.person.user != "alice" and not member.group.pending:
            proposal = member.group.propose_self_remove()
            await member.peer.ask(m.Propose(self.group_id, member.group.epoch, proposal))

    async def lose_state(self, member: Member) -> None:
        """Come back by an external commit."""
        stored = await member.peer.ask(m.GetGroupInfo(self.group_id))
        assert isinstance(stored, m.StoredGroupInfo)
        if member.group is None or stored.epoch != member.group.epoch or member.group.pending:
            return
        tree = await read_tree(member.peer, self.group_id, stored.epoch)
        staged = Group.join_externally(
            stored.group_info.body, tree, member.person.identity, remove=member.group.own_leaf
        )
        answer = await member.peer.ask(commit_request(member.group, staged, stored.handshake_head))
        assert isinstance(answer, m.Appended)
        member.group = Group.from_staged(staged, member.person.identity)
        member.stored = member.handshake_head = answer.sequence

    async def commit(self, member: Member, plan: CommitPlan) -> None:
        assert member.group is not None
        staged = member.group.stage_commit(plan)
        answer = await member.peer.ask(commit_request(member.group, staged, member.handshake_head))
        assert isinstance(answer, m.Appended)
        member.group.merge(staged)
        member.stored = member.handshake_head = answer.sequence

    async def enter(self, newcomer: Member) -> None:
        """Alice adds somebody again."""
        alice = self.members[0]
        await alice.follow(self.group_id)
        (bundle,) = await publish(newcomer.peer, newcomer.person)
        claimed = await alice.peer.ask(m.ClaimKeyPackages(newcomer.person.user, 3))
        assert isinstance(claimed, m.ClaimedKeyPackages)
        package = decode(KeyPackage, claimed.packages[0].key_package)
        try:
            await self.commit(alice, CommitPlan(add=(package,)))
        except (WasRefused, MLSError):
            return
        inbox = await newcomer.peer.ask(m.FetchInbox(0))
        assert isinstance(inbox, m.InboxEntries)
        invitation = inbox.entries[-1]
        tree = await read_tree(newcomer.peer, self.group_id, invitation.epoch)
        newcomer.group = Group.join(
            invitation.welcome.body, bundle, newcomer.person.identity, tree=tree
        ).group
        newcomer.stored = newcomer.handshake_head = invitation.start - 1
        newcomer.peer.connection.acknowledge([m.Acknowledged(b"", invitation.sequence)])
        newcomer.peer.flush()


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_any_history_leaves_the_log_in_order(tmp_path: Path, seed: int) -> None:
    async with running_server(tmp_path) as app, registered(app, *USERS) as people:
        groups = await open_room(*people)
        members = [
            Member(person, peer, group, 1, 1) for (person, peer), group in zip(people, groups, strict=True)
        ]
        history = History(seed, members, groups[0].group_id)
        for _ in range(STEPS):
            await history.step()
        await check(app)
        for member in members:
            await member.follow(groups[0].group_id)
        alive = [member.group for member in members if member.group is not None and member.group.active]
        assert len({group.epoch_authenticator for group in alive}) == 1
        assert set(history.refused) <= {
            "stale_epoch",
            "behind",
            "refused_commit",
            "quota",
            "not_member",
            "no_group",
        }


async def check(app: App) -> None:
    await app._writer.find(lambda _db: None)
    await app._readers.run(lambda db: holds(app, db))


def holds(app: App, db: apsw.Connection) -> None:
    for conversation, epoch, head, handshake_head in list(
        db.execute("SELECT id, epoch, head, handshake_head FROM conversation")
    ):
        assert isinstance(conversation, int)
        log = list(
            db.execute(
                "SELECT sequence, kind, epoch FROM entry WHERE conversation = ? ORDER BY sequence",
                (conversation,),
            )
        )
        assert [sequence for sequence, _, _ in log] == list(range(1, int(str(head)) + 1))
        at = 0
        for _, kind, entry_epoch in log:
            assert entry_epoch == at
            at += kind == "commit"
        assert at == epoch
        assert max([0, *(int(str(s)) for s, kind, _ in log if kind != "message")]) == handshake_head
        public = app.services.groups.load(db, conversation)
        stored = RatchetTree.from_bytes(public.suite, tree_bytes(db, int(str(conversation)), int(str(epoch))))
        assert stored.tree_hash() == public.context.tree_hash
        rows = db.execute(
            "SELECT m.leaf, a.user, c.name FROM member m JOIN client c ON c.id = m.client "
            'JOIN account a ON a.id = c.account WHERE m.conversation = ? AND m."end" IS NULL',
            (conversation,),
        )
        assert set(rows) == {(leaf, *leaf_owner(node)) for leaf, node in stored.leaves()}
        welcomes = db.execute(
            "SELECT e.kind, e.epoch + 1 - i.epoch FROM inbox i JOIN entry e "
            "ON e.conversation = i.conversation AND e.sequence = i.start - 1"
        )
        assert set(welcomes) <= {("commit", 0)}
        waiting = db.execute(
            "SELECT e.kind, e.epoch FROM pending p JOIN entry e "
            "ON e.conversation = p.conversation AND e.sequence = p.sequence"
        )
        assert set(waiting) <= {("proposal", epoch)}
    lying = (
        "SELECT c.stored - (SELECT coalesce(sum(length(body)), 0) FROM entry WHERE client = c.id) "
        "- (SELECT coalesce(sum(length(body)), 0) FROM epoch_state WHERE giver = c.id) "
        "- (SELECT coalesce(sum(length(s.public_state) + (SELECT sum(length(body)) FROM tree_node t "
        " WHERE t.conversation = s.conversation AND t.until IS NULL)), 0) "
        " FROM epoch_state s JOIN member m ON m.conversation = s.conversation "
        " WHERE m.start = 1 AND m.client = c.id) FROM client c"
    )
    assert set(db.execute(lying)) == {(0,)}, "what is counted is what lies here"
