"""Statements that a restored server lacks, put in force again by whoever has them (N-03).

A copy that comes back knows less of an account than its people do: devices that were linked since are none,
and one that was revoked is one again. The account key has signed every step, so any device of the account may
bring them: the chain is judged as it was the first time, and ends where it ended then. What no statement
says, which password and which recovery key let somebody in, stays as the copy has it.
"""

from dataclasses import dataclass

import apsw

from securechat.membership.account import Certified, certificate_problem, step_between
from securechat.membership.identity import read_identity
from securechat.membership.statement import AccountStatement, StatementRefused, verify_statement
from securechat.membership.vault import VaultRefused, read_vault
from securechat.names import parse_client_uri
from securechat.protocol.messages import AddedDevice, OfferStatements
from securechat.server.account_rows import add_client, reissue, revoke_client
from securechat.server.backup import began_at
from securechat.server.errors import Refusal
from securechat.server.values import Caller


@dataclass(frozen=True, slots=True)
class Offered:
    """What an offer came to."""

    serial: int
    revoked: tuple[int, ...]
    """Clients (the database's ids) that are none any more."""


def apply_offer(
    db: apsw.Connection, caller: Caller, body: OfferStatements, previous: bytes, *, now: int, offered_for: int
) -> Offered | None:
    """Have the account be as the last of the statements says; None if it is so already.

    The caller keeps the statements.

    :param previous: the statement in force
    :param offered_for: seconds from a restore in which an offer is taken
    :raises Refusal: ``forbidden``: this server was not restored lately; ``stale_statement``: they do not
        follow; ``bad_request``
    """
    if body.statements[-1] == previous:
        return None
    (incarnation,) = db.execute("SELECT incarnation FROM server").fetchone() or (0,)
    began = began_at(incarnation)
    if not began or now - began >= offered_for:
        raise Refusal(
            "forbidden", "this server was not restored lately: an account is changed by its account key"
        )
    last = _followed(body, previous)
    there: dict[str, bytes] = dict(
        db.execute(
            "SELECT name, credential FROM client WHERE account = ? AND revoked IS NULL", (caller.account,)
        )
    )
    listed = {parse_client_uri(each.client).name for each in last.devices}
    known = _certified(body, last, there, listed)
    gone = tuple(revoke_client(db, caller, name, now) for name in sorted(there.keys() - listed))
    for name, each in known.items():
        if name in there:
            if there[name] != each.credential:
                reissue(db, caller, name, each.credential)
        elif not _is_anothers(db, caller, name):
            add_client(db, caller, name, each.device_key, each.credential, now)
    db.execute(
        "UPDATE account SET statement = ?, vault = coalesce(?, vault) WHERE id = ?",
        (body.statements[-1], _vault(body, last, verify_statement(previous)), caller.account),
    )
    return Offered(last.serial, gone)


def _is_anothers(db: apsw.Connection, caller: Caller, name: str) -> bool:
    """Whether somebody else took a device's id before it was back: it can't log in, the account goes on."""
    row = db.execute("SELECT account FROM client WHERE name = ?", (name,)).fetchone()
    return row is not None and row[0] != caller.account


def _followed(body: OfferStatements, previous: bytes) -> AccountStatement:
    """Follow the chain from the statement in force; return where it ends."""
    last = verify_statement(previous)
    for each in body.statements:
        try:
            last, _ = step_between(each, previous)
        except StatementRefused as refused:
            raise Refusal("stale_statement", str(refused)) from None
        previous = each
    return last


def _certified(
    body: OfferStatements, last: AccountStatement, there: dict[str, bytes], listed: set[str]
) -> dict[str, AddedDevice]:
    """Return the devices that were brought, if all are there that the server does not know as they are."""
    found = {each.client: each for each in body.devices}
    for each in found.values():
        problem = certificate_problem(Certified(each.client, each.device_key, each.credential), last)
        if problem is not None:
            raise Refusal("bad_request", problem)
    for name in listed - found.keys():
        if name not in there or read_identity(there[name]).generation < last.generation:
            raise Refusal("bad_request", "a device of the last statement has no certificate by it")
    return found


def _vault(body: OfferStatements, last: AccountStatement, before: AccountStatement) -> bytes | None:
    """Return the vault that is to be kept; None where there is none, or the copy has the one that holds."""
    if not body.vault or last.vault_serial == before.vault_serial:
        return None
    try:
        vault = read_vault(body.vault, at_least=last.vault_serial)
    except VaultRefused as refused:
        raise Refusal("bad_request", str(refused)) from None
    if vault.serial != last.vault_serial:
        raise Refusal("bad_request", "the vault is another one than the last statement says")
    return body.vault
