"""Telling the user of a device that the password was changed somewhere else (A-09)."""

from datetime import UTC, datetime
from typing import Final

import apsw

from securechat.client import records

COUNTER: Final = "password_changed"
"""When it was last changed, in seconds since 1970, as far as this device has told."""

EXPECTED: Final = "password_own"
"""1: this device has changed it, or is new, so that the next time that is heard of is no news."""

CODE: Final = "password_changed"


def expect(db: apsw.Connection) -> None:
    """The next change that a server names is ours."""
    records.set_counter(db, EXPECTED, 1)


def news(db: apsw.Connection, changed: int) -> str | None:
    """Return what is to be told of a change that a login names, and note it; None: there is no news."""
    known = db.execute("SELECT value FROM counter WHERE name = ?", (COUNTER,)).fetchone()
    own = records.counter(db, EXPECTED) > 0
    records.set_counter(db, COUNTER, changed)
    records.set_counter(db, EXPECTED, 0)
    if known is None or own or changed <= known[0]:
        return None
    day = datetime.fromtimestamp(changed, UTC).strftime("%Y-%m-%d %H:%M")
    return (
        f"the password of this account was changed on {day} UTC; this device opens with the one of before"
        " until you change it here too, and if it was not you, use `securechat recover` now"
    )
