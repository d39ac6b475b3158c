"""The change of a password that is under way, as a row; what it is for stands in ``password_change.py``."""

import apsw
from msgspec import Struct


class PasswordChange(Struct, frozen=True):
    """The columns are explained in ``migrations/0024_recovery.sql``. All that is secret in it is sealed."""

    request: bytes
    statement: bytes
    login_salt: bytes
    account_key_sealed: bytes
    file_salt: bytes
    done: int = 0

    def __repr__(self) -> str:
        return f"PasswordChange(done={self.done}, ...)"  # the request has a login key


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


def mark_done(db: apsw.Connection) -> None:
    db.execute("UPDATE password_change SET done = 1")


def drop(db: apsw.Connection) -> None:
    db.execute("DELETE FROM password_change")
