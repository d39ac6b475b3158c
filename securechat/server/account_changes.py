"""An account's next statement, and everything that follows from it, in one transaction (rules.md B).

The account key signs the statement and the statement names the one before it: so a change needs no
name, a repeat finds itself done, and of two devices that change one account at once one is told
``stale_statement``. A session can ask for nothing here that the account key has not signed.
"""

import hashlib
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import apsw

from securechat.membership.account import Certified, Step, certificate_problem, step_between
from securechat.membership.statement import AccountStatement, StatementRefused, verify_statement
from securechat.names import parse_client_uri, user_uri
from securechat.protocol.frames import encode_frame
from securechat.protocol.limits import MAX_CHANGED, MAX_STATEMENTS
from securechat.protocol.messages import (
    ACCOUNTS,
    AccountChanged,
    Answer,
    ChangeAccount,
    ChangedAccount,
    ChangedAccounts,
    DeviceRow,
    Devices,
    Done,
    GetChangedAccounts,
    GetDevices,
    GetStatements,
    OfferStatements,
    RequestBody,
    ResetAccount,
    Statements,
)
from securechat.server import security_log
from securechat.server.account_offers import apply_offer
from securechat.server.account_resets import apply_reset
from securechat.server.account_rows import add_client, reissue, revoke_client
from securechat.server.errors import Refusal
from securechat.server.hub import Hub
from securechat.server.login_hash import LoginHasher
from securechat.server.rate_limit import RateLimiter, limited
from securechat.server.store.reader import Readers
from securechat.server.store.writer import Writer
from securechat.server.transparency_rows import record_statement
from securechat.server.values import Caller, Clock

_SHARING: Final = """
SELECT DISTINCT other.client FROM member mine
JOIN member other ON other.conversation = mine.conversation AND other."end" IS NULL
WHERE mine."end" IS NULL AND mine.client IN (SELECT id FROM client WHERE account = :account)
UNION SELECT id FROM client WHERE account = :account
"""
"""The clients of an account, and those that are in a group with one of them."""

_CHANGED: Final = """
SELECT newest.id, a.user, s.serial FROM (
    SELECT max(id) AS id, account FROM statement WHERE id > :after GROUP BY account
) newest JOIN statement s ON s.id = newest.id JOIN account a ON a.id = newest.account
WHERE newest.account IN (
    SELECT c.account FROM member mine
    JOIN member other ON other.conversation = mine.conversation AND other."end" IS NULL
    JOIN client c ON c.id = other.client
    WHERE mine."end" IS NULL AND mine.client = :client
    UNION SELECT :account
) ORDER BY newest.id LIMIT :most
"""

_STATEMENTS: Final = """
SELECT body FROM statement
WHERE account = :account AND serial > :after AND id >= (
    SELECT max(id) FROM statement WHERE account = :account AND serial = 1
) ORDER BY id LIMIT :most
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a change came to, for whoever must be told."""

    serial: int
    revoked: tuple[int, ...]
    """Clients (the database's ids) that are none any more."""
    is_new: bool
    others: tuple[int, ...] = ()
    """Clients that log in again, because the password changed (A-09)."""


