"""What is kept of our own account for a server that was restored: its tables (see `own_account`)."""

import hashlib
from collections.abc import Iterable
from typing import Any, Final

import apsw

from securechat.membership.account import Certified, certificate_problem
from securechat.membership.statement import AccountStatement, verify_statement
from securechat.names import parse_client_uri

MOST_KEPT: Final = 32
"""Statements of ours; an offer has at most `MAX_STATEMENTS`."""


def note_statement(db: apsw.Connection, body: bytes) -> None:
    """Keep a statement of ours, in the caller's transaction; the newest of a serial holds.

    :raises StatementRefused: it is none
    """
    db.execute(
        "INSERT INTO own_statement VALUES (?, ?) ON CONFLICT (serial) DO UPDATE SET body = excluded.body",
        (verify_statement(body).serial, body),
    )


def chain_to(db: apsw.Connection, newest: bytes) -> dict[int, bytes]:
    """Return the kept statements that lead to this one without a gap, by serial."""
    rows: list[Any] = db.execute("SELECT serial, body FROM own_statement ORDER BY serial DESC").fetchall()
    chain: dict[int, bytes] = {}
    last = verify_statement(newest)
    for serial, body in rows:
        if not chain and body == newest:
            chain[serial] = body
        elif chain and serial == last.serial - 1 and hashlib.sha256(body).digest() == last.previous:
            chain[serial] = body
            last = verify_statement(body)
    return chain


def keep_to(db: apsw.Connection, newest: bytes) -> None:
    """Forget what does not lead to this statement, and what is long past."""
    kept = sorted(chain_to(db, newest))[-MOST_KEPT:]
    db.execute(
        "DELETE FROM own_statement WHERE serial < ? OR serial > ?",
        (min(kept, default=0), max(kept, default=0)),
    )


def note_devices(db: apsw.Connection, statement: AccountStatement, some: Iterable[Certified]) -> None:
    """Keep devices with the certificates that they have by our newest statement; no others stay."""
    for each in some:
        if certificate_problem(each, statement) is None:
            db.execute(
                "INSERT INTO own_device VALUES (?, ?, ?) ON CONFLICT (client)"
                " DO UPDATE SET device_key = excluded.device_key, credential = excluded.credential",
                (each.client, each.device_key, each.credential),
            )
    listed = {parse_client_uri(each.client).name for each in statement.devices}
    gone = [(client,) for (client,) in db.execute("SELECT client FROM own_device") if client not in listed]
    db.executemany("DELETE FROM own_device WHERE client = ?", gone)


def devices(db: apsw.Connection) -> list[Certified]:
    """Return the devices that are kept."""
    rows: list[Any] = db.execute(
        "SELECT client, device_key, credential FROM own_device ORDER BY client"
    ).fetchall()
    return [Certified(*row) for row in rows]


def keep_vault(db: apsw.Connection, serial: int, sealed: bytes) -> None:
    """Keep the newest vault, in the caller's transaction."""
    db.execute("DELETE FROM own_vault")
    db.execute("INSERT INTO own_vault VALUES (?, ?)", (serial, sealed))


def vault(db: apsw.Connection, serial: int) -> bytes:
    """Return the vault of this serial; empty without it."""
    row: Any = db.execute("SELECT sealed FROM own_vault WHERE serial = ?", (serial,)).fetchone()
    return b"" if row is None else bytes(row[0])
