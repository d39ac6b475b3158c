"""Random histories of a group: whatever people do, those who are in it agree and hear each other.

A server follows each history without a secret, and agrees with every member after every step (M-04, M-09).
Each history is a seed. pytest plays short ones; more and longer ones are played by

    python -m tests.mls.histories --minutes 10 --steps 120 --seed 1
"""

import argparse
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable

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
        self.done: Counter[str] = Counter()
        self.most = 0
        """So many members at most."""

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
        done = self.source.choice(doing)
        done()
        self.hear()
        self.done[done.__name__] += 1
        self.most = max(self.most, len(self.groups))

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
            must_be_refused(lambda: loser.merge(lost))
            must_be_refused(lambda: received(self.somebody(), lost.message))

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


def must_be_refused(act: Callable[[], object]) -> None:
    """Do what belongs to an epoch that is over."""
    try:
        act()
    except MLSError:
        return
    raise AssertionError("a commit of an epoch that is over was taken")


def main() -> int:
    """Play one seed after the other; end with 1 when something is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=1.0, help="no new history after that")
    parser.add_argument("--count", type=int, help="how many histories, whatever the time")
    parser.add_argument("--seed", type=int, default=1, help="the first one")
    parser.add_argument("--steps", type=int, default=120, help="of each history")
    asked = parser.parse_args()
    begun, wrong = time.monotonic(), 0
    done: Counter[str] = Counter()
    seed = asked.seed
    while (
        seed - asked.seed < asked.count
        if asked.count is not None
        else time.monotonic() - begun < asked.minutes * 60
    ):
        history = History(seed)
        try:
            for _ in range(asked.steps):
                history.step()
            print(
                f"seed {seed}: epoch {history.server.context.epoch}, at most {history.most} members",
                flush=True,
            )
        except (AssertionError, MLSError):
            wrong += 1
            traceback.print_exc()
            print(f"WRONG: --seed {seed} --steps {asked.steps} --count 1 tells it again", flush=True)
        done += history.done
        seed += 1
    told = ", ".join(f"{what} {count}" for what, count in sorted(done.items()))
    print(f"seeds {asked.seed} to {seed - 1}, {wrong} wrong, {time.monotonic() - begun:.0f} s: {told}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