class AccountChanges:
    def __init__(  # noqa: PLR0913 - what a change of an account goes through
        self,
        domain: str,
        hasher: LoginHasher,
        readers: Readers,
        writer: Writer,
        hub: Hub,
        now: Clock,
        end_visits: Callable[[Caller], None],
        *,
        limiter: RateLimiter,
        offered_for: int,
    ) -> None:
        """Serve nothing yet.

        :param end_visits: end the other sessions of a caller's account that have no client
        :param offered_for: seconds from a restore in which statements that the copy lacks are taken again
        """
        self._offered_for = offered_for
        self._limiter = limiter
        self._domain = domain
        self._hasher = hasher
        self._readers = readers
        self._writer = writer
        self._hub = hub
        self._now = now
        self._end_visits = end_visits
        self.answers: dict[type[RequestBody], Callable[[Caller, Any], Awaitable[Answer]]] = {
            ChangeAccount: self.change,
            OfferStatements: self.offer,
            ResetAccount: self.reset,
            GetStatements: self.statements,
        }

    async def change(self, caller: Caller, body: ChangeAccount) -> Done:
        """Put a statement in force.

        :raises Refusal: ``stale_statement``: it does not follow the one in force; ``bad_request``
        """
        login_hash = None
        if body.login is not None:
            # First without the hash: who has not the account key must not keep the pool busy (O-04).
            await self._readers.run(lambda db: self._judge(db, caller, body))
            login_hash = await self._hasher.hash(body.login.login_key)
        outcome = await self._writer.find(lambda db: self._apply(db, caller, body, login_hash))
        if not outcome.is_new:
            return Done()
        security_log.tell("account_changed", user=caller.user, revoked=len(outcome.revoked))
        for client in outcome.others:
            self._hub.end(client, "password_changed")
        if login_hash is not None:
            self._end_visits(caller)
        await self._tell(caller, outcome)
        return Done()

    async def statements(self, caller: Caller, body: GetStatements) -> Statements:
        """Show an account's statements. Who shares no group with it and asks looks it up (O-09).

        :raises Refusal: ``unknown_user``, ``limited``
        """
        known = body.user == caller.user or await self._readers.run(
            lambda db: _shares_a_group(db, caller, body.user)
        )
        if not known and (wait := self._limiter.take("look_ups", caller.account)):
            raise limited(wait)
        return await self._readers.run(lambda db: _statements(db, body))

    async def offer(self, caller: Caller, body: OfferStatements) -> Done:
        """Put statements in force again that the copy lacks from which this server was restored.

        :raises Refusal: ``forbidden``, ``stale_statement``, ``bad_request``, ``wrong_credentials``
        """
        outcome = await self._writer.find(lambda db: self._apply_offer(db, caller, body))
        if outcome.is_new:
            security_log.tell("account_offered", user=caller.user, revoked=len(outcome.revoked))
            await self._tell(caller, outcome)
        return Done()

    def _apply_offer(self, db: apsw.Connection, caller: Caller, body: OfferStatements) -> Outcome:
        previous, now = _in_force(db, caller), self._now()
        offered = apply_offer(db, caller, body, previous, now=now, offered_for=self._offered_for)
        if offered is None:
            return Outcome(0, (), is_new=False)
        for serial, statement in enumerate(body.statements, offered.serial - len(body.statements) + 1):
            record(db, caller.account, serial, statement, now)
        return Outcome(offered.serial, offered.revoked, is_new=True)

    async def reset(self, caller: Caller, body: ResetAccount) -> Done:
        """Begin an account anew under another account key (A-09).

        :raises Refusal: ``forbidden``, ``wrong_credentials``, ``bad_request``
        """
        outcome = await self._writer.find(lambda db: self._apply_reset(db, caller, body))
        if outcome.is_new:
            security_log.tell("account_reset", user=caller.user, revoked=len(outcome.revoked))
            await self._tell(caller, outcome)
        return Done()

    def _apply_reset(self, db: apsw.Connection, caller: Caller, body: ResetAccount) -> Outcome:
        gone = apply_reset(db, caller, body, domain=self._domain, now=self._now())
        if gone is None:
            return Outcome(0, (), is_new=False)
        record(db, caller.account, 1, body.statement, self._now())
        return Outcome(1, gone, is_new=True)

    async def _tell(self, caller: Caller, outcome: Outcome) -> None:
        for client in outcome.revoked:
            self._hub.end(client, "revoked")
        told = await self._readers.run(
            lambda db: [client for (client,) in db.execute(_SHARING, {"account": caller.account})]
        )
        self._hub.tell(told, encode_frame(AccountChanged(caller.user, outcome.serial)), ACCOUNTS)

    def _judge(
        self, db: apsw.Connection, caller: Caller, body: ChangeAccount
    ) -> tuple[AccountStatement, Step] | None:
        """Say what a change comes to; None if it is in force already."""
        previous = _in_force(db, caller)
        if body.statement == previous:
            if not _is_what_came_with_it(db, caller, body):
                raise Refusal("stale_statement")
            return None
        try:
            statement, step = step_between(body.statement, previous)
        except StatementRefused as refused:
            raise Refusal(_stale(body.statement, previous), str(refused)) from None
        last = verify_statement(previous)
        if statement.user != user_uri(self._domain, caller.user).encode():
            raise Refusal("bad_request", "the statement is of another account")
        if (statement.vault_serial > last.vault_serial) != bool(body.vault):
            raise Refusal("bad_request", "a vault comes exactly with a new serial of it")
        if body.recovery_key is not None and not body.vault:
            raise Refusal("bad_request", "a recovery key comes with the vault that it opens")
        _check_devices(body, statement, step)
        return statement, step

    def _apply(
        self, db: apsw.Connection, caller: Caller, body: ChangeAccount, login_hash: str | None
    ) -> Outcome:
        judged = self._judge(db, caller, body)
        if judged is None:
            return Outcome(0, (), is_new=False)
        statement, step = judged
        numbers = [revoke_client(db, caller, _named(device.client), self._now()) for device in step.gone]
        revoked = tuple(number for number in numbers if number)
        for each in body.added:
            add_client(db, caller, each.client, each.device_key, each.credential, self._now())
        for again in body.reissued:
            reissue(db, caller, again.client, again.credential)
        db.execute(
            "UPDATE account SET statement = ?, vault = coalesce(?, vault), "
            "recovery_key = coalesce(?, recovery_key) WHERE id = ?",
            (body.statement, body.vault or None, body.recovery_key or None, caller.account),
        )
        others: tuple[int, ...] = ()
        if body.login is not None and login_hash is not None:
            others = _change_password(db, caller, body.login.salt, login_hash, self._now())
        record(db, caller.account, statement.serial, body.statement, self._now())
        return Outcome(statement.serial, revoked, is_new=True, others=others)


