"""What the key directory's proofs cost: ``python -m tests.bench.transparency [--accounts N] [--seed S]``.

A log of N accounts, a fifth of which have changed once more, lies in a SQLite file and is opened anew, as
after a restart. Sizes in bytes as encoded; CPU time; median and worst of a sample of 200. Labels are those of
the VRF for the accounts that are asked for and SHA-256 of a number for the others, because 100,000 VRF proofs
would take ten minutes: a server makes each once, at registration, and stores it.
"""

import argparse
import hashlib
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import apsw

from securechat.membership import signing
from securechat.mls.codec import decode, encode
from securechat.transparency import prefix_tree
from securechat.transparency.distinguished import distance, prove_standing
from securechat.transparency.entries import Change, LogEntry, prove_label, verify_label
from securechat.transparency.errors import MissingNode
from securechat.transparency.heads import (
    Judged,
    TreeHead,
    accept_head,
    extend,
    extends,
    offer_head,
    sign_head,
)
from securechat.transparency.merkle import LogNode, prove_consistency
from securechat.transparency.search import SearchAnswer, answer_search, verify_search
from securechat.transparency.update import EMPTY_DIRECTORY, DirectoryState, audit, record
from securechat.transparency.vrf import VrfKey

NOW: Final = 1_790_000_000
SAMPLE: Final = 200
KEY: Final = signing.load_key(bytes(range(32)))
VRF: Final = VrfKey(bytes(range(32, 64)))
SCHEMA: Final = """
CREATE TABLE log_node (level INT, position INT, value BLOB, PRIMARY KEY (level, position)) WITHOUT ROWID;
CREATE TABLE prefix_node (name BLOB PRIMARY KEY, content BLOB) WITHOUT ROWID;
CREATE TABLE entry (position INTEGER PRIMARY KEY, body BLOB);
CREATE TABLE label (label BLOB PRIMARY KEY, proof BLOB) WITHOUT ROWID;
CREATE TABLE state (body BLOB);
"""

T = TypeVar("T")


class Memory:
    """Where the directory is filled: what the newest root does not reach is dropped at once."""

    def __init__(self) -> None:
        self.log: list[LogNode] = []
        self.prefix: dict[bytes, bytes] = {}
        self.entries: list[bytes] = []
        self.state = EMPTY_DIRECTORY

    def prefix_node(self, name: bytes) -> bytes:
        return self.prefix[name]

    def publish(self, label: bytes, serial: int) -> None:
        done = record(
            self.state,
            self,
            label,
            changes=(Change.ACCOUNT_REGISTERED if serial == 1 else Change.DEVICE_ADDED,),
            serial=serial,
            statement_hash=hashlib.sha256(label + bytes([serial])).digest(),
            now=NOW,
        )
        for name in done.prefix.replaced:
            del self.prefix[name]
        self.prefix.update(done.prefix.added)
        self.log += done.log_nodes
        self.entries.append(encode(done.entry))
        self.state = done.state


class Disk:
    """The directory in a file, as a server would have it."""

    def __init__(self, path: Path) -> None:
        self.db = apsw.Connection(str(path))

    def log_node(self, level: int, index: int) -> bytes:
        return self._one("SELECT value FROM log_node WHERE level = ? AND position = ?", (level, index))

    def prefix_node(self, name: bytes) -> bytes:
        return self._one("SELECT content FROM prefix_node WHERE name = ?", (name,))

    def log_entry(self, position: int) -> LogEntry:
        return decode(LogEntry, self._one("SELECT body FROM entry WHERE position = ?", (position,)))

    def proof_of(self, label: bytes) -> bytes:
        return self._one("SELECT proof FROM label WHERE label = ?", (label,))

    def state(self) -> DirectoryState:
        return decode(DirectoryState, self._one("SELECT body FROM state", ()))

    def _one(self, query: str, values: tuple[int | bytes, ...]) -> bytes:
        row = self.db.execute(query, values).fetchone()
        if row is None:
            raise MissingNode(query)
        value: bytes = row[0]
        return value

    def fill(self, memory: Memory, proofs: dict[bytes, bytes]) -> None:
        self.db.execute(SCHEMA)
        with self.db:
            rows = ((node.level, node.index, node.value) for node in memory.log)
            self.db.executemany("INSERT INTO log_node VALUES (?, ?, ?)", rows)
            self.db.executemany("INSERT INTO prefix_node VALUES (?, ?)", memory.prefix.items())
            self.db.executemany("INSERT INTO entry VALUES (?, ?)", enumerate(memory.entries))
            self.db.executemany("INSERT INTO label VALUES (?, ?)", proofs.items())
            self.db.execute("INSERT INTO state VALUES (?)", (encode(memory.state),))


