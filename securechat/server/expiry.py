"""What goes, and in which order: one bounded step after the other (rules.md A, Retention).

Every step is one transaction and leaves a state like any other. What refers to something goes
before it: Welcomes before the old trees they pin, entries before the blobs they name.
"""

from typing import Final

import apsw

from securechat.protocol.limits import ANSWERS_KEPT
from securechat.server import attachment_rows, blobs, unread
from securechat.server.log_expiry import conversations, handshakes
from securechat.server.store.answers import newest
from securechat.server.swept import LOOKED_AT, ROWS, Cutoffs, Job, Step, Swept, delete, rows_of

BLOB_BYTES: Final = 512 * 1024
"""Of blobs, in one step; of small chunks ``ROWS``."""

_CHUNKS: Final = """
DELETE FROM chunk WHERE id IN
(SELECT id FROM chunk WHERE upload = ?1 AND start < (SELECT min(start) FROM chunk WHERE upload = ?1) + ?2
 ORDER BY start LIMIT ?3)
"""

PAGES: Final = 256
"""Handed back to the file system in one step: 1 MiB."""

SPARE_PAGES: Final = 4_096
"""Free pages that are kept for what comes next: 16 MiB, or an eighth of the file."""

ANSWER_ROWS: Final = 2_000
"""Answers of a step: they lie side by side, twenty on a page."""

ANSWERS_LOOKED_AT: Final = 50_000
"""Answers a round may look at though none has come: some 50 ms."""

_OLD_ANSWERS: Final = f"""
DELETE FROM answer WHERE id > ? AND id <= ? AND EXISTS (
    SELECT 1 FROM client c WHERE c.id = answer.client
    AND (answer.name <= c.high_water - {ANSWERS_KEPT} OR (c.seen > 0 AND c.seen < ?)))
"""  # noqa: S608 - a number of ours


def key_packages(db: apsw.Connection, cutoffs: Cutoffs, after: int) -> Step:
    """Those that may neither be published nor used any more, so nobody has to know them."""
    count = delete(
        db,
        "DELETE FROM key_package WHERE id IN "
        "(SELECT id FROM key_package WHERE not_after < ? ORDER BY not_after LIMIT ?)",
        (cutoffs.key_packages, ROWS),
    )
    return Step(Swept(key_packages=count), after if count == ROWS else None)


def welcomes(db: apsw.Connection, cutoffs: Cutoffs, after: int) -> Step:
    """Those that nobody took; the client sees from its inbox's numbers that one is missing."""
    count = delete(
        db,
        "DELETE FROM inbox WHERE id IN (SELECT id FROM inbox WHERE time < ? ORDER BY time LIMIT ?)",
        (cutoffs.welcomes, ROWS),
    )
    return Step(Swept(welcomes=count), after if count == ROWS else None)


def open_uploads(db: apsw.Connection, cutoffs: Cutoffs, after: int) -> Step:
    """Uploads that no request came for: from here on they are nobody's."""
    found = rows_of(
        db,
        "SELECT id FROM upload WHERE claimed = 0 AND created < ? ORDER BY created LIMIT ?",
        (cutoffs.uploads, ROWS),
    )
    for (upload,) in found:
        blobs.disown(db, upload)
    return Step(Swept(), after if len(found) == ROWS else None)


def uploads(db: apsw.Connection, _cutoffs: Cutoffs, after: int) -> Step:
    """Blobs that nothing refers to any more, chunk by chunk."""
    rows_left, bytes_left = ROWS, BLOB_BYTES
    count = 0
    rows = rows_of(
        db,
        "SELECT id, name, claimed, received FROM upload WHERE id > ? ORDER BY id LIMIT ?",
        (after, LOOKED_AT),
    )
    for upload, name, claimed, received in rows:
        if not claimed or (name is not None and blobs.is_used(db, name)):
            after = upload
            continue
        if name is not None:
            blobs.disown(db, upload)
        rows_left -= delete(db, _CHUNKS, (upload, bytes_left, rows_left))
        bytes_left -= received
        if rows_left <= 0 or db.execute("SELECT 1 FROM chunk WHERE upload = ? LIMIT 1", (upload,)).fetchone():
            return Step(Swept(uploads=count), after)
        count += delete(db, "DELETE FROM upload WHERE id = ?", (upload,))
        after = upload
        if bytes_left <= 0:
            return Step(Swept(uploads=count), after)
    return Step(Swept(uploads=count), after if len(rows) == LOOKED_AT else None)


def answers(db: apsw.Connection, cutoffs: Cutoffs, after: int) -> Step:
    """What clients were told before their last answers, or have not come for as long as commits are kept.

    Most of a large table stays, so a round begins where the last one ended, and looks at twice what
    has come since and a little more. ``after`` is how many it may still look at.
    """
    place, head = db.execute("SELECT place, head FROM answer_sweep").fetchone() or (0, 0)
    last = newest(db)
    left = after or ANSWERS_LOOKED_AT + 2 * max(0, last - head)
    limit = min(left, ANSWER_ROWS)
    looked, until = db.execute(
        "SELECT count(*), coalesce(max(id), 0) FROM (SELECT id FROM answer WHERE id > ? ORDER BY id LIMIT ?)",
        (place, limit),
    ).fetchone() or (0, 0)
    count = delete(db, _OLD_ANSWERS, (place, int(until), cutoffs.answers))
    at_end = looked < limit
    following = 0 if at_end else int(until)
    if following != place:
        db.execute("UPDATE answer_sweep SET place = ?, head = ?", (following, last))
    return Step(Swept(answers=count), None if at_end or left == looked else left - looked)


def pages(db: apsw.Connection, _cutoffs: Cutoffs, after: int) -> Step:
    """Give back what a flood left behind; some stays free for what comes next."""
    free, total = int(db.pragma("freelist_count")), int(db.pragma("page_count"))
    surplus = free - max(SPARE_PAGES, total // 8)
    if surplus <= 0:
        return Step(Swept(), None)
    db.execute(f"PRAGMA incremental_vacuum({min(surplus, PAGES)})").fetchall()
    given = total - int(db.pragma("page_count"))
    return Step(Swept(pages=given), after if given else None)


JOBS: Final[tuple[Job, ...]] = (
    key_packages,
    welcomes,
    handshakes,
    conversations,
    unread.forget,
    open_uploads,
    uploads,
    attachment_rows.expired,
    answers,
    pages,
)
"""One round, in this order."""