def _change_password(
    db: apsw.Connection, caller: Caller, salt: bytes, login_hash: str, now: int
) -> tuple[int, ...]:
    """Have a new password open the account; return the other clients, whose sessions end (A-09).

    When it was set says which password it is, so two of one second differ.
    """
    db.execute(
        "UPDATE account SET salt = ?, login_hash = ?, failed_logins = 0, "
        "password_changed = max(?, password_changed + 1) WHERE id = ?",
        (salt, login_hash, now, caller.account),
    )
    rows = db.execute(
        "SELECT id FROM client WHERE account = ? AND id != ? AND revoked IS NULL",
        (caller.account, caller.client),
    )
    return tuple(client for (client,) in rows)


def record(db: apsw.Connection, account: int, serial: int, statement: bytes, now: int) -> None:
    """Keep a statement that is in force from now on; inside the transaction that puts it there.

    It gets its entry in the key log: nobody's keys change unseen.
    """
    found: Any = db.execute(
        "SELECT a.user, (SELECT body FROM statement WHERE account = a.id ORDER BY id DESC LIMIT 1) "
        "FROM account a WHERE a.id = ?",
        (account,),
    ).fetchone()
    user, previous = found
    record_statement(db, user, statement, previous, now=now)
    db.execute(
        "INSERT INTO statement (account, serial, body, time) VALUES (?, ?, ?, ?)",
        (account, serial, statement, now),
    )


def _statements(db: apsw.Connection, body: GetStatements) -> Statements:
    """Return an account's statements after a serial, of the chain that holds."""
    found = db.execute("SELECT id FROM account WHERE user = ?", (body.user,)).fetchone()
    if found is None:
        raise Refusal("unknown_user")
    asked = {"account": found[0], "after": body.after, "most": MAX_STATEMENTS + 1}
    rows = [bytes(row) for (row,) in db.execute(_STATEMENTS, asked)]
    return Statements(body.user, rows[:MAX_STATEMENTS], more=len(rows) > MAX_STATEMENTS)


