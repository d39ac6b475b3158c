"""What the directory's log holds: one entry for each account statement, without a name in it.

A *label* stands for an account (draft-ietf-keytrans-protocol): the first 32 bytes of the VRF's output for the
user's URI. Each change of a label says which statement is valid from now on, by serial and SHA-256, what it
changes in words, and which change of this label came before it. So a label's changes are a chain, counted by
``revision`` (the draft's *version*, but from 1), whatever the account key or the statements' serials do.

::

    enum { account_registered(1), device_added(2), device_revoked(3), account_key_replaced(4),
           renewed(5) } Change;                                                           /* uint8 */
    struct {
      uint16 version = 1;  uint64 timestamp;  Change changes<V>;  opaque label[32];  uint32 revision;
      uint64 serial;  opaque statement_hash[32];  opaque previous[32];
    } LabelChange;                 /* previous = history of the label's last LabelChange, zeros at first */
    struct { LabelChange change;  opaque prefix_root[32]; } LogEntry;
    struct { uint64 serial;  opaque statement_hash[32];  uint32 revision;  uint64 position;
             opaque history[32]; } LabelState;   /* history = SHA-256(0x04 || the label's newest change) */

``prefix_root`` is the root of the prefix tree with this change in it: a log that is only ever added to fixes
all states the prefix tree ever had, and how each came of the one before. A statement may change several
things (who recovers an account adds a device and revokes those that are lost): ``changes`` lists them all.
"""

import hashlib
from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Final

from securechat.membership.statement import AccountStatement
from securechat.mls.codec import (
    AtMost,
    Bytes32,
    Enum8,
    Uint16,
    Uint32,
    Uint64,
    WireStruct,
    encode,
    encode_opaque,
)
from securechat.names import parse_user_uri
from securechat.transparency.merkle import hash_leaf
from securechat.transparency.vrf import VrfKey, proof_to_hash, verify

VERSION: Final = 1
MAX_REVISION: Final = 2**32 - 1

LABEL: Final = 32
"""Bytes of a label: the VRF's output, truncated as in KT_128_SHA256_Ed25519; 128 bits against collisions."""

NOTHING_BEFORE: Final = bytes(32)
"""``previous`` of a label's first change: no SHA-256 that anybody could find the bytes of."""


class Change(Enum8):
    """What a statement changes; in an entry each once, in this order."""

    ACCOUNT_REGISTERED = 1
    """The label's first statement."""
    DEVICE_ADDED = 2
    DEVICE_REVOKED = 3
    ACCOUNT_KEY_REPLACED = 4
    """Rotated or reset: the statement is signed by another account key than the last one."""
    RENEWED = 5
    """Nothing of the above: another vault, another time."""


class LabelChange(WireStruct, frozen=True):
    """One change of one label. ``timestamp`` is seconds since 1970, at the server."""

    version: Uint16
    timestamp: Uint64
    changes: Annotated[tuple[Change, ...], AtMost(len(Change))]
    label: Bytes32
    revision: Uint32
    serial: Uint64
    statement_hash: Bytes32
    previous: Bytes32


class LogEntry(WireStruct, frozen=True):
    """A leaf of the log: a change, and the prefix tree's root once it is made."""

    change: LabelChange
    prefix_root: Bytes32


class LabelState(WireStruct, frozen=True):
    """What the prefix tree says of a label: its newest statement, and where in the log that stands."""

    serial: Uint64
    statement_hash: Bytes32
    revision: Uint32
    position: Uint64
    history: Bytes32


def vrf_input(user: str) -> bytes:
    """Return alpha for a user (URI): ``opaque "securechat/1 directory label"<V>, user<V>``.

    :raises NameRefused: it is not a user's URI in its one spelling; another would have another label
    """
    parse_user_uri(user)
    return encode_opaque(b"securechat/1 directory label") + encode_opaque(user.encode())


def prove_label(key: VrfKey, user: str) -> tuple[bytes, bytes]:
    """Return a user's label and the proof of it: made once and stored (see ``vrf.py``).

    :param user: the user's URI
    :raises NameRefused: it is none
    """
    proof = key.prove(vrf_input(user))
    return proof_to_hash(proof)[:LABEL], proof


@lru_cache(maxsize=1024)  # people look the same people up at every login, and this takes some milliseconds
def verify_label(public: bytes, user: str, proof: bytes) -> bytes:
    """Return the one label that a user (URI) has under a VRF key; VrfRefused if the proof is of another."""
    return verify(public, vrf_input(user), proof)[:LABEL]


