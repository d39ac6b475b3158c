"""Random histories: whatever people do, those who are in the group agree and hear each other.

A server follows each history without a secret, and agrees with every member after every step.
Each history is a seed. ``SECURECHAT_LONG=1`` plays more and longer ones.
"""

import os
import random
from collections.abc import Callable
from typing import Final

import pytest

from securechat.mls.cipher_suite import SUITE_3
from securechat.mls.commit_facts import VerifiedProposal
from securechat.mls.errors import MLSError
from securechat.mls.extensions import Extension
from securechat.mls.group import Group
from securechat.mls.key_package import Identity, KeyPackageBundle
from securechat.mls.proposals import GroupContextExtensions
from securechat.mls.psk import ExternalPsk, ResumptionPsk, ResumptionPSKUsage
from securechat.mls.public_group import PublicGroup
from securechat.mls.staging import CommitPlan, StagedCommit
from tests.mls.people import accept, bundle_of, group_of, identity, received, restarted

LONG: Final = bool(os.environ.get("SECURECHAT_LONG"))
STEPS: Final = 120 if LONG else 25
SEEDS: Final = range(40 if LONG else 6)


def a_key(_name: ExternalPsk | ResumptionPsk) -> bytes:
    return b"known to all"


class History:
    """A group whose members do random things; everything is checked at every member."""

    def __init__(self, seed: int) -> None:
        self.source = random.Random(seed)
        self.groups = group_of("founder", "second", "third")
        self.leaving: list[bytes] = []
        self.server = PublicGroup.from_bytes(self.groups[0].public.to_bytes())
        self.proposed: list[VerifiedProposal] = []

    def serve(self, staged: StagedCommit) -> None:
        """What a server does with a commit: it follows without a secret."""
        verified = self.server.verify_commit(staged.message, self.proposed)
        self.server.check_group_info(staged.group_info, verified)
        assert verified.facts == staged.facts
        self.server = PublicGroup.from_bytes(self.server.apply(verified).to_bytes())
        self.proposed = []

    def step(self) -> None:
        doing: list[Callable[[], None]] = [
            self.talk,
            self.restart,
            self.propose,
            self.propose,
            self.commit,
            self.commit,
            self.come_back,
            self.lose_a_race,
        ]
        self.source.choice(doing)()
        self.hear()

    def somebody(self) -> Group:
        return self.source.choice(self.groups)

    def newcomers(self) -> list[tuple[Identity, KeyPackageBundle]]:
        people = [identity("newcomer") for _ in range(self.source.choice((0, 0, 1, 3)))]
        return [(who, bundle_of(who)) for who in people]

    def talk(self) -> None:
        """One says several things that arrive in any order, some of them never."""
        speaker = self.somebody()
        messages = [speaker.encrypt(bytes([number])) for number in range(self.source.randint(1, 5))]
        for listener in self.groups:
            if listener is not speaker:
                heard = self.source.sample(messages, self.source.randint(0, len(messages)))
                assert {listener.decrypt(message).sender for message in heard} <= {speaker.own_leaf}

    def restart(self) -> None:
        place = self.source.randrange(len(self.groups))
        self.groups[place] = restarted(self.groups[place])

    def propose(self) -> None:
        proposer, other = self.somebody(), self.somebody()
        extension = Extension(0xF001, self.source.randbytes(4))
        options: list[Callable[[], bytes]] = [
            proposer.propose_update,
            lambda: proposer.propose_remove(other.own_leaf),
            lambda: proposer.propose(GroupContextExtensions((extension,))),
            lambda: proposer.propose_add(bundle_of(identity("proposed")).key_package),
        ]
        if len(self.groups) > 2 and not any(each.sender == proposer.own_leaf for each in proposer.pending):
            message = proposer.propose_self_remove()
            self.leaving.append(message)
        else:
            message = self.source.choice(options)()
        accept(message, self.groups)
        self.proposed.append(self.server.verify_proposal(message))
        assert self.proposed[-1] in self.groups[0].pending

    def commit(self) -> None:
        committer = self.somebody()
        newcomers = self.newcomers()
        plan = CommitPlan(
            add=tuple(bundle.key_package for _, bundle in newcomers),
            update=self.source.random() < 0.5,
            psks=self.psks(committer),
            new_leaf=identity("renamed") if self.source.random() < 0.2 else None,
            include_pending=self.source.random() < 0.8,
        )
        staged = committer.stage_commit(plan, psks=a_key)
        self.send(committer, staged)
        for who, bundle in newcomers:
            assert staged.welcome is not None
            source = committer.psk_source(a_key)
            tree = committer.tree_bytes()
            self.groups.append(Group.join(staged.welcome, bundle, who, tree=tree, psks=source).group)

    def psks(self, committer: Group) -> tuple[ExternalPsk | ResumptionPsk, ...]:
        names = (
            ExternalPsk(b"shared"),
            ResumptionPsk(ResumptionPSKUsage.APPLICATION, committer.group_id, committer.epoch),
        )
        return names if self.source.random() < 0.2 else ()

    def send(self, committer: Group, staged: StagedCommit) -> None:
        staged = StagedCommit.from_bytes(staged.to_bytes(), committer.public)
        self.serve(staged)
        for group in self.groups:
            if group is not committer:
                group.merge(received(group, staged.message, a_key))
        committer.merge(staged)
        self.groups = [group for group in self.groups if not group.removed]
        self.leaving = []

    def come_back(self) -> None:
        """Somebody lost its state, or a stranger joins from outside."""
        host, lost = self.somebody(), self.somebody()
        leaving = [] if self.source.random() < 0.1 else self.leaving
        gone = {each.sender for each in host.pending if each.message in leaving}
        if lost.own_leaf in gone or host.own_leaf in gone:
            return
        resync = self.source.random() < 0.7 and len(self.groups) > 1
        who = lost.identity if resync else identity("outsider")
        remove = lost.own_leaf if resync else None
        staged = Group.join_externally(
            host.group_info(), self.server.tree.to_bytes(), who, remove=remove, self_removes=leaving
        )
        self.serve(staged)
        for group in self.groups:
            group.merge(received(group, staged.message))
        back = Group.from_staged(StagedCommit.from_bytes(staged.to_bytes()), who)
        self.groups = [*(group for group in self.groups if not group.removed), back]
        self.leaving = []

    def lose_a_race(self) -> None:
        """Two commit at once; the second one's commit is of an epoch that is over."""
        loser = self.somebody()
        lost = loser.stage_commit(CommitPlan(update=True), psks=a_key)
        self.commit()
        if not loser.removed:
            with pytest.raises(MLSError):
                loser.merge(lost)
            with pytest.raises(MLSError):
                received(self.somebody(), lost.message)

    def hear(self) -> None:
        assert len({group.epoch_authenticator for group in self.groups}) == 1
        assert all(group.public == self.server for group in self.groups)
        assert len({group.own_leaf for group in self.groups}) == len(self.groups)
        speaker = self.somebody()
        message = speaker.encrypt(b"can you hear me?")
        for listener in self.groups:
            if listener is not speaker:
                heard = listener.decrypt(message)
                assert heard.sender_leaf.signature_key == speaker.identity.signature_key.public


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_happens_those_who_are_in_agree(seed: int) -> None:
    """M-04, M-09: adds, removals, updates, races, restarts, external joins, keys mixed in."""
    history = History(seed)
    for _ in range(STEPS):
        history.step()
    assert history.groups
    assert history.groups[0].suite is SUITE_3
