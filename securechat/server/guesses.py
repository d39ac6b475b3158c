"""Wrong passwords: counted in the account, told to its owner, and at some point the end of guessing (A-06).

Whoever guesses wrong can never keep the owner out: devices that are logged in stay so, a device's own
key logs in as before, and that sets the count back. Who has neither a device nor a recovery key waits for a
day: then the count begins anew, and no further guess puts that off. What is kept here only ever adds to what
the rates refuse; to whoever asks, all of it looks like a wrong password.
"""

from dataclasses import dataclass
from typing import Final

import apsw

from securechat.server.errors import Refusal
from securechat.server.store.transaction import Transaction

MAX_GUESSES: Final = 100
"""Wrong passwords one after the other; from then on a password alone opens nothing."""

FADES: Final = 24 * 3600
"""Seconds after the last that counted: then the row is over. Beyond the hundredth none counts, so who goes on
guessing does not prolong it."""

_COUNT: Final = """
UPDATE account SET failed_untold = failed_untold + 1,
    failed_logins = CASE WHEN abs(:now - failed_at) >= :fades THEN 1
                         ELSE min(failed_logins + 1, :most) END,
    failed_at = CASE WHEN failed_logins >= :most AND abs(:now - failed_at) < :fades THEN failed_at
                     ELSE :now END
WHERE id = :account
"""


@dataclass(frozen=True, slots=True)
class Known:
    """What a password is judged by. ``account`` is 0 and ``login_hash`` None for a user who is not here."""

    account: int
    login_hash: str | None
    password_changed: int = 0
    """When it was set: says which password the hash is of."""


class WrongPassword:
    """A job that nobody waits for: the answer must not take longer for an account that exists (A-05)."""

    def __init__(self, account: int, now: int) -> None:
        self._counted = {"account": account, "now": now, "fades": FADES, "most": MAX_GUESSES}

    def run(self, transaction: Transaction) -> None:
        transaction.settle()
        transaction.db.execute(_COUNT, self._counted)

    def done(self) -> None:
        """Nobody is told."""

    def undone(self, _refusal: Refusal) -> None:
        """A guess more or less; the rates hold whatever the disk does."""


def find_known(db: apsw.Connection, user: str) -> Known:
    found = db.execute(
        "SELECT id, login_hash, password_changed FROM account WHERE user = ?", (user,)
    ).fetchone()
    return Known(0, None) if found is None else Known(*found)


def password_opens(db: apsw.Connection, known: Known, *, right: bool, now: int) -> bool:
    """Whether a password opens an account. Asked for every one that is tried, right or not (A-05).

    One that was judged while another took its place is none any more (A-09).
    """
    found = db.execute(
        "SELECT disabled, failed_logins, failed_at, password_changed FROM account WHERE id = ?",
        (known.account,),
    ).fetchone()
    disabled, failures, failed_at, changed = (None, 0, 0, 0) if found is None else found
    too_many = failures >= MAX_GUESSES and abs(now - failed_at) < FADES
    if not right or disabled is not None or too_many or changed != known.password_changed:
        return False
    forgive(db, known.account)
    return True


def forgive(db: apsw.Connection, account: int) -> bool:
    """The owner is here: what others guessed counts no more, but has to be told. Whether there was any."""
    db.execute("UPDATE account SET failed_logins = 0 WHERE id = ? AND failed_logins > 0", (account,))
    return bool(db.changes())


def untold(db: apsw.Connection, account: int) -> int:
    """Wrong passwords that the owner has not been told of."""
    found = db.execute("SELECT failed_untold FROM account WHERE id = ?", (account,)).fetchone()
    return 0 if found is None else int(found[0])


def changed_at(db: apsw.Connection, account: int) -> int:
    """When the password was last changed, in seconds since 1970; 0: never (A-09)."""
    found = db.execute("SELECT password_changed FROM account WHERE id = ?", (account,)).fetchone()
    return 0 if found is None else int(found[0])


def note_told(db: apsw.Connection, account: int, count: int) -> None:
    db.execute("UPDATE account SET failed_untold = max(0, failed_untold - ?) WHERE id = ?", (count, account))


def improve(db: apsw.Connection, known: Known, better_hash: str) -> None:
    """Keep a stronger hash of the same login key, if the weaker one is still there (A-02)."""
    db.execute(
        "UPDATE account SET login_hash = ? WHERE id = ? AND login_hash = ?",
        (better_hash, known.account, known.login_hash),
    )
