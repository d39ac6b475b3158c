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


def keep_chain(db: apsw.Connection, newest: bytes, shown: Iterable[bytes] = ()) -> None:
    """Keep our account's newest statement and what leads to it, in the caller's transaction, and no others.

    :param newest: our account's, as it was verified: it names the one before by its hash, and so on
    :param shown: what may be of this chain, whoever says so
    """
    chain = _leading_to(newest, (*_kept(db), *shown))
    db.execute("DELETE FROM own_statement")
    db.executemany("INSERT INTO own_statement VALUES (?, ?)", chain.items())


def chain_to(db: apsw.Connection, newest: bytes) -> dict[int, bytes]:
    """Return the kept statements that lead to this one without a gap, by serial; empty if it is not kept."""
    kept = _kept(db)
    return _leading_to(newest, kept) if newest in kept else {}


def _kept(db: apsw.Connection) -> list[bytes]:
    return [bytes(body) for (body,) in db.execute("SELECT body FROM own_statement")]


def _leading_to(newest: bytes, some: Iterable[bytes]) -> dict[int, bytes]:
    by_hash = {hashlib.sha256(body).digest(): body for body in some}
    last = verify_statement(newest)
    chain = {last.serial: newest}
    while len(chain) < MOST_KEPT and (body := by_hash.get(last.previous)) is not None:
        last = verify_statement(body)
        chain[last.serial] = body
    return chain


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
    """Keep the newest vault, in the caller's transaction; or, empty, that the server had none."""
    db.execute("DELETE FROM own_vault")
    db.execute("INSERT INTO own_vault VALUES (?, ?)", (serial, sealed))


def vault(db: apsw.Connection, serial: int) -> bytes | None:
    """Return the vault of this serial; empty if the server had none, None if it was not looked for."""
    row: Any = db.execute("SELECT sealed FROM own_vault WHERE serial = ?", (serial,)).fetchone()
    return None if row is None else bytes(row[0])
