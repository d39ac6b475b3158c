"""Wrong passwords: counted in the account, told to its owner, and at some point the end of guessing (A-06).

Whoever guesses wrong can never keep the owner out: devices that are logged in stay so, a device's own
key logs in as before, and that sets the count back. What is kept here only ever adds to what the
rates refuse; to whoever asks, all of it looks like a wrong password.
"""

from dataclasses import dataclass
from typing import Final

import apsw

from securechat.server.errors import Refusal
from securechat.server.store.transaction import Transaction

MAX_GUESSES: Final = 100
"""Wrong passwords one after the other; from then on a password alone opens nothing."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a password is judged by. ``account`` is 0 and ``login_hash`` None for a user who is not here."""

    account: int
    login_hash: str | None
    password_changed: int = 0
    """When it was set: says which password the hash is of."""


class WrongPassword:
    """A job that nobody waits for: the answer must not take longer for an account that exists (A-05)."""

    def __init__(self, account: int) -> None:
        self._account = account

    def run(self, transaction: Transaction) -> None:
        transaction.settle()
        transaction.db.execute(
            "UPDATE account SET failed_logins = failed_logins + 1, failed_untold = failed_untold + 1 "
            "WHERE id = ?",
            (self._account,),
        )

    def done(self) -> None:
        """Nobody is told."""

    def undone(self, _refusal: Refusal) -> None:
        """A guess more or less; the rates hold whatever the disk does."""


def find_known(db: apsw.Connection, user: str) -> Known:
    found = db.execute(
        "SELECT id, login_hash, password_changed FROM account WHERE user = ?", (user,)
    ).fetchone()
    return Known(0, None) if found is None else Known(*found)


def password_opens(db: apsw.Connection, known: Known, *, right: bool) -> bool:
    """Whether a password opens an account. Asked for every one that is tried, right or not (A-05).

    One that was judged while another took its place is none any more (A-09).
    """
    found = db.execute(
        "SELECT disabled, failed_logins, password_changed FROM account WHERE id = ?", (known.account,)
    ).fetchone()
    disabled, failures, changed = (None, 0, 0) if found is None else found
    if not right or disabled is not None or failures >= MAX_GUESSES or changed != known.password_changed:
        return False
    forgive(db, known.account)
    return True


def forgive(db: apsw.Connection, account: int) -> None:
    """The owner is here: what others guessed counts no more. It still has to be told."""
    db.execute("UPDATE account SET failed_logins = 0 WHERE id = ? AND failed_logins > 0", (account,))


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
