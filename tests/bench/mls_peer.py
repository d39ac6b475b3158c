"""ts-mls 2.x beside ours, a member of the same groups: CPU time of its process, all threads, from ``/proc``.

It answers through a pipe (``tests/interop``); what an empty question costs is taken off.
"""

import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from securechat.mls.framing import decode_message
from securechat.mls.group import Group
from securechat.mls.key_package import KeyPackage
from securechat.mls.proposals import PROPOSAL, Add
from securechat.mls.staging import CommitPlan
from tests.interop.peer import Peer, running_peer

_SLOW: Final = 0.5
"""Seconds: above, an operation is measured once."""


@dataclass
class TsMls:
    peer: Peer
    idle: float = 0.0
    _names: list[str] = field(default_factory=list)

    def messages(self, alice: Group) -> tuple[float, float]:
        """Return what it takes to encrypt 200 bytes, and to decrypt them."""
        self._enters(alice)
        text = bytes(200)
        sealing = self._spent(100, "say", member=self.member, text=text, data=b"")
        waiting = [alice.encrypt(text) for _ in range(101)]
        before = self._cpu()
        for message in waiting:
            self.peer.ask("receive", member=self.member, message=message)
        return sealing, (self._cpu() - before) / len(waiting) - self.idle

    def creates(self, suite: int, plan: CommitPlan) -> float:
        """Create a group and add everybody in one commit."""
        self._new_member(suite)
        values = [PROPOSAL.encode(Add(package)) for package in plan.add]
        said = {"member": self.member, "in_public": True, "tree_inside": False, "data": b""}
        self.peer.ask("create", member=self.member, group=b"theirs", extensions=b"\x00")
        return self._spent(3, "stage", proposals=values, **said)

    def joins(self, creator: Group) -> float:
        """Join by a Welcome; ``creator`` goes on to the next epoch with it."""
        return self._enters(creator)

    def updates(self) -> float:
        said = {"member": self.member, "proposals": [], "in_public": True, "tree_inside": False, "data": b""}
        return self._spent(5, "stage", **said)

    def warm(self, committer: Group) -> tuple[float, float]:
        """Update in a warm group, and process an update of ours."""
        self._enters(committer)
        spent = []
        for _ in range(3):
            staged = committer.stage_commit(CommitPlan(update=True))
            committer.merge(staged)
            spent.append(self.once("receive", member=self.member, message=staged.message))
        return self.updates(), statistics.median(spent)

    @property
    def member(self) -> str:
        return self._names[-1]

    def _new_member(self, suite: int) -> KeyPackage:
        for name in self._names:
            self.peer.ask("forget", member=name)
        self._names = [f"ts {len(self._names)}"]
        made = self.peer.ask(
            "key_package", member=self.member, name=self.member, suite=suite, keep_keys=False
        )
        package = decode_message(bytes.fromhex(made))
        assert isinstance(package, KeyPackage)
        return package

    def _enters(self, group: Group) -> float:
        """Be added, without a path: ts-mls refuses a tree whose root has merged whom a node below has not."""
        staged = group.stage_commit(CommitPlan(add=(self._new_member(group.suite.number),)))
        group.merge(staged)
        tree = group.tree_bytes()
        said = {"member": self.member, "welcome": staged.welcome, "tree": tree, "origin": None}
        return self._spent(3, "join", **said)

    def _spent(self, times: int, verb: str, **said: Any) -> float:
        first = self.once(verb, **said)
        if first > _SLOW:
            return first
        return statistics.median(self.once(verb, **said) for _ in range(times))

    def once(self, verb: str, **said: Any) -> float:
        before = self._cpu()
        self.peer.ask(verb, **said)
        return max(0.0, self._cpu() - before - self.idle)

    def _cpu(self) -> float:
        tasks = Path(f"/proc/{self.peer.process.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


@contextmanager
def running_ts_mls() -> Iterator[TsMls]:
    with running_peer("2") as peer:
        print(f"ts-mls {peer.version}")
        ts_mls = TsMls(peer)
        ts_mls.idle = statistics.median(ts_mls.once("forget", member="nobody") for _ in range(200))
        yield ts_mls
