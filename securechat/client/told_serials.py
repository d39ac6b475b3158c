"""Statements of accounts that the server tells of and has no time to show: they are asked for again.

Nobody signed that there are such. So once it has answered what it shows counts: or a serial that it made up
would hold somebody for ever, with an honest server after it too.
"""

from typing import Final

import apsw

from securechat.client import records, statements

TOLD: Final = "statement_told "
"""What the counters begin with that have the serial that the server told of, by user."""


def note(db: apsw.Connection, user: str, serial: int) -> bool:
    """Note what the server tells of a user; whether that is news."""
    if serial <= max(statements.known_serial(db, user), newest(db, user)):
        return False
    records.set_counter(db, TOLD + user, serial)
    return True


def newest(db: apsw.Connection, user: str) -> int:
    """Return the serial that the server told of and has not shown; 0 if there is none."""
    return records.counter(db, TOLD + user)


def forget(db: apsw.Connection, user: str) -> None:
    """The server has shown what there is."""
    db.execute("DELETE FROM counter WHERE name = ?", (TOLD + user,))