def _shares_a_group(db: apsw.Connection, caller: Caller, user: str) -> bool:
    """Whether a client is in a group with somebody: by asking for them it learns nothing new."""
    found = db.execute(
        "SELECT 1 FROM account a JOIN client c ON c.account = a.id "
        'JOIN member theirs ON theirs.client = c.id AND theirs."end" IS NULL '
        'JOIN member mine ON mine.conversation = theirs.conversation AND mine."end" IS NULL '
        "WHERE a.user = ? AND mine.client = ? LIMIT 1",
        (user, caller.client),
    ).fetchone()
    return found is not None


def get_changed(db: apsw.Connection, caller: Caller, body: GetChangedAccounts) -> ChangedAccounts:
    """Return who of those in a group with the caller has a statement after a place, oldest first."""
    asked = {
        "after": body.after,
        "client": caller.client,
        "account": caller.account,
        "most": MAX_CHANGED + 1,
    }
    rows = list(db.execute(_CHANGED, asked))
    more, rows = len(rows) > MAX_CHANGED, rows[:MAX_CHANGED]
    (head,) = db.execute("SELECT coalesce(max(id), 0) FROM statement").fetchone() or (0,)
    changed = [ChangedAccount(user, serial) for _, user, serial in rows]
    return ChangedAccounts(changed, rows[-1][0] if more else head, more=more)


def get_devices(db: apsw.Connection, caller: Caller, _body: GetDevices) -> Devices:
    rows = db.execute(
        "SELECT name, device_key, credential, created, seen FROM client "
        "WHERE account = ? AND revoked IS NULL ORDER BY id",
        (caller.account,),
    )
    return Devices([DeviceRow(*row) for row in rows])


def _in_force(db: apsw.Connection, caller: Caller) -> bytes:
    """The account's statement; of a client that was revoked meanwhile nothing is taken."""
    gone = db.execute(
        "SELECT 1 FROM client WHERE id = ? AND revoked IS NOT NULL", (caller.client,)
    ).fetchone()
    found = db.execute("SELECT statement FROM account WHERE id = ?", (caller.account,)).fetchone()
    if gone is not None or found is None:
        raise Refusal("wrong_credentials")
    return bytes(found[0])


def _is_what_came_with_it(db: apsw.Connection, caller: Caller, body: ChangeAccount) -> bool:
    """Whether a repeat is one: two passwords that two devices choose in one second have one statement."""
    found = db.execute(
        "SELECT salt, vault, recovery_key FROM account WHERE id = ?", (caller.account,)
    ).fetchone()
    salt, vault, recovery_key = (None, None, None) if found is None else found
    return (
        (body.login is None or body.login.salt == salt)
        and (not body.vault or body.vault == vault)
        and (not body.recovery_key or hmac.compare_digest(body.recovery_key, recovery_key or b""))
    )


def _stale(statement: bytes, previous: bytes) -> str:
    """Whether a statement is the account's, made upon another one than that in force, or is none at all."""
    try:
        last, new = verify_statement(previous), verify_statement(statement)
    except StatementRefused:
        return "bad_request"
    of_account = (new.user, new.account_key) == (last.user, last.account_key)
    follows = new.previous == hashlib.sha256(previous).digest()
    return "stale_statement" if of_account and not follows else "bad_request"


def _check_devices(body: ChangeAccount, statement: AccountStatement, step: Step) -> None:
    added = [Certified(each.client, each.device_key, each.credential) for each in body.added]
    if sorted(_named(device.client) for device in step.added) != sorted(each.client for each in added):
        raise Refusal("bad_request", "the devices that come are not those of the statement")
    keys = {_named(device.client): device.signature_key for device in statement.devices}
    staying = keys.keys() - {each.client for each in added} if step.reissues else set()
    if sorted(staying) != sorted(each.client for each in body.reissued):
        raise Refusal(
            "bad_request", "whoever stays gets a new certificate with a new generation, and only then"
        )
    again = [Certified(each.client, keys[each.client], each.credential) for each in body.reissued]
    for each in (*added, *again):
        if (problem := certificate_problem(each, statement)) is not None:
            raise Refusal("bad_request", problem)


def _named(client: bytes) -> str:
    return parse_client_uri(client).name
