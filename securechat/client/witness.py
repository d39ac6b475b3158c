"""Following every entry of a server's key log, without an account: a third party keeps it honest.

A witness asks like a stranger, so it needs nobody's leave, and the server cannot tell whom it answers. It
follows each entry with the proof of what the prefix tree said before (``update.audit``): what clients check
piece by piece, it has checked whole. What it knows is one small file: its last head, and the state after it.
"""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from msgspec import Struct

from securechat.client.errors import Disconnected, UntrustedKeys
from securechat.client.private_files import read_file, replace_file
from securechat.mls.codec import decode, encode
from securechat.mls.errors import DecodeError
from securechat.protocol.messages import (
    Answer,
    AuditLog,
    GetTreeHead,
    LogSteps,
    RequestBody,
    TreeHeadOffered,
)
from securechat.transparency.begun import check_begun, read_begun
from securechat.transparency.errors import Refused
from securechat.transparency.evidence import encode_evidence, evidence_in_head
from securechat.transparency.heads import (
    HeadRefused,
    Judged,
    Placed,
    TreeHead,
    TrustedHead,
    accept_head,
    read_offer,
)
from securechat.transparency.update import (
    EMPTY_DIRECTORY,
    AuditStep,
    DirectoryState,
    audit,
    check_audited,
)

MOST_AT_ONCE: Final = 1 << 20
"""Entries followed between two writes of the file: what a crash takes back."""

Ask = Callable[[RequestBody], Awaitable[Answer]]
A = TypeVar("A", bound=Answer)


class Witnessed(Struct, frozen=True):
    """What a witness knows of a server: its key, the last head with the log's last entry, and the state."""

    server_key: bytes
    head: bytes = b""
    last: bytes = b""
    state: bytes = b""


class Word(Struct, frozen=True):
    """What one look came to. ``before`` is the log's size at the last one; ``begun``: it is another log."""

    log: int
    size: int
    before: int
    root: bytes
    signed: int
    begun: bool = False


class CaughtByWitness(UntrustedKeys):
    """The server's log does not hold; ``evidence`` convinces anybody, and is empty where there is none."""

    def __init__(self, text: str, evidence: bytes = b"") -> None:
        super().__init__(text)
        self.evidence = evidence


def load(path: Path, server_key: bytes) -> Witnessed:
    """Read what is known of a server; nothing yet, if there is no file."""
    try:
        known = msgspec.msgpack.decode(read_file(path), type=Witnessed)
    except FileNotFoundError:
        return Witnessed(server_key)
    except msgspec.DecodeError as problem:
        raise UntrustedKeys(f"{path} is no file of a witness") from problem
    if known.server_key != server_key:
        raise UntrustedKeys(f"{path} is about a server with another key")
    return known


def save(path: Path, known: Witnessed) -> None:
    replace_file(path, msgspec.msgpack.encode(known))


async def look(ask: Ask, known: Witnessed, *, now: int) -> tuple[Witnessed, Word]:
    """Take the newest head and follow every entry up to it.

    :raises CaughtByWitness: something of it does not hold
    :raises Disconnected, RefusedByServer: it cannot be told now; nothing is known beyond before
    """
    before = _trusted(known)
    asked = GetTreeHead() if before is None else GetTreeHead(before.head.log, before.head.size)
    offered = await _ask(ask, asked, TreeHeadOffered)
    trusted, begun = _head(known.server_key, before, offered, now=now)
    follows = before is not None and not begun and known.state
    state = decode(DirectoryState, known.state) if follows else EMPTY_DIRECTORY
    state = await _follow(ask, state, trusted.head)
    last = b"" if trusted.last is None else encode(trusted.last)
    head = trusted.head
    after = Witnessed(known.server_key, encode(head), last, encode(state))
    size = before.head.size if before is not None and not begun else 0
    return after, Word(head.log, head.size, size, head.log_root, head.timestamp, begun)


async def _follow(ask: Ask, state: DirectoryState, head: TreeHead) -> DirectoryState:
    while state.frontier.size < head.size:
        told = await _ask(ask, AuditLog(head.log, state.frontier.size), LogSteps)
        if not told.steps:
            raise CaughtByWitness("the server withholds entries of its key log")
        try:
            for each in told.steps[: head.size - state.frontier.size]:
                step = decode(AuditStep, each)
                state = audit(state, step.entry, step.before)
        except (Refused, DecodeError) as problem:
            raise CaughtByWitness(f"entry {state.frontier.size} does not hold: {problem}") from problem
    try:
        check_audited(state, head)
    except Refused as refused:
        raise CaughtByWitness(str(refused)) from refused
    return state


def _head(
    server_key: bytes, before: TrustedHead | None, offered: TreeHeadOffered, *, now: int
) -> tuple[TrustedHead, bool]:
    """The head that is offered, and whether it is one of another log than before."""
    begun = False
    try:
        case = Judged(read_offer(offered.offer), before, server_key, now)
        if before is not None and case.head.log != before.head.log:
            word = read_begun(offered.begun)
            check_begun(word, before.head, log=case.head.log, server_key=server_key)
            if (evidence := evidence_in_head(case)) is not None:
                raise CaughtByWitness(
                    "the server goes on with a log that had ended", encode_evidence(evidence)
                )
            begun, case = True, Judged(case.offer, None, server_key, now)
    except Refused as refused:
        raise CaughtByWitness(str(refused)) from refused
    try:
        return accept_head(case), begun
    except HeadRefused as refused:
        evidence = evidence_in_head(case)
        raise CaughtByWitness(
            str(refused), b"" if evidence is None else encode_evidence(evidence)
        ) from refused


def _trusted(known: Witnessed) -> TrustedHead | None:
    if not known.head:
        return None
    return TrustedHead(decode(TreeHead, known.head), decode(Placed, known.last) if known.last else None)


async def _ask(ask: Ask, body: RequestBody, kind: type[A]) -> A:
    answer = await ask(body)
    if not isinstance(answer, kind):
        raise Disconnected("the connection holds answers to their kinds")
    return answer
