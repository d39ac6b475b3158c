"""A key directory in memory: an honest one, and what it takes to make it lie."""

import copy
from collections.abc import Sequence
from functools import cache
from typing import Any, Final

import msgspec

from securechat.membership import signing
from securechat.mls.codec import WireStruct, encode, encode_before
from securechat.transparency import prefix_tree
from securechat.transparency.entries import (
    Change,
    LabelChange,
    LabelState,
    LogEntry,
    hash_of_change,
    hash_of_entry,
    hash_of_statement,
    prove_label,
    state_after,
)
from securechat.transparency.heads import (
    HeadOffer,
    Judged,
    TreeHead,
    TrustedHead,
    accept_head,
    offer_head,
    sign_head,
)
from securechat.transparency.merkle import append
from securechat.transparency.search import SearchAnswer, answer_search
from securechat.transparency.update import EMPTY_DIRECTORY, DirectoryState, record
from securechat.transparency.vrf import VrfKey
from tests.transparency.stores import MemoryLog, MemoryPrefix

KEY: Final = signing.load_key(bytes(range(32)))
SERVER: Final = signing.public_of(KEY)
VRF: Final = VrfKey(bytes(range(32, 64)))
LOG: Final = 1
NOW: Final = 1_790_000_000

ALICE: Final = "mimi://chat.example/u/alice"
BOB: Final = "mimi://chat.example/u/bob"
CAROL: Final = "mimi://chat.example/u/carol"


@cache
def label_of(user: str) -> tuple[bytes, bytes]:
    """A user's label and its proof: made once, as a server does."""
    return prove_label(VRF, user)


class Directory:
    """What a server keeps of its directory, and what it answers."""

    def __init__(self) -> None:
        self.state: DirectoryState = EMPTY_DIRECTORY
        self.log = MemoryLog()
        self.prefix = MemoryPrefix()
        self.entries: list[LogEntry] = []
        self.now = NOW

    def copied(self) -> "Directory":
        """The directory as somebody else may be shown it from here on."""
        return copy.deepcopy(self)

    def changes_of(self, user: str) -> list[LabelChange]:
        label, _ = label_of(user)
        return [entry.change for entry in self.entries if entry.change.label == label]

    def publish(
        self, user: str, statement: bytes, *changes: Change, serial: int | None = None, label: bytes = b""
    ) -> LogEntry:
        """Log a statement, as the next of the user's."""
        label = label or label_of(user)[0]
        before = [entry.change for entry in self.entries if entry.change.label == label]
        default = Change.DEVICE_ADDED if before else Change.ACCOUNT_REGISTERED
        recorded = record(
            self.state,
            self.prefix,
            label,
            changes=changes or (default,),
            serial=serial if serial is not None else before[-1].serial + 1 if before else 1,
            statement_hash=hash_of_statement(statement),
            now=self.now,
        )
        self.log.store(recorded.log_nodes)
        self.prefix.nodes |= dict(recorded.prefix.added)
        self.state = recorded.state
        self.entries.append(recorded.entry)
        return recorded.entry

    def force(self, change: LabelChange, state: LabelState | None = None, root: bytes = b"") -> LogEntry:
        """Log whatever a lying server likes: this change, this state for it, this root."""
        place = prefix_tree.find(self.prefix, self.state.prefix_root, change.label)
        update = prefix_tree.put(place, state or state_after(change, self.state.frontier.size))
        self.prefix.nodes |= dict(update.added)
        entry = LogEntry(change, root or update.root)
        frontier, nodes = append(self.state.frontier, hash_of_entry(entry))
        self.log.store(nodes)
        self.state = DirectoryState(frontier, entry.prefix_root, change.timestamp)
        self.entries.append(entry)
        return entry

    def head(self, **changes: Any) -> TreeHead:
        """Sign the log as it is, but for what is said otherwise."""
        honest = sign_head(
            KEY,
            log=LOG,
            vrf_key=VRF.public,
            frontier=self.state.frontier,
            prefix_root=self.state.prefix_root,
            now=self.now,
        )
        return signed(honest, **changes) if changes else honest

    def offer(self, known: TrustedHead | None = None, head: TreeHead | None = None) -> HeadOffer:
        head = head or self.head()
        last = self.entries[head.size - 1] if head.size else None
        return offer_head(self.log, head, last, None if known is None else known.head.size)

    def answer(self, user: str, *, after: int | None = None, head: TreeHead | None = None) -> SearchAnswer:
        """Answer a search; ``after`` is the revision that the client has seen last, None for no history."""
        head = head or self.head()
        label, proof = label_of(user)
        state = prefix_tree.find(self.prefix, head.prefix_root, label).state
        since = () if after is None or state is None else self._told(state, after)
        return answer_search(self, head, label, vrf_proof=proof, since=since)

    def _told(self, state: LabelState, after: int) -> tuple[LabelChange, ...]:
        """The changes that lead to a state, by what each names before it, also where a lie stands beside."""
        changes = {hash_of_change(entry.change): entry.change for entry in self.entries}
        found, name = list[LabelChange](), state.history
        while (change := changes.get(name)) is not None and change.revision > after:
            found.append(change)
            name = change.previous
        return tuple(reversed(found))

    def log_node(self, level: int, index: int) -> bytes:
        return self.log.log_node(level, index)

    def prefix_node(self, name: bytes) -> bytes:
        return self.prefix.prefix_node(name)

    def log_entry(self, position: int) -> LogEntry:
        return self.entries[position]


def signed(head: TreeHead, **changes: Any) -> TreeHead:
    """A head with other fields, signed by the server."""
    changed = msgspec.structs.replace(head, **changes)
    return msgspec.structs.replace(
        changed, signature=signing.sign(KEY, "tree head", encode_before(changed, "signature"))
    )


def judged(offer: HeadOffer, known: TrustedHead | None = None, *, now: int = NOW) -> Judged:
    return Judged(offer=offer, known=known, server_key=SERVER, now=now)


def trusted(directory: Directory, known: TrustedHead | None = None) -> TrustedHead:
    """The directory's newest head, taken by a client."""
    return accept_head(judged(directory.offer(known), known, now=directory.now))


def with_people(names: Sequence[str] = (ALICE, BOB, CAROL), others: int = 6) -> Directory:
    """A directory with these accounts and some more."""
    directory = Directory()
    for number in range(others):
        directory.publish("", b"%d" % number, label=hash_of_statement(b"other %d" % number))
    for name in names:
        directory.publish(name, f"{name} 1".encode())
    return directory


def flipped(value: WireStruct) -> list[bytes]:
    """Every encoding that differs from this value's in one bit."""
    data = encode(value)
    number = int.from_bytes(data, "big")
    return [(number ^ 1 << bit).to_bytes(len(data), "big") for bit in range(8 * len(data))]
