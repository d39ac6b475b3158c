"""Words that are to be gone: withdrawn by their author, or because their time is over (L-04).

The row stays, with its id, so that the same message is not shown again if it comes again; its words
leave every column that held them, and SQLite overwrites what they stood in (``secure_delete``).
"""

from typing import Final

import apsw

GONE: Final = "gone"
"""The kind of a message that has disappeared."""


def withdraw(db: apsw.Connection, conversation: int, local_id: int, mimi_id: bytes) -> None:
    """Leave of a message only that it was there."""
    _blank(db, conversation, local_id, mimi_id)
    db.execute("UPDATE message SET deleted = 1, shown = 1, printed = 1 WHERE id = ?", (local_id,))


def disappear(db: apsw.Connection, conversation: int, local_id: int, mimi_id: bytes) -> None:
    """Leave of a message nothing that is shown."""
    _blank(db, conversation, local_id, mimi_id)
    db.execute(
        "UPDATE message SET deleted = 1, shown = 1, printed = 1, kind = 'gone', hidden = 1, expires = 0,"
        " code = '' WHERE id = ?",
        (local_id,),
    )
    db.execute("DELETE FROM receipt WHERE message = ?", (local_id,))


def drop_orphans(db: apsw.Connection, conversation: int) -> None:
    """Send nothing that we said about messages of ours that never left: a change would tell their words."""
    db.execute(
        "UPDATE message AS m SET state = 'refused', code = 'withdrawn', content = x''"
        " WHERE m.conversation = ? AND m.state = 'queued' AND m.sealed IS NULL AND m.own = 1 AND m.hidden = 1"
        " AND EXISTS (SELECT 1 FROM message AS t WHERE t.conversation = m.conversation"
        " AND t.mimi_id = m.about AND t.own = 1 AND t.state = 'refused')",
        (conversation,),
    )


def drop_orphans_of(db: apsw.Connection, local_id: int) -> None:
    """As above, in a message's conversation."""
    row = db.execute("SELECT conversation FROM message WHERE id = ?", (local_id,)).fetchone()
    if row is not None:
        drop_orphans(db, row[0])


def _blank(db: apsw.Connection, conversation: int, local_id: int, mimi_id: bytes) -> None:
    # What is on its way keeps its content: it may have to be sealed anew. It goes once it is sent.
    blank = "answers = '', content = CASE WHEN state = 'queued' THEN content ELSE x'' END"
    db.execute(
        f"UPDATE message SET text = '', mentions_me = 0, version = NULL, {blank} WHERE id = ?",  # noqa: S608
        (local_id,),
    )
    # Our own words about it: its changes hold them too. A withdrawal holds none, and a server that was
    # restored may need it again.
    db.execute(
        f"UPDATE message SET text = '', deleted = 1, {blank}"  # noqa: S608 (a constant)
        " WHERE conversation = ? AND about = ? AND own = 1 AND hidden = 1 AND kind <> 'withdrawal'",
        (conversation, mimi_id),
    )
    for table in ("reaction", "vote", "early_change"):
        db.execute(
            f"DELETE FROM {table} WHERE conversation = ? AND target = ?",  # noqa: S608 (our own names)
            (conversation, mimi_id),
        )
    db.execute("DELETE FROM owed_receipt WHERE message = ?", (local_id,))