@dataclass(frozen=True)
class Row:
    what: str
    values: list[float]
    unit: str
    goal: str = ""

    def show(self) -> None:
        middle, worst = statistics.median(self.values), max(self.values)
        print(f"{self.what:<44} {middle:>10,.2f} {worst:>10,.2f} {self.unit:<3} {self.goal}", flush=True)


def timed(call: Callable[[], T]) -> tuple[T, float]:
    """Return what a call returns, and how many milliseconds of CPU it took."""
    start = time.process_time()
    result = call()
    return result, 1000 * (time.process_time() - start)


def fill(accounts: int, people: list[str], source: random.Random) -> tuple[Memory, dict[bytes, bytes]]:
    """Fill a directory; people stand anywhere among the others, in the order of their numbers."""
    proofs: dict[bytes, bytes] = {}
    labels = [hashlib.sha256(b"%d" % number).digest() for number in range(accounts - len(people))]
    for user in people:
        label, proof = prove_label(VRF, user)
        proofs[label] = proof
        labels.append(label)
    source.shuffle(labels)
    memory = Memory()
    for label in labels:
        memory.publish(label, 1)
    for label in source.sample(labels, accounts // 5):
        memory.publish(label, 2)
    return memory, proofs


def opened(path: Path) -> tuple[Disk, TreeHead]:
    """All that a server does at start: open the file, read one row, sign a head."""
    disk = Disk(path)
    state = disk.state()
    head = sign_head(
        KEY, log=1, vrf_key=VRF.public, frontier=state.frontier, prefix_root=state.prefix_root, now=NOW
    )
    return disk, head


def answered(disk: Disk, head: TreeHead, label: bytes) -> SearchAnswer:
    """All that a server does for a search: read the proof of the label, the entry, and two paths."""
    return answer_search(disk, head, label, vrf_proof=disk.proof_of(label))


def measure_searches(disk: Disk, head: TreeHead, people: list[str], proofs: dict[bytes, bytes]) -> None:
    trusted = accept_head(
        Judged(
            offer=offer_head(disk, head, disk.log_entry(head.size - 1), None),
            known=None,
            server_key=head.server_key,
            now=NOW,
        )
    )
    verify_label.cache_clear()
    made, sizes = list[float](), list[float]()
    checked, again = list[float](), list[float]()
    for user, label in zip(people, proofs, strict=True):
        answer, cost = timed(lambda label=label: answered(disk, head, label))  # type: ignore[misc]
        made.append(cost)
        sizes.append(float(len(encode(answer))))
        for costs in (checked, again):
            costs.append(timed(lambda user=user, answer=answer: verify_search(trusted, user, answer))[1])  # type: ignore[misc]
    Row("search: the proof", sizes, "B", "goal: below 2,000").show()
    Row("search: made, from the file", made, "ms", "goal: below 1").show()
    Row("search: verified, the first time", checked, "ms").show()
    Row("search: verified, the label known", again, "ms").show()


def measure_heads(disk: Disk, head: TreeHead, source: random.Random) -> None:
    last = disk.log_entry(head.size - 1)
    sizes, made, checked, paths = [], [], [], []
    for known in [source.randrange(1, head.size) for _ in range(SAMPLE)]:
        offer, cost = timed(lambda known=known: offer_head(disk, head, last, known))  # type: ignore[misc]
        made.append(cost)
        sizes.append(float(len(encode(offer))))
        extension = extend(disk, known, head)
        checked.append(timed(lambda extension=extension: extends(extension, head))[1])  # type: ignore[misc]
        paths.append(32.0 * len(prove_consistency(disk, known, head.size)))
    Row("head: the offer to who knows an older one", sizes, "B", "goal: below 2,000").show()
    Row("head: of that, the consistency path", paths, "B").show()
    Row("head: the offer made, from the file", made, "ms", "goal: below 1").show()
    Row("head: consistency verified", checked, "ms").show()


def measure_standings(disk: Disk, head: TreeHead, proofs: dict[bytes, bytes]) -> None:
    """At the newest size: what older roots alone reach was not kept."""
    sizes, made = list[float](), list[float]()
    for label in proofs:
        standing, cost = timed(lambda label=label: prove_standing(disk, head, head.size, label))  # type: ignore[misc]
        made.append(cost)
        sizes.append(float(len(encode(standing))))
    Row(f"standing: one of every {distance(head.size)} entries", sizes, "B").show()
    Row("standing: made, from the file", made, "ms").show()


def measure_updates(disk: Disk, source: random.Random) -> None:
    """From one and the same state, so that nothing has to be written."""
    state, made, followed, rows = disk.state(), [], [], []
    for number in range(SAMPLE):
        label = hashlib.sha256(b"new %d %d" % (number, source.random() * 1e9)).digest()
        done, cost = timed(
            lambda label=label: record(  # type: ignore[misc]
                state,
                disk,
                label,
                changes=(Change.ACCOUNT_REGISTERED,),
                serial=1,
                statement_hash=label,
                now=NOW,
            )
        )
        made.append(cost)
        rows.append(float(len(done.prefix.added) + len(done.log_nodes) + 2))
        proof = prefix_tree.prove(disk, state.prefix_root, label)
        followed.append(timed(lambda entry=done.entry, proof=proof: audit(state, entry, proof))[1])  # type: ignore[misc]
    Row("update: one entry, from the file", made, "ms").show()
    Row("update: rows that it writes", rows, "").show()
    Row("update: one entry followed by a witness", followed, "ms").show()


def measure_labels(people: list[str], proofs: dict[bytes, bytes]) -> None:
    made = [timed(lambda user=user: prove_label(VRF, user))[1] for user in people[:50]]  # type: ignore[misc]
    Row("label: VRF proof made, once for an account", made, "ms").show()
    assert all(len(proof) == 80 for proof in proofs.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--accounts", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    source = random.Random(options.seed)
    people = [f"mimi://chat.example/u/user{number}" for number in range(SAMPLE)]

    print(f"{options.accounts:,} accounts, seed {options.seed}")
    (memory, proofs), filling = timed(lambda: fill(options.accounts, people, source))
    print(f"filled in {filling / 1000:.1f} s: {memory.state.frontier.size:,} entries, "
          f"{len(memory.log):,} nodes of the log, {len(memory.prefix):,} of the prefix tree")  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "directory.db"
        Disk(path).fill(memory, proofs)
        print(f"{path.stat().st_size / 1e6:,.1f} MB on the disk\n{'':<44} {'median':>10} {'worst':>10}")
        (disk, head), start = timed(lambda: opened(path))
        Row("start: file opened, head signed", [start], "ms", "goal: below 2,000").show()
        measure_searches(disk, head, people, proofs)
        measure_heads(disk, head, source)
        measure_standings(disk, head, proofs)
        measure_updates(disk, source)
        measure_labels(people, proofs)


if __name__ == "__main__":
    main()