def hash_of_change(change: LabelChange) -> bytes:
    """Return SHA-256(0x04 || LabelChange): what the label's next change names as ``previous``.

    The tag keeps it apart from the hashes of the log (0x00, 0x01) and of the prefix tree (0x02, 0x03).
    """
    return hashlib.sha256(b"\x04" + encode(change)).digest()


def hash_of_entry(entry: LogEntry) -> bytes:
    """Return an entry's leaf hash in the log."""
    return hash_leaf(encode(entry))


def hash_of_statement(statement: bytes) -> bytes:
    """Return SHA-256 of an encoded statement, as the next statement names it too."""
    return hashlib.sha256(statement).digest()


def state_after(change: LabelChange, position: int) -> LabelState:
    """Return what the prefix tree says of the label once ``change`` stands at ``position`` in the log."""
    return LabelState(
        serial=change.serial,
        statement_hash=change.statement_hash,
        revision=change.revision,
        position=position,
        history=hash_of_change(change),
    )


def next_change(
    label: bytes,
    before: LabelState | None,
    *,
    changes: tuple[Change, ...],
    serial: int,
    statement_hash: bytes,
    now: int,
) -> LabelChange:
    """Return the change that follows a label's state, or its first one.

    It is not judged here: see ``flaw_of_change``.

    :param now: seconds since 1970
    """
    return LabelChange(
        version=VERSION,
        timestamp=now,
        changes=changes,
        label=label,
        revision=1 if before is None else before.revision + 1,
        serial=serial,
        statement_hash=statement_hash,
        previous=NOTHING_BEFORE if before is None else before.history,
    )


def flaw_of_change(change: LabelChange) -> str | None:
    """Return what is wrong with a change by itself, in one sentence; None if nothing is."""
    return next((text for text, is_broken in _FLAWS if is_broken(change)), None)


def _is_first(change: LabelChange) -> bool:
    return change.revision == 1


_FLAWS: Final[tuple[tuple[str, Callable[[LabelChange], bool]], ...]] = (
    ("The entry has an unknown version.", lambda change: change.version != VERSION),
    ("The entry has no revision or no serial.", lambda change: 0 in (change.revision, change.serial)),
    (
        "The entry does not list what it changes, each once and in order.",
        lambda change: not change.changes or list(change.changes) != sorted(set(change.changes)),
    ),
    (
        "A label's first entry follows none, and every other follows one.",
        lambda change: _is_first(change) != (change.previous == NOTHING_BEFORE),
    ),
    (
        "A label's first entry registers the account, and no other does.",
        lambda change: (
            (Change.ACCOUNT_REGISTERED in change.changes) != _is_first(change)
            or (_is_first(change) and len(change.changes) > 1)
        ),
    ),
    (
        "The entry says that it changes something, and nothing.",
        lambda change: Change.RENEWED in change.changes and len(change.changes) > 1,
    ),
)
"""What an entry must not be, whatever came before it."""


def flaw_of_step(change: LabelChange, before: LabelState | None) -> str | None:
    """Return why a change does not follow a label's state, in one sentence; None if it does.

    Revisions rise by one. Serials do so as well, but for a new account key, which may begin anew.
    """
    if (flaw := flaw_of_change(change)) is not None:
        return flaw
    if before is None:
        return None if change.revision == 1 else "The label has no entry that this one could follow."
    if change.revision != before.revision + 1 or change.previous != before.history:
        return "The entry does not follow the label's last one."
    if Change.ACCOUNT_KEY_REPLACED not in change.changes and change.serial != before.serial + 1:
        return "The entry's statement is not the next one."
    return None


def changes_between(previous: AccountStatement | None, statement: AccountStatement) -> tuple[Change, ...]:
    """Return what a statement changes, as its entry must list it.

    A device is its client and its key: who keeps the name and changes the key was revoked and added.

    :param previous: the account's last statement, by whatever account key; None if there was none
    """
    if previous is None:
        return (Change.ACCOUNT_REGISTERED,)
    old, new = set(previous.devices), set(statement.devices)
    found = {
        Change.DEVICE_ADDED: bool(new - old),
        Change.DEVICE_REVOKED: bool(old - new) or not set(statement.revoked) <= set(previous.revoked),
        Change.ACCOUNT_KEY_REPLACED: statement.account_key != previous.account_key,
    }
    return tuple(change for change, is_so in found.items() if is_so) or (Change.RENEWED,)
