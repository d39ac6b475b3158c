"""A group of members of both kinds: who is in it, what waits, and how a commit reaches everybody."""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from securechat.mls.cipher_suite import CipherSuite
from securechat.mls.codec import encode
from securechat.mls.commit_facts import CommitFacts
from securechat.mls.credential import BasicCredential
from securechat.mls.extensions import Extensions
from securechat.mls.nodes import LeafIndex
from securechat.mls.proposals import Add, ProposalValue, Remove, Update
from securechat.mls.ratchet_tree import RatchetTree
from tests.interop import quirks
from tests.interop.agreement import Disagreement, check_agreement
from tests.interop.members import Member, Offer, Ours, Psks, Theirs, person
from tests.interop.peer import Peer


@dataclass(frozen=True, slots=True)
class Pending:
    """A proposal that all have accepted."""

    value: ProposalValue
    proposer: Member | None
    """None: somebody who asks to be added from outside."""
    leaf: LeafIndex | None
    """The leaf that it renews or removes."""


@dataclass
class World:
    """One group and everybody in it. All choices come from ``rng``; keys do not."""

    peer: Peer
    suite: CipherSuite
    rng: Random
    members: list[Member] = field(default_factory=list)
    leaves: dict[str, LeafIndex] = field(default_factory=dict)
    since: dict[str, int] = field(default_factory=dict)
    """The first epoch of each member."""
    waiting: dict[bytes, Member] = field(default_factory=dict)
    """Who made which key package."""
    pending: list[Pending] = field(default_factory=list)
    psks: Psks = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    tale: deque[str] = field(default_factory=lambda: deque(maxlen=40))
    names: int = 0
    most: int = 0
    first_suite: int = 0

    def __post_init__(self) -> None:
        self.first_suite = self.suite.number

    def tell(self, what: str) -> None:
        self.tale.append(what)

    def ours(self) -> list[Ours]:
        return [member for member in self.members if isinstance(member, Ours)]

    @property
    def witness(self) -> Ours:
        """One of ours, who says what a message does."""
        return self.ours()[0]

    @property
    def tree(self) -> RatchetTree:
        return self.witness.group.public.tree

    @property
    def extensions(self) -> Extensions:
        return self.witness.group.public.context.extensions

    @property
    def epoch(self) -> int:
        return self.witness.group.epoch

    def newcomer(self, *, ours: bool) -> Member:
        self.names += 1
        if ours:
            return Ours(f"ours{self.names}", self.suite, self.psks)
        return Theirs(f"theirs{self.names}", self.suite, self.peer)

    def invite(self, *, ours: bool) -> Add:
        """Return the Add of somebody new."""
        return self.expect(self.newcomer(ours=ours))

    def expect(self, member: Member) -> Add:
        """Return the Add of a newcomer."""
        key_package = member.key_package()
        self.waiting[encode(key_package)] = member
        return Add(key_package)

    def begin(self, group_id: bytes, *, ours_first: bool) -> None:
        first = self.newcomer(ours=ours_first)
        first.create(group_id, ())
        self.enter(first, 0)
        other = self.invite(ours=not ours_first)
        offer = first.stage([other], private=False, tree_inside=True)
        first.merge()
        assert offer.welcome is not None
        self._let_in([other], offer, epoch=1, tree_inside=True)
        self.agree()

    def enter(self, member: Member, epoch: int) -> None:
        self.members.append(member)
        self.leaves[member.name] = member.own_leaf()
        self.since[member.name] = epoch

    def leave(self, member: Member) -> None:
        self.members.remove(member)
        del self.leaves[member.name]
        if isinstance(member, Theirs):
            member.forget()

    def at(self, leaf: LeafIndex) -> Member:
        return next(member for member in self.members if self.leaves[member.name] == leaf)

    def hand_round(self, message: bytes, sender: Member | None) -> None:
        """Give a proposal to all others."""
        for member in self.members:
            if member is not sender:
                member.receive(message)

    def commit(self, committer: Member, values: Sequence[ProposalValue], *, private: bool = False) -> bool:
        """Let ``committer`` commit what is pending and ``values``; False if it was dropped.

        It is dropped if members with ts-mls could not go on from the valid tree it leads to.
        """
        tree_inside = self.rng.random() < 0.5
        offer = committer.stage(values, private=private, tree_inside=tree_inside)
        facts = self._facts(committer, offer)
        self._check_taken_up(committer, values, facts)
        joiners = [self.waiting[encode(added.key_package)] for added in facts.added]
        if not all(each.ours for each in joiners) and not quirks.reads_tree(facts.new_tree):
            return self._drop(committer, "ts-mls would refuse the valid tree")
        if not quirks.derives_commit_secret(facts.new_tree):
            return self._drop(committer, "ts-mls would derive another commit secret")
        self._count(committer, facts, private=private)
        self.settle(committer, offer.message, facts)
        self._let_in(
            [Add(added.key_package) for added in facts.added],
            offer,
            epoch=facts.new_context.epoch,
            tree_inside=tree_inside,
        )
        self.agree()
        return True

    def _drop(self, committer: Member, why: str) -> bool:
        committer.drop()
        self.counts[f"commits dropped: {why}"] += 1
        return False

    def _facts(self, committer: Member, offer: Offer) -> CommitFacts:
        if isinstance(committer, Ours):
            return committer.staged.facts
        return self.witness.look(offer.message)

    def _check_taken_up(self, committer: Member, values: Sequence[ProposalValue], facts: CommitFacts) -> None:
        """Nothing is left out but a committer's own Update, which its path replaces."""
        own = sum(each.proposer is committer and isinstance(each.value, Update) for each in self.pending)
        expected = len(self.pending) - own + len(values)
        if len(facts.proposals) != expected:
            raise Disagreement(f"a commit of {len(facts.proposals)} proposals instead of {expected}")
        if facts.path != quirks.needs_path([each.proposal for each in facts.proposals]):
            raise Disagreement(f"a commit by {committer.name} with path {facts.path}")

    def settle(self, committer: Member, message: bytes, facts: CommitFacts) -> None:
        """Let everybody follow a commit; who is removed goes."""
        gone = {removed.leaf_index for removed in facts.removed}
        for member in list(self.members):
            if member is committer:
                member.merge()
            elif self.leaves[member.name] in gone:
                self._see_off(member, message, facts.new_tree)
            else:
                member.receive(message)
        self.pending.clear()

    def _see_off(self, member: Member, message: bytes, after: RatchetTree) -> None:
        empty = after.leaf(self.leaves[member.name]) is None
        if member.ours or quirks.follows_its_removal(self.peer.major, leaf_stays_empty=empty):
            member.receive(message)
            if member.active():
                raise Disagreement(f"{member.name} does not know that it was removed")
        self.leave(member)

    def _let_in(self, adds: Sequence[Add], offer: Offer, *, epoch: int, tree_inside: bool) -> None:
        for add in adds:
            member = self.waiting.pop(encode(add.key_package))
            assert offer.welcome is not None
            member.join(offer.welcome, None if tree_inside else offer.tree, None)
            self.enter(member, epoch)

    def agree(self) -> None:
        """All hold the same, and everybody is where the tree says."""
        check_agreement({member.name: member.view() for member in self.members})
        check_places(self.tree, {name: self.leaves[name] for name in self.leaves})
        self.most = max(self.most, len(self.members))
        self.counts["epochs compared"] += 1
        self.counts["views compared"] += len(self.members)

    def _count(self, committer: Member, facts: CommitFacts, *, private: bool) -> None:
        kind = "ours" if committer.ours else "theirs"
        self.counts[f"commits by {kind}{' in private' if private else ''}"] += 1
        for each in facts.proposals:
            how = "by reference" if each.by_reference else "by value"
            what = "resumption key" if quirks.resumes(each.proposal) else type(each.proposal).__name__
            self.counts[f"{what} {how}, committed by {kind}"] += 1
        if not facts.proposals:
            self.counts[f"empty commits by {kind}"] += 1
        done = ", ".join(type(each.proposal).__name__ for each in facts.proposals) or "nothing"
        self.tell(f"{committer.name} commits {done}")

    def remaining(self, removed: Sequence[ProposalValue]) -> list[Member]:
        """Return who stays when these and the pending Removes are committed."""
        out = {each.removed for each in removed if isinstance(each, Remove)}
        out |= {
            each.leaf for each in self.pending if isinstance(each.value, Remove) and each.leaf is not None
        }
        return [member for member in self.members if self.leaves[member.name] not in out]


def check_places(tree: RatchetTree, leaves: dict[str, LeafIndex]) -> None:
    """Everybody is at the leaf that it thinks, and nobody else is in the tree."""
    held = {index: leaf.credential for index, leaf in tree.leaves()}
    expected = {leaf: BasicCredential(person(name).encode()) for name, leaf in leaves.items()}
    if held != expected:
        raise Disagreement(f"the tree holds {held}, the members are {expected}")
