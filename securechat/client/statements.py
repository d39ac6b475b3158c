"""Account statements as this device knows them: of everybody met, and our own (rules.md B).

What the server hands out is taken only as the next link of a chain whose last one we know; the
first link must be of the account key that is pinned. So a device that its owner never listed is
none, however it is handed out (D-03), and a revocation cannot be taken back.
"""

import hmac
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import apsw

from securechat.client.errors import UntrustedKeys
from securechat.membership.account import Step, step_between
from securechat.membership.statement import AccountStatement, StatementRefused, verify_statement
from securechat.names import parse_user_uri
from securechat.protocol.messages import Answer, GetStatements, RequestBody, Statements

MAX_PAGES: Final = 64
"""Answers that one chain may take: some 500 changes of an account since it was looked at."""

Ask = Callable[[RequestBody], Awaitable[Answer]]


def newest(db: apsw.Connection, user: str) -> AccountStatement | None:
    """Return the newest statement of a user that was taken; ``user`` is a name."""
    body = newest_bytes(db, user)
    return None if body is None else verify_statement(body)


def newest_bytes(db: apsw.Connection, user: str) -> bytes | None:
    row = db.execute("SELECT body FROM statement WHERE user = ?", (user,)).fetchone()
    return None if row is None else bytes(row[0])


def known_serial(db: apsw.Connection, user: str) -> int:
    """Return the serial of the newest statement of a user that was taken; 0 without one."""
    row = db.execute("SELECT serial FROM statement WHERE user = ?", (user,)).fetchone()
    return 0 if row is None else int(row[0])


def take(
    db: apsw.Connection, user: str, chain: Sequence[bytes], *, user_uri: str, account_key: bytes, now: int
) -> tuple[AccountStatement, tuple[Step, ...]]:
    """Take statements that follow what is known of a user, the oldest first; all of them or none.

    :param account_key: the one pinned for the user
    :returns: the newest there is now, and what each of the chain changed (the first statement of all nothing)
    :raises StatementRefused: they are not the account's, or do not follow
    """
    last = newest_bytes(db, user)
    if last is not None and not hmac.compare_digest(verify_statement(last).account_key, account_key):
        last = None  # of an account key of before: the pinned one's chain begins anew
    statement, steps = _follow(last, chain)
    if (statement.user, statement.account_key) != (user_uri.encode(), account_key):
        raise StatementRefused("The statement is of another account than the one that is known.")
    if chain:
        keep_statement(db, user, chain[-1], now=now)
    return statement, steps


def keep_statement(db: apsw.Connection, user: str, body: bytes, *, now: int = 0) -> None:
    """Store a statement that was verified, or that we made, as the newest of its user."""
    statement = verify_statement(body)
    db.execute(
        "INSERT INTO statement (user, account_key, serial, body, taken, devices) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (user) DO UPDATE SET account_key = excluded.account_key,"
        " serial = excluded.serial, body = excluded.body, taken = excluded.taken, devices = excluded.devices",
        (user, statement.account_key, statement.serial, body, now, len(statement.devices)),
    )


def listed(db: apsw.Connection) -> dict[str, int]:
    """Return how many devices each user's newest statement lists, where it is known."""
    return dict(db.execute("SELECT user, devices FROM statement WHERE devices > 0"))


def count_devices(db: apsw.Connection) -> None:
    """Count the devices of the statements that were taken before they were counted; signed as they are."""
    rows: list[Any] = db.execute("SELECT user, body FROM statement WHERE devices = 0").fetchall()
    db.executemany(
        "UPDATE statement SET devices = ? WHERE user = ?",
        [(len(verify_statement(body).devices), user) for user, body in rows],
    )


def _follow(last: bytes | None, chain: Sequence[bytes]) -> tuple[AccountStatement, tuple[Step, ...]]:
    steps: list[Step] = []
    rest = list(chain)
    if last is None:
        if not rest:
            raise StatementRefused("The account has no statement.")
        last = rest.pop(0)
        if verify_statement(last).serial != 1:
            raise StatementRefused("The account's first statement is missing.")
    for each in rest:
        _, step = step_between(each, last)
        steps.append(step)
        last = each
    return verify_statement(last), tuple(steps)


async def fetch(ask: Ask, user: str, *, after: int) -> list[bytes]:
    """Ask the server for a user's statements after a serial, the oldest first. They are not verified here.

    :raises ClientError: no connection, a refusal, or an answer without an end
    """
    found: list[bytes] = []
    for _ in range(MAX_PAGES):
        answer = await ask(GetStatements(user, after + len(found)))
        if not isinstance(answer, Statements):
            raise TypeError("the connection holds answers to their kinds")
        found += answer.statements
        if not answer.more:
            return found
        if not answer.statements:
            break
    raise UntrustedKeys(f"the server's statements of {user} have no end")


def user_of(statement: AccountStatement) -> str:
    """Return the name of a statement's user."""
    return parse_user_uri(statement.user).name
