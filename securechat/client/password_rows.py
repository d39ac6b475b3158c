"""The change of a password that is under way, as a row; what it is for stands in ``password_change.py``."""

from enum import IntEnum

import apsw
from msgspec import Struct


class Fate(IntEnum):
    """What is known of a change that was begun."""

    OPEN = 0
    """It may have been sent, and may be in force."""
    IN_FORCE = 1
    """The account's chain has it, and the profile too; the account file is left to be replaced."""
    OVERTAKEN = 2
    """Another statement is where it would be: it never holds."""


class PasswordChange(Struct, frozen=True):
    """The columns are explained in ``migrations/0024_recovery.sql``. All that is secret in it is sealed."""

    request: bytes
    statement: bytes
    login_salt: bytes
    account_key_sealed: bytes
    file_salt: bytes
    done: int = 0

    @property
    def state(self) -> Fate:
        return Fate(self.done)

    def __repr__(self) -> str:
        return f"PasswordChange({self.state.name}, ...)"  # the request has a login key


def get(db: apsw.Connection) -> PasswordChange | None:
    row = db.execute(
        "SELECT request, statement, login_salt, account_key_sealed, file_salt, done FROM password_change"
    ).fetchone()
    return None if row is None else PasswordChange(*row)


def put(db: apsw.Connection, change: PasswordChange) -> None:
    db.execute(
        "INSERT OR REPLACE INTO password_change (id, request, statement, login_salt, account_key_sealed,"
        " file_salt) VALUES (1, ?, ?, ?, ?, ?)",
        (
            change.request,
            change.statement,
            change.login_salt,
            change.account_key_sealed,
            change.file_salt,
        ),
    )


def mark(db: apsw.Connection, state: Fate) -> None:
    db.execute("UPDATE password_change SET done = ?", (int(state),))


def drop(db: apsw.Connection) -> None:
    db.execute("DELETE FROM password_change")
