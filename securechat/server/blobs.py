"""What is larger than a body: uploaded in chunks, named by SHA-256, read in chunks (rules.md A).

An upload belongs to a client; the request that uses it claims it. Who may read it is decided by
what refers to it: a log entry, a Welcome or a GroupInfo that the reader may see.
"""

import hashlib
from typing import Any, Final

import apsw

from securechat.protocol.limits import MAX_BLOB, MAX_CARRIED, MAX_CHUNK
from securechat.protocol.messages import Carried, Chunk, GetBlob, PutChunk, RequestBody, Uploaded
from securechat.server.errors import Refusal
from securechat.server.values import Caller, Clock

MAX_OPEN: Final = 8
"""Uploads of a client that no request has claimed."""

KEPT_SECONDS: Final = 24 * 3600
"""How long an upload waits to be claimed."""

_READABLE: Final = """
SELECT EXISTS (SELECT 1 FROM entry e JOIN member m ON m.conversation = e.conversation
               WHERE e.blob = :blob AND m.client = :client
               AND e.sequence >= m.start AND (m."end" IS NULL OR e.sequence <= m."end"))
    OR EXISTS (SELECT 1 FROM inbox WHERE blob = :blob AND client = :client)
    OR EXISTS (SELECT 1 FROM epoch_state s JOIN member m ON m.conversation = s.conversation
               JOIN client c ON c.id = m.client
               WHERE s.blob = :blob AND m."end" IS NULL AND c.account = :account)
    OR EXISTS (SELECT 1 FROM upload WHERE name = :blob AND client = :client)
"""


_USED: Final = """
SELECT EXISTS (SELECT 1 FROM entry WHERE blob = :blob)
    OR EXISTS (SELECT 1 FROM inbox WHERE blob = :blob)
    OR EXISTS (SELECT 1 FROM epoch_state WHERE blob = :blob)
"""


class Blobs:
    def __init__(self, now: Clock) -> None:
        self._now = now

    def put_chunk(self, db: apsw.Connection, caller: Caller, body: PutChunk) -> Uploaded:
        """Append a chunk; one that does not fit where the upload stands changes nothing."""
        upload, received, total, name = self._upload(db, caller, body)
        if total != body.total:
            raise Refusal("bad_request", "an upload's total does not change")
        if name is not None or body.offset != received:
            return Uploaded(received, name or b"")
        if received + len(body.data) > total or not body.data:
            raise Refusal("bad_request", "a chunk is not empty and ends within the total")
        db.execute("INSERT INTO chunk (upload, start, data) VALUES (?, ?, ?)", (upload, received, body.data))
        received += len(body.data)
        if received == total:
            name = hashlib.sha256(_content(db, upload)).digest()
        db.execute("UPDATE upload SET received = ?, name = ? WHERE id = ?", (received, name, upload))
        return Uploaded(received, name or b"")

    def get_blob(self, db: apsw.Connection, caller: Caller, body: GetBlob) -> Chunk:
        asked = {"blob": body.blob, "client": caller.client, "account": caller.account}
        (readable,) = db.execute(_READABLE, asked).fetchone() or (0,)
        found = db.execute("SELECT id, total FROM upload WHERE name = ? LIMIT 1", (body.blob,)).fetchone()
        if not readable or found is None:
            raise Refusal("no_blob")
        upload, total = found
        return Chunk(total, body.offset, _piece(db, upload, body.offset) if body.offset < total else b"")

    def _upload(
        self, db: apsw.Connection, caller: Caller, body: PutChunk
    ) -> tuple[int, int, int, bytes | None]:
        find = "SELECT id, received, total, name FROM upload WHERE client = ? AND upload = ?"
        found = db.execute(find, (caller.client, body.upload)).fetchone()
        if found is not None:
            upload, received, total, name = found
            return upload, received, total, name
        now = self._now()
        (waiting,) = db.execute(
            "SELECT count(*) FROM upload WHERE client = ? AND claimed = 0 AND created >= ?",
            (caller.client, now - KEPT_SECONDS),
        ).fetchone() or (0,)
        if waiting >= MAX_OPEN:
            raise Refusal("quota", f"{MAX_OPEN} uploads wait to be used", retry_after=KEPT_SECONDS)
        db.execute(
            "INSERT INTO upload (client, upload, total, received, created) VALUES (?, ?, ?, 0, ?)",
            (caller.client, body.upload, body.total, now),
        )
        return db.last_insert_rowid(), 0, body.total, None


