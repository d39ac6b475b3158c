"""Searching a label: what the server answers, and how a client comes to believe it.

::

    struct { opaque vrf_proof[80];  PrefixProof prefix;  optional<Placed> newest;
             LabelChange since<V>; } SearchAnswer;

Four links, each of which is verified, from the name to the statement (``verify_search``):

1. the VRF proof: this user has this one label, and no other;
2. the prefix proof: under the head's prefix root the label has this one state, or none;
3. inclusion: the entry that made this state stands in the head's log, for good;
4. ``since``: the label's changes after the one that this client saw last, each naming the one before.

The fourth is the draft's contact monitoring: a server that showed somebody a false statement and
then took it back can't chain its next answer to it. The head itself was believed before (``accept_head``).
"""

import hmac
from dataclasses import dataclass
from typing import Annotated, Final, Protocol

from securechat.mls.codec import AtMost, FixedBytes, WireStruct, decode
from securechat.mls.errors import DecodeError
from securechat.transparency import prefix_tree
from securechat.transparency.entries import (
    LabelChange,
    LabelState,
    LogEntry,
    flaw_of_change,
    flaw_of_step,
    hash_of_statement,
    state_after,
    verify_label,
)
from securechat.transparency.errors import Refused, VrfRefused
from securechat.transparency.heads import Placed, TreeHead, TrustedHead
from securechat.transparency.merkle import LogNodes, prove_inclusion
from securechat.transparency.prefix_tree import PrefixNodes, PrefixProof
from securechat.transparency.vrf import PROOF

MAX_SINCE: Final = 256
"""Changes of one label in one answer: ten devices that come and go for years. Longer histories come in parts
(``follow``)."""

MAX_ANSWER: Final = 64 * 1024
"""Bytes of an answer: ``MAX_SINCE`` changes take 36 kB, everything else at most 10."""


class SearchAnswer(WireStruct, frozen=True):
    """What a server answers to the search of a label, under a head that the client has taken."""

    vrf_proof: Annotated[bytes, FixedBytes(PROOF)]
    prefix: PrefixProof
    newest: Placed | None
    since: Annotated[tuple[LabelChange, ...], AtMost(MAX_SINCE)]


@dataclass(frozen=True, slots=True)
class Seen:
    """How far a client has followed a label: its next answer must begin there.

    ``state.position`` is where the newest entry that it saw *proven* stands, so the next one stands not
    before it.
    """

    label: bytes
    state: LabelState


@dataclass(frozen=True, slots=True)
class Found:
    """What a directory proves of a user: kept by the client, as what it has seen of this label.

    The head, the entry and its path are what it takes to accuse the server should it ever say otherwise.
    """

    head: TreeHead
    label: bytes
    state: LabelState
    placed: Placed
    since: tuple[LabelChange, ...]
    """The changes after what was seen before, the newest last: none if nothing was, or nothing changed."""

    @property
    def seen(self) -> Seen:
        return Seen(self.label, self.state)

    def names(self, statement: bytes) -> bool:
        """Whether this is the statement (encoded) that the directory says is valid."""
        return hmac.compare_digest(hash_of_statement(statement), self.state.statement_hash)


@dataclass(frozen=True, slots=True)
class Absent:
    """The directory proves that it has no entry of a user."""

    head: TreeHead
    label: bytes
    prefix: PrefixProof


class DirectoryNodes(LogNodes, PrefixNodes, Protocol):
    """Where a directory is kept: both trees' nodes, and the log's entries by their place."""

    def log_entry(self, position: int) -> LogEntry:
        """Return a stored entry; MissingNode if it was never stored."""


def answer_search(
    nodes: DirectoryNodes,
    head: TreeHead,
    label: bytes,
    *,
    vrf_proof: bytes,
    since: tuple[LabelChange, ...] = (),
) -> SearchAnswer:
    """Return the server's answer under a head it has signed. Reads O(log n) nodes of both trees.

    :param vrf_proof: the label's stored proof, see ``entries.prove_label``
    :param since: the label's changes after the revision that the client says it has seen, up to the newest
        under this head, oldest first
    :raises MissingNode: the store lacks a node or an entry
    """
    place = prefix_tree.find(nodes, head.prefix_root, label)
    if place.state is None:
        return SearchAnswer(vrf_proof=vrf_proof, prefix=place.proof, newest=None, since=())
    position = place.state.position
    newest = Placed(nodes.log_entry(position), prove_inclusion(nodes, position, head.size))
    return SearchAnswer(vrf_proof=vrf_proof, prefix=place.proof, newest=newest, since=since)


