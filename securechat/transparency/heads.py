"""The signed tree head: all that a server says of its directory, in one signature.

::

    struct {
      uint16 version = 1;  opaque server_key[32];  uint64 log;  opaque vrf_key[32];  uint64 size;
      opaque log_root[32];  opaque prefix_root[32];  uint64 timestamp;  opaque signature[64];
    } TreeHead;           /* signed by the server's identity key, L = "tree head", over the fields before */
    struct { uint64 size;  opaque root[32];  opaque path[32]<V>; } Extension;
    struct { LogEntry entry;  opaque path[32]<V>; } Placed;
    struct { TreeHead head;  optional<Placed> last;  optional<Extension> extension; } HeadOffer;

The keys stand in it as in the draft's ``Configuration``: one VRF key for ever, else a name could have two
labels. ``log`` is the incarnation of the server in which this log began: a server that lost entries can't
go on with the log that had them, and begins another one in the open (``begun.py``). ``prefix_root`` is also
in the log's last entry, which comes along with its proof: the signature binds no state of the prefix tree
that the log does not. ``timestamp`` says when the head was signed; it is signed anew when nothing has
changed, so that an old one can be told from a quiet one.

An extension names the root that the log had at a smaller size, and proves it against the head's. So when that
root is not the one that this client was once shown, the two signed heads and the extension prove a fork
to anybody; without a valid extension there is only a refusal.

Judging is a table (``RULES``): each rule looks at one thing, in order, and nobody skips one. What a client
knows alone may stop it from sending; it never stops it from applying a commit (see ``membership``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from securechat.membership.signing import public_of, sign, verify
from securechat.membership.verdict import Refusal
from securechat.mls.codec import Bytes32, FixedBytes, Uint16, Uint64, WireStruct, decode, encode_before
from securechat.mls.errors import DecodeError
from securechat.transparency.entries import LogEntry, hash_of_entry
from securechat.transparency.errors import Refused, VrfRefused
from securechat.transparency.merkle import (
    EMPTY_ROOT,
    MAX_SIZE,
    ConsistencyPath,
    Frontier,
    InclusionPath,
    LogNodes,
    prove_consistency,
    prove_inclusion,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from securechat.transparency.prefix_tree import NOTHING
from securechat.transparency.vrf import check_public_key

VERSION: Final = 1
_LABEL: Final = "tree head"

MAX_AHEAD: Final = 10 * 60
MAX_BEHIND: Final = 24 * 60 * 60
"""Seconds that a head's time may be ahead of or behind one's own clock: clocks of people's machines are off
by minutes, and a server signs anew more often than once a day. (max_ahead, max_behind of the draft.)"""


MAX_OFFER: Final = 4 * 1024
"""Bytes of an encoded offer: a head, an entry and two paths of at most 41 hashes take 3.2 kB."""


class TreeHead(WireStruct, frozen=True):
    """A head as it travels; nothing is known of it yet. ``timestamp`` is seconds since 1970."""

    version: Uint16
    server_key: Bytes32
    log: Uint64
    vrf_key: Bytes32
    size: Uint64
    log_root: Bytes32
    prefix_root: Bytes32
    timestamp: Uint64
    signature: Annotated[bytes, FixedBytes(64)]


class Extension(WireStruct, frozen=True):
    """What the log's root was at a smaller size, and the consistency path from there to a head."""

    size: Uint64
    root: Bytes32
    path: ConsistencyPath


class Placed(WireStruct, frozen=True):
    """An entry, and the path that proves its place in a log; the place itself is told beside it."""

    entry: LogEntry
    path: InclusionPath

    def stands(self, position: int, head: TreeHead) -> bool:
        """Whether the log of this head has the entry at this position."""
        leaf = hash_of_entry(self.entry)
        return verify_inclusion(leaf, position, head.size, self.path, root=head.log_root)


class HeadOffer(WireStruct, frozen=True):
    """A head with what it takes to believe it: the log's last entry, and how it extends what one knows."""

    head: TreeHead
    last: Placed | None
    extension: Extension | None


@dataclass(frozen=True, slots=True)
class TrustedHead:
    """A head that ``accept_head`` has taken: what a client keeps, and what look-ups are verified against."""

    head: TreeHead
    last: Placed | None
    """The log's last entry, which names the same prefix tree; None of an empty log."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A case: a head that is offered, and what the client knows by itself."""

    offer: HeadOffer
    known: TrustedHead | None
    server_key: bytes
    now: int

    @property
    def head(self) -> TreeHead:
        return self.offer.head


