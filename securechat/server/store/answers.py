"""The last answers of each client, in the order in which all clients got theirs.

Each new one goes to the table's end, so that a transaction of many clients writes a few pages and not
one for each of them. A client's row knows its last answer, and an answer the two before it from which
any other is reached: that of the name before, and that of the last name before which is a multiple of
``BLOCK``. What has been let go of ends the way. An id may be used again then, so a step counts only
where it meets the same client and a smaller name.
"""

from typing import Final

import apsw

BLOCK: Final = 32
"""Of the 1,024 that are kept none is more than 64 steps away."""

Said = tuple[bytes, bool, bytes]
"""SHA-256 of the request, whether it was refused, the answer's bytes."""

INSERT: Final = (
    "INSERT INTO answer (id, client, name, previous, block, digest, refused, body) VALUES ",
    "(?, ?, ?, ?, ?, ?, ?, ?)",
)

STANDING: Final = f"""
SELECT c.high_water, c.stored, c.answered, coalesce(iif(a.name % {BLOCK}, a.block, a.id), 0)
FROM client c LEFT JOIN answer a ON a.id = c.answered AND a.client = c.id WHERE c.id = ?
"""  # noqa: S608 - a number of ours
"""A client's name decided last, its bytes, its last answer, and its last one of a multiple of ``BLOCK``."""

_FIND: Final = f"""
WITH RECURSIVE step (id, name, previous, block) AS (
    SELECT a.id, a.name, a.previous, a.block FROM client c JOIN answer a ON a.id = c.answered
    WHERE c.id = :client AND a.client = :client
    UNION ALL
    SELECT a.id, a.name, a.previous, a.block FROM step s
    JOIN answer a ON a.id = iif((s.name - 1) / {BLOCK} * {BLOCK} >= :name, s.block, s.previous)
    WHERE s.name > :name AND a.client = :client AND a.name < s.name
)
SELECT a.digest, a.refused, a.body FROM step s JOIN answer a ON a.id = s.id WHERE s.name = :name
"""  # noqa: S608 - a number of ours


def newest(db: apsw.Connection) -> int:
    """The last answer's id; 0 where there is none."""
    (found,) = db.execute("SELECT max(id) FROM answer").fetchone() or (None,)
    return int(found or 0)


def find(db: apsw.Connection, client: int, name: int) -> Said | None:
    """What a client was told, if it still is here."""
    found = db.execute(_FIND, {"client": client, "name": name}).fetchone()
    return None if found is None else (found[0], bool(found[1]), found[2])
