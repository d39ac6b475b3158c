"""A device comes to its account or is none any more: rows, inside the transaction of what makes it so."""

from typing import Final

import apsw

from securechat.server.errors import Refusal
from securechat.server.values import Caller

EVERYTHING: Final = 1 << 62
"""A place beyond the end of any log."""


def add_client(
    db: apsw.Connection, caller: Caller, client: str, device_key: bytes, credential: bytes, now: int
) -> None:
    if db.execute("SELECT 1 FROM client WHERE name = ?", (client,)).fetchone() is not None:
        raise Refusal("exists", "this client id is taken")
    db.execute(
        "INSERT INTO client (account, name, device_key, credential, created) VALUES (?, ?, ?, ?, ?)",
        (caller.account, client, device_key, credential, now),
    )


def revoke_client(db: apsw.Connection, caller: Caller, client: str, now: int) -> int:
    """Cut a client off: no login, no keys to add it by, nothing in its inbox (D-02).

    :returns: the database's id; 0 of one whose id somebody else took while the server did not know it
    """
    found = db.execute(
        "SELECT id FROM client WHERE name = ? AND account = ?", (client, caller.account)
    ).fetchone()
    if found is None:
        return 0
    (number,) = found
    db.execute("UPDATE client SET revoked = ? WHERE id = ?", (now, number))
    db.execute("DELETE FROM key_package WHERE client = ?", (number,))
    db.execute("DELETE FROM inbox WHERE client = ?", (number,))
    # It fetches nothing any more: what it has not read is no reason to keep anything, nor unread.
    db.execute('UPDATE member SET cursor = ? WHERE client = ? AND "end" IS NULL', (EVERYTHING, number))
    return int(number)


def reissue(db: apsw.Connection, caller: Caller, client: str, credential: bytes) -> None:
    """Give a client its new certificate. Its keys with the one of before are handed out no more."""
    own = (client, caller.account)
    db.execute("UPDATE client SET credential = ? WHERE name = ? AND account = ?", (credential, *own))
    db.execute(
        "DELETE FROM key_package WHERE claimed = 0"
        " AND client = (SELECT id FROM client WHERE name = ? AND account = ?)",
        own,
    )
