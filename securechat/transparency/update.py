"""Adding to the directory, and checking each step of somebody else who did.

``record`` is the server's part: from the directory's state and one change to the next state and what is to be
stored with it. It decides nothing about statements (``membership`` does) and writes nothing.

``audit`` is a witness's part: from the state and one entry, with a proof of what the prefix tree said of its
label, to the next state. It needs no tree, only this one value. Who has followed every entry knows that the
prefix tree of each head holds the newest entry of every label and nothing else: what look-ups and owners
check piece by piece, and only for the heads that they see.
"""

from dataclasses import dataclass
from typing import Final

from securechat.mls.codec import Bytes32, Uint64, WireStruct
from securechat.transparency import prefix_tree
from securechat.transparency.entries import (
    MAX_REVISION,
    Change,
    LogEntry,
    flaw_of_step,
    hash_of_entry,
    next_change,
    state_after,
)
from securechat.transparency.errors import MisusedTree, Refused
from securechat.transparency.heads import TreeHead
from securechat.transparency.merkle import EMPTY_LOG, Frontier, LogNode, append
from securechat.transparency.prefix_tree import NOTHING, PrefixLeaf, PrefixNodes, PrefixProof, PrefixUpdate


class DirectoryState(WireStruct, frozen=True):
    """All that one must have to add an entry or to check one: a row of some hundred bytes.

    ``timestamp`` is the last entry's, seconds since 1970; 0 of an empty log.
    """

    frontier: Frontier
    prefix_root: Bytes32
    timestamp: Uint64


EMPTY_DIRECTORY: Final = DirectoryState(frontier=EMPTY_LOG, prefix_root=NOTHING, timestamp=0)


@dataclass(frozen=True, slots=True)
class Recorded:
    """The next state, and what must be on the disk, in one transaction, before a head over it is signed.

    ``entry`` stands at ``state.frontier.size - 1``.
    """

    state: DirectoryState
    entry: LogEntry
    before: PrefixProof
    """What the prefix tree said of the label until then: who follows the log needs it (``AuditStep``)."""
    log_nodes: tuple[LogNode, ...]
    prefix: PrefixUpdate


def record(
    state: DirectoryState,
    nodes: PrefixNodes,
    label: bytes,
    *,
    changes: tuple[Change, ...],
    serial: int,
    statement_hash: bytes,
    now: int,
) -> Recorded:
    """Add the entry that makes a statement the label's newest.

    Reads and adds O(log n) nodes of the prefix tree, and adds O(log n) of the log.

    :param changes: see ``entries.changes_between``
    :param now: seconds since 1970; where the clock went back, the last entry's time is taken
    :raises MisusedTree: the statement is not the next one, ``changes`` are not in order, or the log is full
    :raises MissingNode: the store lacks a node
    """
    place = prefix_tree.find(nodes, state.prefix_root, label)
    before = place.state
    if before is not None and before.revision >= MAX_REVISION:
        raise MisusedTree("A label has no more revisions.")
    change = next_change(
        label,
        before,
        changes=changes,
        serial=serial,
        statement_hash=statement_hash,
        now=max(now, state.timestamp),
    )
    if (flaw := flaw_of_step(change, before)) is not None:
        raise MisusedTree(flaw)
    update = prefix_tree.put(place, state_after(change, state.frontier.size))
    entry = LogEntry(change, update.root)
    frontier, log_nodes = append(state.frontier, hash_of_entry(entry))
    return Recorded(
        DirectoryState(frontier, update.root, change.timestamp), entry, place.proof, log_nodes, update
    )


class AuditStep(WireStruct, frozen=True):
    """An entry as who follows all of them is told it; ``before``: what the prefix tree said of its label."""

    entry: LogEntry
    before: PrefixProof


def audit(state: DirectoryState, entry: LogEntry, proof: PrefixProof) -> DirectoryState:
    """Return the state after an entry of somebody else's log, once every step in it is checked.

    :param proof: what the prefix tree of ``state`` said of the entry's label
    :raises Refused: ``prefix-proof``, ``audit-step``, ``audit-time``, ``audit-root``
    """
    change = entry.change
    before = prefix_tree.verify(state.prefix_root, change.label, proof)
    if (flaw := flaw_of_step(change, before)) is not None:
        raise Refused("audit-step", flaw)
    if change.timestamp < state.timestamp:
        raise Refused("audit-time", "An entry is older than the one before it.")
    root = prefix_tree.root_after(proof, PrefixLeaf(change.label, state_after(change, state.frontier.size)))
    if root != entry.prefix_root:
        raise Refused("audit-root", "An entry's prefix tree is not the last one with this change in it.")
    frontier, _ = append(state.frontier, hash_of_entry(entry))
    return DirectoryState(frontier, root, change.timestamp)


def check_audited(state: DirectoryState, head: TreeHead) -> None:
    """Compare the state after all entries of a head with what the head says.

    The head's signature is not looked at here: see ``heads.judge_head``.

    :raises Refused: ``audit-head``, they are not the same
    """
    told = (head.size, head.log_root, head.prefix_root)
    if told != (state.frontier.size, state.frontier.root(), state.prefix_root):
        raise Refused("audit-head", "The tree head is not one over the entries that were followed.")
