"""Distinguished sizes: the few prefix trees of a log at which everybody looks.

Comparing heads shows that two people see one log. It does not show that they see one state of a label: in one
and the same log a server could let its prefix tree say one thing after every even entry and another after
every odd one, and show each person only the heads that suit. Each such step breaks the rules
(``update.audit``), but only who follows every entry would notice.

So some sizes of the log are *distinguished*, by arithmetic on the size alone, which leaves the server no
choice:

- the owner of a label checks what its prefix tree said at every one of them;
- who was shown a label under another head checks, at the first of them that comes after, that what was
  shown has become part of the label's history there; then nothing more has to be remembered of it.

Both look at one root, and a root has one answer (``prefix_tree.py``): what one of them was shown and the
other does not know, one of the two will find. This is the draft's "distinguished log entry" and its contact
and owner monitoring, with sizes in the place of times: a window of time needs more proofs, of the entries
around it.

The distance between them grows with the log, so that of any log there are at most 1,024 for each doubling.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from securechat.mls.codec import WireStruct
from securechat.transparency import prefix_tree
from securechat.transparency.entries import LabelChange, hash_of_change
from securechat.transparency.errors import MisusedTree, Refused
from securechat.transparency.heads import Placed, TreeHead
from securechat.transparency.merkle import prove_inclusion
from securechat.transparency.prefix_tree import PrefixProof
from securechat.transparency.search import DirectoryNodes

SHORTEST: Final = 16
"""Entries between two distinguished sizes of a small log: some days of a server of a hundred people."""

_FINENESS: Final = 10
"""A log of ``2**n`` entries has distances of ``2**(n - 10)``, where that is more than the shortest."""


class Standing(WireStruct, frozen=True):
    """What the prefix tree said of a label when the log had a certain size, which is told beside it."""

    last: Placed
    prefix: PrefixProof


def distance(size: int) -> int:
    """Return how far apart the distinguished sizes are in a log of this size: a power of two."""
    return max(SHORTEST, 1 << max(0, size.bit_length() - 1 - _FINENESS))


def next_distinguished(size: int) -> int:
    """Return the smallest distinguished size that is not below ``size``, at least ``SHORTEST``."""
    step = distance(size)
    return max(step, -(-size // step) * step)


def distinguished_sizes(after: int, until: int) -> Iterator[int]:
    """Return the distinguished sizes above ``after``, up to ``until``, in order."""
    size = next_distinguished(after + 1)
    while size <= until:
        yield size
        size = next_distinguished(size + 1)


def must_stay(added: int, replaced: int) -> bool:
    """Whether a replaced node of the prefix tree is needed still: whether a distinguished root reaches it.

    :param added: the position of the entry that added the node
    :param replaced: the position of the entry that replaced it: roots of sizes above ``added``, up to this,
        reach it
    """
    return next_distinguished(added + 1) <= replaced


def prove_standing(nodes: DirectoryNodes, head: TreeHead, size: int, label: bytes) -> Standing:
    """Return what the prefix tree said of a label at ``size``, under a head. Reads O(log n) nodes.

    The store must still have what that old root reaches.

    :raises MisusedTree: the head's log never had this size, or it is empty
    :raises MissingNode: the store lacks a node
    """
    if not 0 < size <= head.size:
        raise MisusedTree(f"A log of {head.size} entries has no last entry at the size {size}.")
    last = nodes.log_entry(size - 1)
    path = prove_inclusion(nodes, size - 1, head.size)
    return Standing(Placed(last, path), prefix_tree.prove(nodes, last.prefix_root, label))


def check_standing(
    head: TreeHead,
    size: int,
    standing: Standing,
    *,
    label: bytes,
    chain: Sequence[LabelChange],
    reached: int,
) -> int:
    """Check what was said of a label at a distinguished size; return the revision that stood there.

    The owner checks every distinguished size with all its changes, who looked the label up checks the first
    that comes after with what was seen and all changes since.

    :param head: a head that was accepted, of ``size`` entries or more
    :param chain: the label's changes as one knows them, each following the one before, up to the newest
    :param reached: the revision that must stand there at least: what was seen, or what stood at the size
        before; 0 if the label may not have been there yet
    :raises Refused: ``standing-place``, ``prefix-proof``; ``standing-withdrawn``, it was behind what it must
        have reached; ``standing-unknown``, it was something that one does not know; ``standing-behind``, a
        change that had been made by then was not in it
    """
    if not 0 < size <= head.size or not standing.last.stands(size - 1, head):
        raise Refused("standing-place", f"The log's last entry at the size {size} was another.")
    entry = standing.last.entry
    state = prefix_tree.verify(entry.prefix_root, label, standing.prefix)
    revision = 0 if state is None else state.revision
    if revision < reached:
        raise Refused("standing-withdrawn", f"At the size {size} the directory had taken an entry back.")
    known = {change.revision: change for change in chain}
    if state is not None and (revision not in known or hash_of_change(known[revision]) != state.history):
        raise Refused("standing-unknown", f"At the size {size} the directory said something unknown.")
    following = known.get(revision + 1)
    if following is not None and following.timestamp < entry.change.timestamp:
        raise Refused("standing-behind", f"At the size {size} the directory left out a change.")
    return revision