class HeadRefused(Refused):
    """A head that is not taken; ``findings`` says all that was found, the gravest first."""

    def __init__(self, findings: tuple[Refusal, ...]) -> None:
        super().__init__(findings[0].rule, findings[0].text)
        self.findings = findings


def sign_head(
    key: Ed25519PrivateKey, *, log: int, vrf_key: bytes, frontier: Frontier, prefix_root: bytes, now: int
) -> TreeHead:
    """Sign the head of a log: by the server alone, and only after what it says is on the disk.

    :param log: the incarnation in which the log began
    :param vrf_key: the public VRF key, 32 bytes
    :param now: seconds since 1970; a server never signs an earlier time than it did before
    """
    unsigned = TreeHead(
        version=VERSION,
        server_key=public_of(key),
        log=log,
        vrf_key=vrf_key,
        size=frontier.size,
        log_root=frontier.root(),
        prefix_root=prefix_root,
        timestamp=now,
        signature=b"",
    )
    signature = sign(key, _LABEL, encode_before(unsigned, "signature"))
    return msgspec.structs.replace(unsigned, signature=signature)


def extend(nodes: LogNodes, size: int, head: TreeHead) -> Extension:
    """Return how a head's log extends what it was at ``size``; MisusedTree if it was never that small.

    Reads O(log n) nodes.
    """
    return Extension(size=size, root=root_of(nodes, size), path=prove_consistency(nodes, size, head.size))


def offer_head(nodes: LogNodes, head: TreeHead, last: LogEntry | None, known_size: int | None) -> HeadOffer:
    """Return what a client gets that knows a head of ``known_size``, or none. Reads O(log n) nodes.

    :param last: the log's entry at ``head.size - 1``; None if the log is empty
    """
    return HeadOffer(
        head=head,
        last=None if last is None else Placed(last, prove_inclusion(nodes, head.size - 1, head.size)),
        extension=extend(nodes, known_size, head)
        if known_size is not None and known_size < head.size
        else None,
    )


def read_offer(data: bytes) -> HeadOffer:
    """Decode an offer from the wire; Refused (``head-encoding``) if it is none or too large."""
    if len(data) > MAX_OFFER:
        raise Refused("head-encoding", f"The offer of a tree head has at most {MAX_OFFER} bytes.")
    try:
        return decode(HeadOffer, data)
    except DecodeError:
        raise Refused("head-encoding", "The offer of a tree head does not decode.") from None


def read_head(data: bytes) -> TreeHead:
    """Decode a head that somebody passes on (218 bytes); Refused (``head-encoding``) if it is none."""
    try:
        return decode(TreeHead, data)
    except DecodeError:
        raise Refused("head-encoding", "A tree head that was passed on does not decode.") from None


def is_signed(head: TreeHead, server_key: bytes) -> bool:
    """Whether a head is this server's, well-formed and signed."""
    return (
        head.version == VERSION
        and head.server_key == server_key
        and verify(server_key, _LABEL, encode_before(head, "signature"), signature=head.signature)
    )


def extends(extension: Extension, head: TreeHead) -> bool:
    """Whether an extension's path leads from its own root and size to a head's: whatever one knew before."""
    return verify_consistency(
        extension.size,
        head.size,
        extension.path,
        first_root=extension.root,
        second_root=head.log_root,
    )


def judge_head(case: Judged) -> tuple[Refusal, ...]:
    """Return every rule that an offered head breaks, in the order of ``RULES``; none if it can be believed.

    A head that is not signed by the server says nothing, so then nothing else is looked at.
    """
    found: list[Refusal] = []
    for rule, broken in RULES:
        if (text := broken(case)) is not None:
            found.append(Refusal(rule, text))
            if rule in FATAL:
                break
    return tuple(found)


def accept_head(case: Judged) -> TrustedHead:
    """Return the offered head as one to believe; it takes the place of the one that was known.

    :raises HeadRefused: it breaks a rule; what was known stays
    """
    if findings := judge_head(case):
        raise HeadRefused(findings)
    return TrustedHead(case.head, case.offer.last)


def _unknown_version(case: Judged) -> str | None:
    if case.head.version == VERSION:
        return None
    return f"The tree head has the unknown version {case.head.version}."


def _of_another_server(case: Judged) -> str | None:
    if case.head.server_key == case.server_key:
        return None
    return "The tree head names another server's key."


def _not_signed(case: Judged) -> str | None:
    return None if is_signed(case.head, case.server_key) else "The tree head is not signed by the server."


