"""Which messages expired before everybody had them, for who sent them (Q-08).

Everybody is who is in the conversation when they expire, but for the sender's own account: who came
later begins behind them, who has left is no longer waited for. A row of ``unread`` is a run of
places: all that its client sent from the first to the last expired unread. A run is gone on with while
somebody stays behind it, so there are few: a reader who comes back finds the last 30 days.
"""

from collections.abc import Iterable
from typing import Final

import apsw

from securechat.protocol.limits import MAX_UNREAD
from securechat.server.swept import ROWS, Cutoffs, Step, Swept, delete, rows_of

_LOWEST: Final = """
SELECT c.account, min(m.cursor) FROM member m JOIN client c ON c.id = m.client
WHERE m.conversation = ? AND m."end" IS NULL GROUP BY c.account ORDER BY min(m.cursor) LIMIT 2
"""
"""Who is the furthest behind, and the next account: one of the two is not the sender's."""

_GO_ON: Final = """
UPDATE unread SET last = :last, time = :now
WHERE client = :client AND conversation = :conversation AND last >= :had
"""

_BEGIN: Final = """
INSERT INTO unread (client, conversation, first, last, time)
VALUES (:client, :conversation, :first, :last, :now)
"""

_RUNS: Final = """
SELECT u.first, u.last FROM conversation g JOIN unread u ON u.client = ? AND u.conversation = g.id
WHERE g.group_id = ? ORDER BY u.first DESC LIMIT ?
"""


def note(db: apsw.Connection, conversation: int, gone: Iterable[tuple[int, int]], now: int) -> None:
    """Keep which of the messages that go now were unread.

    :param gone: places, rising, and the clients that sent what was there; all that somebody may not have
    """
    places: dict[int, list[int]] = {}
    for place, client in gone:
        places.setdefault(client, []).append(place)
    lowest = rows_of(db, _LOWEST, (conversation,)) if places else []
    for client, sent in places.items():
        ((account,),) = rows_of(db, "SELECT account FROM client WHERE id = ?", (client,))
        had = next((cursor for other, cursor in lowest if other != account), sent[-1])
        unread = [place for place in sent if place > had]
        if unread:
            run = {"first": unread[0], "last": unread[-1], "had": had, "now": now}
            _keep(db, run | {"client": client, "conversation": conversation})


def _keep(db: apsw.Connection, run: dict[str, int]) -> None:
    db.execute(_GO_ON, run)
    if not db.changes():
        db.execute(_BEGIN, run)


def forget(db: apsw.Connection, cutoffs: Cutoffs, after: int) -> Step:
    """Runs that were told for as long as commits are kept."""
    count = delete(
        db,
        "DELETE FROM unread WHERE (client, conversation, first) IN "
        "(SELECT client, conversation, first FROM unread WHERE time < ? ORDER BY time LIMIT ?)",
        (cutoffs.handshakes, ROWS),
    )
    return Step(Swept(), after if count == ROWS else None)


def has_any(db: apsw.Connection, client: int) -> bool:
    return db.execute("SELECT 1 FROM unread WHERE client = ? LIMIT 1", (client,)).fetchone() is not None


def runs(db: apsw.Connection, client: int, group: bytes) -> list[tuple[int, int]]:
    """The newest runs of a client's messages in a group, the newest first."""
    return rows_of(db, _RUNS, (client, group, MAX_UNREAD))
