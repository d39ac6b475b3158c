"""Fetching what does not fit a frame: blobs by their hash, trees in chunks."""

import hashlib
import hmac
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from securechat.client.errors import RefusedByServer, Unreachable
from securechat.client.session import Session
from securechat.protocol.limits import MAX_BLOB
from securechat.protocol.messages import Carried, Chunk, Entry, Gap, GetBlob, GetTree

NOT_NOW: Final = frozenset({"busy", "limited", "internal", "quota"})
"""Refusals that say nothing about what was asked for: ask again later."""


async def collect(session: Session, carried: Carried) -> bytes:
    """Return the bytes that a frame carries, or names.

    :raises Unreachable: what the server gave is not what it named
    """
    if not carried.blob:
        return carried.body
    data = await _chunks(session, lambda offset: GetBlob(carried.blob, offset))
    if not hmac.compare_digest(hashlib.sha256(data).digest(), carried.blob):
        raise Unreachable("the server gave other bytes than it named")
    return data


async def tree_of(session: Session, group: bytes, epoch: int) -> bytes | None:
    """Return the ratchet tree of an epoch (its hash proves it); None if the server no longer has it."""
    try:
        return await _chunks(session, lambda offset: GetTree(group, epoch, offset))
    except RefusedByServer as refused:
        if refused.code in NOT_NOW:
            raise
        return None


async def complete(session: Session, entries: Sequence[Entry | Gap]) -> list[Entry | Gap]:
    """Return log entries with their bodies in them, up to one whose body the server does not give."""
    had: list[Entry | Gap] = []
    for entry in entries:
        if isinstance(entry, Entry) and entry.blob:
            body = await _body(session, entry)
            if body is None:
                break
            had.append(msgspec.structs.replace(entry, body=body))
        else:
            had.append(entry)
    return had


async def _body(session: Session, entry: Entry) -> bytes | None:
    try:
        return await collect(session, Carried(blob=entry.blob, size=entry.size))
    except RefusedByServer as refused:
        if refused.code in NOT_NOW:
            raise
    except Unreachable:
        pass  # not what was named: as good as nothing
    return None


async def _chunks(session: Session, ask: Callable[[int], GetBlob | GetTree]) -> bytes:
    data = bytearray()
    while True:
        answer = await session.request(ask(len(data)))
        if not isinstance(answer, Chunk) or answer.offset != len(data) or answer.total > MAX_BLOB:
            raise Unreachable("the server gave another piece than was asked for")
        data += answer.data
        if len(data) >= answer.total:
            return bytes(data)
        if not answer.data:
            raise Unreachable("the server stopped giving in the middle")