def read_answer(data: bytes) -> SearchAnswer:
    """Decode an answer from the wire; Refused (``answer-encoding``) if it is none or too large."""
    if len(data) > MAX_ANSWER:
        raise Refused("answer-encoding", f"A directory's answer has at most {MAX_ANSWER} bytes.")
    try:
        return decode(SearchAnswer, data)
    except DecodeError:
        raise Refused("answer-encoding", "The directory's answer does not decode.") from None


def verify_search(
    trusted: TrustedHead, user: str, answer: SearchAnswer, *, seen: Seen | None = None
) -> Found | Absent:
    """Return what an answer proves of a user (URI) under a head that was accepted.

    The statement itself is not looked at: who has it asks ``Found.names``.

    :param seen: what this client saw of the user last, under this head or an earlier one. Without it the
        answer has no ``since``, or all changes of the label from its first on
    :raises Refused: a link does not hold: ``label-proof``, ``prefix-proof``, ``entry-missing``,
        ``entry-extra``, ``entry-place``, ``entry-flaw``, ``entry-state``, ``entry-time``,
        ``history-withdrawn``, ``history-rewritten``, ``history-gap``
    """
    head = trusted.head
    try:
        label = verify_label(head.vrf_key, user, answer.vrf_proof)
    except VrfRefused as error:
        raise Refused("label-proof", f"The directory does not prove the user's label: {error}") from None
    if seen is not None and seen.label != label:
        raise Refused("label-proof", "The user had another label before.")
    state = prefix_tree.verify(head.prefix_root, label, answer.prefix)
    if state is None:
        if answer.newest is not None or answer.since:
            raise Refused("entry-extra", "The directory says that there is no entry, and shows one.")
        if seen is not None:
            raise Refused("history-withdrawn", "The directory has no entry of the user any more.")
        return Absent(head, label, answer.prefix)
    if answer.newest is None:
        raise Refused("entry-missing", "The directory does not show the entry it speaks of.")
    _check_entry(head, label, state, answer.newest)
    _check_history(label, state, answer.since, seen)
    return Found(head, label, state, answer.newest, answer.since)


def _check_entry(head: TreeHead, label: bytes, state: LabelState, placed: Placed) -> None:
    """Link 3: the entry stands where the state says, and makes this state of this label."""
    change = placed.entry.change
    if not placed.stands(state.position, head):
        raise Refused("entry-place", "The entry does not stand in the log where the directory says.")
    if (flaw := flaw_of_change(change)) is not None:
        raise Refused("entry-flaw", flaw)
    if change.label != label or state_after(change, state.position) != state:
        raise Refused("entry-state", "The entry in the log is not the one that the prefix tree speaks of.")
    if change.timestamp > head.timestamp:
        raise Refused("entry-time", "The entry is later than the tree head over it.")


def follow(label: bytes, seen: Seen | None, changes: tuple[LabelChange, ...]) -> Seen:
    """Return how far these changes lead from what was seen (None: from the label's first).

    Nothing is proven yet, but the newest of them names all before: so a long history may come in parts, each
    followed, and the answer after them proves the whole.

    :raises Refused: ``history-rewritten``, a change is not the next one
    """
    at = None if seen is None else seen.state
    position = 0 if at is None else at.position
    for change in changes:
        flaw = flaw_of_step(change, at) if change.label == label else "A change is of another label."
        if flaw is not None:
            raise Refused("history-rewritten", f"The entries do not follow what was seen: {flaw}")
        at = state_after(change, position)
    if at is None:
        raise Refused("history-gap", "Nothing was seen, and nothing is told.")
    return Seen(label, at)


def _check_history(
    label: bytes, state: LabelState, since: tuple[LabelChange, ...], seen: Seen | None
) -> None:
    """Link 4: from what was seen to the newest, each change follows the one before and none is missing."""
    if seen is None and not since:
        return
    if seen is not None and state.revision < seen.state.revision:
        raise Refused("history-withdrawn", "The directory has taken an entry of the user back.")
    if seen is not None and state.position < seen.state.position:
        raise Refused("history-rewritten", "The user's newest entry stands before one that was seen.")
    told = follow(label, seen, since).state
    if told.revision != state.revision:
        raise Refused("history-gap", "The directory does not tell every change since the last one seen.")
    if told.history != state.history:
        raise Refused(
            "history-rewritten", "The directory has two entries of the user with the same revision."
        )
