"""Segments on their way to the server and back: files that it keeps until the account lets go of them."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from securechat.client.archive_format import ArchiveDamaged, Entry
from securechat.client.errors import ClientError, FileRefused, RefusedByServer
from securechat.content.sealed_file import SEALED_PIECE, sealed_size
from securechat.protocol.messages import Answer, FilePiece, FileStored, GetFile, PutFile, RequestBody

WINDOW: Final = 4
"""Pieces under way: as of any file."""

MAX_STANDSTILL: Final = 20
"""Times that the server may take nothing of what it is sent."""

Ask = Callable[[RequestBody], Awaitable[Answer]]


class SegmentGone(ClientError):
    """A segment is not at the server: another device has put others in its place, or the server lost it."""


async def put_segment(ask: Ask, entry: Entry, pieces: Sequence[bytes]) -> None:
    """Upload a sealed segment; raises as `put_pieces`."""
    await put_pieces(ask, entry.file, sealed_size(entry.size), pieces, kept=True)


async def get_segment(ask: Ask, entry: Entry) -> bytes:
    """Fetch a sealed segment; raises as `get_pieces`."""
    return await get_pieces(ask, entry.file, sealed_size(entry.size))


async def put_pieces(ask: Ask, file: bytes, total: int, pieces: Sequence[bytes], *, kept: bool) -> None:
    """Upload what is sealed in memory.

    :raises RefusedByServer: ``quota``: no more of it fits
    :raises FileRefused: the server would not keep it
    """
    at = standstill = 0
    while True:
        piece = pieces[at // SEALED_PIECE] if at < total else b""
        stored = await ask(PutFile(file, at, total, piece, kept=kept))
        assert isinstance(stored, FileStored)  # noqa: S101 - the connection holds answers to their kinds
        if kept and stored.expires:
            raise FileRefused("this server keeps no archive: what it is given expires")
        if stored.received == total:
            return
        standstill = standstill + 1 if stored.received <= at else 0
        if standstill > MAX_STANDSTILL or stored.received % SEALED_PIECE or stored.received > total:
            raise FileRefused("the server takes no more of the archive")
        at = stored.received


async def get_pieces(ask: Ask, file: bytes, total: int) -> bytes:
    """Fetch what was sealed in memory.

    :raises SegmentGone: the server does not have it
    :raises ArchiveDamaged: what it has is not of that size
    """
    places = range(0, total, SEALED_PIECE)
    pieces: list[bytes] = []
    try:
        for first in range(0, len(places), WINDOW):
            some = places[first : first + WINDOW]
            pieces += await asyncio.gather(*(_piece(ask, file, at, total) for at in some))
    except RefusedByServer as refused:
        if refused.code in {"no_file", "gone"}:
            raise SegmentGone("the server does not have it any more") from None
        raise
    return b"".join(pieces)


async def _piece(ask: Ask, file: bytes, at: int, total: int) -> bytes:
    piece = await ask(GetFile(file, at))
    assert isinstance(piece, FilePiece)  # noqa: S101 - the connection holds answers to their kinds
    if (piece.total, piece.offset) != (total, at):
        raise ArchiveDamaged("a segment of the archive is not what was put there")
    return piece.data