def read_carried(db: apsw.Connection, caller: Caller, carried: Carried) -> bytes:
    """The bytes of a body or of a complete upload of the caller's own.

    :raises Refusal: ``no_blob``, ``quota``, or ``bad_request`` where it is neither or both
    """
    if bool(carried.body) == bool(carried.blob):
        raise Refusal("bad_request", "exactly one of body and blob is set")
    if carried.body:
        return carried.body
    found = db.execute(
        "SELECT id, total FROM upload WHERE client = ? AND name = ?", (caller.client, carried.blob)
    ).fetchone()
    if found is None:
        raise Refusal("no_blob")
    upload, total = found
    if total != carried.size:
        raise Refusal("bad_request", "size is the blob's length")
    if total > MAX_CARRIED:
        raise Refusal("quota", f"a request carries at most {MAX_CARRIED} bytes")
    return _content(db, upload)


def claim(db: apsw.Connection, caller: Caller, carried: Carried) -> None:
    """Keep the blob that a request uses."""
    if carried.blob:
        db.execute(
            "UPDATE upload SET claimed = 1 WHERE client = ? AND name = ?", (caller.client, carried.blob)
        )
        if db.changes() == 0:
            raise Refusal("no_blob")


def let_go(db: apsw.Connection, caller: Caller, body: RequestBody) -> None:
    """A request is decided: what it carried and did not claim waits for no other."""
    carried = (getattr(body, field) for field in body.__struct_fields__)
    for name in {each.blob for each in carried if isinstance(each, Carried) and each.blob}:
        unclaimed = "SELECT id FROM upload WHERE client = ? AND name = ? AND claimed = 0"
        rows: list[Any] = db.execute(unclaimed, (caller.client, name)).fetchall()
        for (upload,) in rows:
            disown(db, upload)


def is_used(db: apsw.Connection, name: bytes) -> bool:
    """Whether a log entry, a Welcome or a GroupInfo is this blob."""
    (used,) = db.execute(_USED, {"blob": name}).fetchone() or (0,)
    return bool(used)


def disown(db: apsw.Connection, upload: int) -> None:
    """Take an upload from whoever made it: nothing finds it any more but who deletes it."""
    db.execute("UPDATE upload SET claimed = 1, name = NULL, upload = randomblob(16) WHERE id = ?", (upload,))


def cut(whole: bytes, offset: int) -> Chunk:
    """One piece of something large; past its end the piece is empty."""
    return Chunk(len(whole), offset, whole[offset : offset + MAX_CHUNK])


def _piece(db: apsw.Connection, upload: int, offset: int) -> bytes:
    """Up to ``MAX_CHUNK`` bytes from an offset on: only the rows that hold them are read."""
    rows = db.execute(
        "SELECT start, data FROM chunk WHERE upload = ?1 AND start >= "
        "(SELECT max(start) FROM chunk WHERE upload = ?1 AND start <= ?2) ORDER BY start",
        (upload, offset),
    )
    parts: list[bytes] = []
    size = 0
    for start, data in rows:
        parts.append(data[max(0, offset - start) :])
        size += len(parts[-1])
        if size >= MAX_CHUNK:
            break
    return b"".join(parts)[:MAX_CHUNK]


def _content(db: apsw.Connection, upload: int) -> bytes:
    parts = [
        data for (data,) in db.execute("SELECT data FROM chunk WHERE upload = ? ORDER BY start", (upload,))
    ]
    whole = b"".join(parts)
    if len(whole) > MAX_BLOB:
        raise Refusal("internal", "a blob is larger than blobs are")
    return whole
