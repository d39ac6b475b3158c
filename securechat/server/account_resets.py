"""An account that begins anew: its password is known, and neither device nor recovery key is left (A-09).

Nobody who holds the old account key has signed this, so everybody who knew it sees another one: that is for
them to judge. What was sealed for the old one goes, as nobody can open it any more.
"""

import hmac

import apsw

from securechat.membership.account import Certified, certificate_problem
from securechat.membership.statement import AccountStatement, Device, StatementRefused, verify_statement
from securechat.names import client_uri, user_uri
from securechat.protocol.messages import ResetAccount
from securechat.server.account_rows import add_client, revoke_client
from securechat.server.errors import Refusal
from securechat.server.values import Caller
from securechat.server.vaults import check_first, put_first


def apply_reset(
    db: apsw.Connection, caller: Caller, body: ResetAccount, *, domain: str, now: int
) -> tuple[int, ...] | None:
    """Put a new account key in the place of the old.

    Returns the clients (the database's ids) that are none any more; None if it was done before.

    :raises Refusal: ``forbidden`` for a device that is logged in: it has the account; ``wrong_credentials``
        for who has not proven the password that holds now; ``bad_request``
    """
    if caller.client:
        raise Refusal("forbidden", "an account is begun anew by who has lost all of its devices")
    found = db.execute(
        "SELECT statement, account_key, password_changed FROM account WHERE id = ?", (caller.account,)
    ).fetchone()
    # A session may have been opened before the password changed: by whom it was changed against.
    if found is None or caller.by_recovery or found[2] != caller.password_changed:
        raise Refusal("wrong_credentials")
    previous, old_key, _ = found
    if previous == body.statement:
        return None
    statement = _judged(body, caller, domain)
    if hmac.compare_digest(statement.account_key, old_key):
        raise Refusal("bad_request", "the account key is the one of before")
    there = db.execute(
        "SELECT name FROM client WHERE account = ? AND revoked IS NULL ORDER BY id", (caller.account,)
    ).fetchall()
    gone = tuple(revoke_client(db, caller, str(name), now) for (name,) in there)
    device = body.device
    add_client(db, caller, device.client, device.device_key, device.credential, now)
    db.execute("DELETE FROM box WHERE account = ?", (caller.account,))
    # The archive was listed in one of them, and nobody has its keys.
    db.execute("UPDATE file SET going = 1 WHERE account = ? AND kept = 1", (caller.account,))
    db.execute(
        "UPDATE account SET statement = ?, account_key = ? WHERE id = ?",
        (body.statement, statement.account_key, caller.account),
    )
    put_first(db, caller.account, body)
    return gone


def _judged(body: ResetAccount, caller: Caller, domain: str) -> AccountStatement:
    """The first statement of the new chain, if it is one and lists this device alone."""
    try:
        statement = verify_statement(body.statement)
    except StatementRefused as refused:
        raise Refusal("bad_request", str(refused)) from None
    device = Device(client_uri(domain, body.device.client).encode(), body.device.device_key)
    certified = Certified(body.device.client, body.device.device_key, body.device.credential)
    if (statement.user, statement.serial) != (user_uri(domain, caller.user).encode(), 1):
        raise Refusal("bad_request", "the statement is not the account's first")
    if statement.devices != (device,) or statement.revoked:
        raise Refusal("bad_request", "the statement names other devices")
    problem = certificate_problem(certified, statement)
    if problem is not None:
        raise Refusal("bad_request", problem)
    check_first(statement, body)
    return statement
