"""Recovery keys and vaults: what an account left here to be brought back with (rules.md D).

The server has the public half of a login key that the recovery key leads to, and a vault that it can't
open. To a stranger an account without either is as one that is not here (A-05).
"""

import apsw

from securechat.membership.statement import AccountStatement
from securechat.protocol.messages import GetVault, Register, ResetAccount, SealedVault
from securechat.server.errors import Refusal
from securechat.server.values import Caller


def get(db: apsw.Connection, caller: Caller, _body: GetVault) -> SealedVault:
    """Return the vault of the caller's account."""
    found = db.execute("SELECT vault FROM account WHERE id = ?", (caller.account,)).fetchone()
    if found is None or found[0] is None:
        raise Refusal("no_vault")
    return SealedVault(bytes(found[0]))


def check_first(statement: AccountStatement, body: Register | ResetAccount) -> None:
    """Check that a vault comes with its serial and a recovery key, or that there is neither.

    :raises Refusal: ``bad_request``
    """
    if len({statement.vault_serial > 0, bool(body.vault), body.recovery_key is not None}) > 1:
        raise Refusal("bad_request", "a vault comes with its serial and a recovery key, or not at all")


def put_first(db: apsw.Connection, account: int, body: Register | ResetAccount) -> None:
    """Keep what an account begins with, inside the transaction that makes it."""
    db.execute(
        "UPDATE account SET vault = ?, recovery_key = ? WHERE id = ?",
        (body.vault or None, body.recovery_key, account),
    )


def find_recovery_key(db: apsw.Connection, user: str) -> tuple[int, bytes] | None:
    """Return the account of a user who may log in, and the key that proves its recovery key."""
    found = db.execute(
        "SELECT id, recovery_key FROM account "
        "WHERE user = ? AND disabled IS NULL AND recovery_key IS NOT NULL",
        (user,),
    ).fetchone()
    return None if found is None else (int(found[0]), bytes(found[1]))
