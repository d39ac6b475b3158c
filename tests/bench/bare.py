"""The yardstick: what a stored message costs in this language when nothing else is done.

TLS 1.3, frames of four bytes of length, one INSERT per message into one table, group commit with
SQLite's WAL and synchronous=FULL, the acknowledgement after the sync, the push to the peer. No
accounts, no membership, no dedupe, no limits: a server one can't use, as fast as it can be made.

Frames: a client says ``HELLO number`` and then ``MESSAGE id, to, body``; it is told ``ACK id`` and
``PUSH sequence, body``.
"""

import asyncio
import gc
import ssl
import struct
import sys
import threading
from pathlib import Path
from queue import SimpleQueue
from typing import Final, cast

import apsw
import uvloop

HELLO: Final = 0
MESSAGE: Final = 1
ACK: Final = struct.Struct(">IBI")
PUSH: Final = struct.Struct(">IBQ")
_HEAD: Final = struct.Struct(">IBI")
_FIELDS: Final = struct.Struct(">BII")
AT_ONCE: Final = (64, 16, 4, 1)
RECORD: Final = 16 * 1024

_INSERT: Final = "INSERT INTO message VALUES "

Waiting = tuple["Connection", int, int, bytes]
"""Whose it is, its id, to whom, its body."""


class Store:
    """The thread that writes: a transaction takes what gathered while the last one ran."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[list[Waiting]] = SimpleQueue()
        self._gathered: list[Waiting] = []
        self._sequence = 0
        self.connections: dict[int, Connection] = {}
        threading.Thread(target=self._work, daemon=True).start()

    def submit(self, waiting: Waiting) -> None:
        if not self._gathered:
            self._loop.call_soon(self._hand_over)
        self._gathered.append(waiting)

    def _hand_over(self) -> None:
        self._queue.put(self._gathered)
        self._gathered = []

    def _work(self) -> None:
        db = apsw.Connection(str(self._path))
        db.pragma("journal_mode", "wal")
        db.pragma("synchronous", "FULL")
        db.execute("CREATE TABLE IF NOT EXISTS message (id INTEGER PRIMARY KEY, recipient, body)")
        texts = [(size, _INSERT + ", ".join(["(?, ?, ?)"] * size)) for size in AT_ONCE]
        last = 0
        while True:
            batch = self._queue.get()
            while not self._queue.empty():
                batch += self._queue.get()
            values: list[int | bytes] = []
            for _, _, to, body in batch:
                last += 1
                values += (last, to, body)
            db.execute("BEGIN IMMEDIATE")
            start = 0
            for size, text in texts:
                while len(values) - start >= 3 * size:
                    db.execute(text, values[start : start + 3 * size])
                    start += 3 * size
            db.execute("COMMIT")
            self._loop.call_soon_threadsafe(self._tell, batch)

    def _tell(self, batch: list[Waiting]) -> None:
        for sender, number, to, body in batch:
            self._sequence += 1
            sender.send(ACK.pack(5, 0, number))
            peer = self.connections.get(to)
            if peer is not None:
                peer.send(PUSH.pack(9 + len(body), 1, self._sequence) + body)


class Connection(asyncio.BufferedProtocol):
    """One client, over a TLS pump; what is sent in one tick leaves in one write."""

    def __init__(self, context: ssl.SSLContext, store: Store, buffer: memoryview) -> None:
        self._store = store
        self._loop = store._loop
        self._shared = buffer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._secured = False
        self._rest = b""
        self._unsent: list[bytes] = []
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, _sizehint: int) -> memoryview:
        return self._shared

    def buffer_updated(self, nbytes: int) -> None:
        self._incoming.write(self._shared[:nbytes])
        parts = []
        try:
            if not self._secured:
                self._tls.do_handshake()
                self._secured = True
            while part := self._tls.read(RECORD):
                parts.append(part)
        except ssl.SSLWantReadError:
            pass
        if self._outgoing.pending and self._transport is not None:
            self._transport.write(self._outgoing.read())
        if parts:
            self._take(b"".join(parts))

    def send(self, frame: bytes) -> None:
        if not self._unsent:
            self._loop.call_soon(self._flush)
        self._unsent.append(frame)

    def _flush(self) -> None:
        data = b"".join(self._unsent)
        self._unsent.clear()
        for start in range(0, len(data), RECORD):
            self._tls.write(data[start : start + RECORD])
        if self._transport is not None:
            self._transport.write(self._outgoing.read())

    def _take(self, data: bytes) -> None:
        data = self._rest + data if self._rest else data
        position, end, submit = 0, len(data), self._store.submit
        while end - position >= 4:
            following = position + 4 + int.from_bytes(data[position : position + 4], "big")
            if following > end:
                break
            kind, number, to = _FIELDS.unpack_from(data, position + 4)
            if kind == MESSAGE:
                submit((self, number, to, data[position + 13 : following]))
            else:
                self._store.connections[number] = self
            position = following
        self._rest = data[position:]


async def main(folder: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.options |= ssl.OP_NO_TICKET
    context.num_tickets = 0
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    store, buffer = Store(folder / "bare.db"), memoryview(bytearray(64 * 1024))
    server = await asyncio.get_running_loop().create_server(
        lambda: Connection(context, store, buffer), "127.0.0.1", 0
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    gc.freeze()
    gc.set_threshold(25_000, 20, 20)
    uvloop.run(main(Path(sys.argv[1])))