def _other_log(case: Judged) -> str | None:
    if case.known is None or case.head.log == case.known.head.log:
        return None
    return "The tree head is of another log than the one that is known."


def _bad_size(case: Judged) -> str | None:
    head = case.head
    if head.size > MAX_SIZE:
        return f"The tree head's log has more than {MAX_SIZE} entries."
    if head.size == 0 and (head.log_root, head.prefix_root) != (EMPTY_ROOT, NOTHING):
        return "The tree head says of an empty log that there is something in it."
    return None


def _bad_vrf_key(case: Judged) -> str | None:
    try:
        check_public_key(case.head.vrf_key)
    except VrfRefused as error:
        return f"The tree head's VRF key is none: {error}"
    return None


def _other_vrf_key(case: Judged) -> str | None:
    if case.known is None or case.known.head.vrf_key == case.head.vrf_key:
        return None
    return "The tree head names another VRF key than before, so that names would have other labels."


def _prefix_root(case: Judged) -> str | None:
    head, last = case.head, case.offer.last
    if head.size == 0:
        return None if last is None else "An empty log has no last entry."
    if last is None:
        return "The tree head comes without the log's last entry."
    if not last.stands(head.size - 1, head):
        return "The entry that comes with the tree head is not the log's last one."
    if last.entry.prefix_root != head.prefix_root:
        return "The tree head's prefix tree is not the one that the log's last entry names."
    return None


def _entry_after_head(case: Judged) -> str | None:
    last = case.offer.last
    if last is None or last.entry.change.timestamp <= case.head.timestamp:
        return None
    return "The log's last entry is later than the tree head over it."


def _rolled_back(case: Judged) -> str | None:
    if case.known is None or case.head.size >= case.known.head.size:
        return None
    return f"The log had {case.known.head.size} entries, and is said to have {case.head.size}."


def _forked(case: Judged) -> str | None:
    known, head, extension = case.known, case.head, case.offer.extension
    if known is None or head.size < known.head.size:
        return None
    if head.size == known.head.size:
        same = (head.log_root, head.prefix_root) == (known.head.log_root, known.head.prefix_root)
        return None if same else f"The server has signed two different logs of {head.size} entries."
    if extension is None or extension.size != known.head.size or not extends(extension, head):
        return None  # proves nothing: see _not_extended
    if extension.root == known.head.log_root:
        return None
    return "The log does not begin with what the server has signed before."


def _not_extended(case: Judged) -> str | None:
    known, head, extension = case.known, case.head, case.offer.extension
    if known is None or head.size <= known.head.size:
        return None if extension is None else "The tree head comes with an extension of nothing."
    if extension is None or extension.size != known.head.size or not extends(extension, head):
        return "The server does not prove that its log still begins with what it signed before."
    return None


def _back_in_time(case: Judged) -> str | None:
    if case.known is None:
        return None
    last, before = case.offer.last, case.known.last
    if case.head.timestamp < case.known.head.timestamp:
        return "The tree head is older than one that is known."
    if last and before and last.entry.change.timestamp < before.entry.change.timestamp:
        return "The log's last entry is older than one that stood there before it."
    return None


def _ahead(case: Judged) -> str | None:
    if case.head.timestamp <= case.now + MAX_AHEAD:
        return None
    return "The tree head is of a time that has not come yet."


def _stale(case: Judged) -> str | None:
    if case.head.timestamp >= case.now - MAX_BEHIND:
        return None
    return "The tree head is too old to say what is valid now."


RULES: Final[tuple[tuple[str, Callable[[Judged], str | None]], ...]] = (
    ("head-version", _unknown_version),
    ("head-server", _of_another_server),
    ("head-signature", _not_signed),
    ("head-other-log", _other_log),
    ("head-fork", _forked),
    ("head-rollback", _rolled_back),
    ("head-vrf-key-changed", _other_vrf_key),
    ("head-prefix-root", _prefix_root),
    ("head-not-extended", _not_extended),
    ("head-size", _bad_size),
    ("head-vrf-key", _bad_vrf_key),
    ("head-entry-time", _entry_after_head),
    ("head-back-in-time", _back_in_time),
    ("head-ahead", _ahead),
    ("head-stale", _stale),
)
"""What a head must not do, the gravest first."""

FATAL: Final = frozenset({"head-version", "head-server", "head-signature", "head-other-log"})
"""Rules after which nothing else is looked at: it is not the server's word, or not of the log one knows."""
