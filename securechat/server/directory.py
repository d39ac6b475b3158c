"""Key packages: left by clients, handed out once each, else the last resort (M-14)."""

from dataclasses import dataclass
from typing import Any, Final

import apsw

from securechat.errors import SecureChatError
from securechat.membership.identity import CLOCK_TOLERANCE, key_package_refusal, read_client_credential
from securechat.mls.codec import decode
from securechat.mls.errors import DecodeError
from securechat.mls.key_package import KeyPackage, is_last_resort, key_package_reference
from securechat.mls.nodes import LeafNode
from securechat.protocol.limits import MAX_KEY_PACKAGES
from securechat.protocol.messages import (
    Account,
    ClaimedKeyPackage,
    ClaimedKeyPackages,
    ClaimKeyPackages,
    CountKeyPackages,
    GetAccount,
    KeyPackageCount,
    PublishKeyPackages,
)
from securechat.server.errors import Refusal
from securechat.server.judging import leaf_owner
from securechat.server.values import Caller, Clock, Decision

CLAIMED: Final = 1
"""In the column ``claimed``: handed out, and not used yet. 0 is before that."""

USED: Final = 2
"""A commit has added its client by it."""

_COUNT = """
SELECT count(*) FILTER (WHERE last_resort = 0), count(*) FILTER (WHERE last_resort = 1)
FROM key_package WHERE client = :client AND claimed = 0 AND not_after > :now AND :suite IN (0, suite)
"""

_NEXT = """
SELECT id, body, last_resort FROM key_package
WHERE client = ? AND suite = ? AND claimed = 0 AND not_after > ?
ORDER BY last_resort, id LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class JudgedPackage:
    """A key package that may be published."""

    suite: int
    last_resort: bool
    not_after: int
    reference: bytes
    body: bytes


class Directory:
    def __init__(self, domain: str, now: Clock) -> None:
        self._domain = domain
        self._now = now

    def prepare_publish(
        self, db: apsw.Connection, caller: Caller, body: PublishKeyPackages
    ) -> tuple[JudgedPackage, ...]:
        """Check each package: valid at this time, and of the session's own client."""
        packages = [self._judge(db, caller, data, last_resort=False) for data in body.packages]
        if body.last_resort:
            packages.append(self._judge(db, caller, body.last_resort, last_resort=True))
        return tuple(packages)

    def publish(
        self,
        db: apsw.Connection,
        caller: Caller,
        body: PublishKeyPackages,
        packages: tuple[JudgedPackage, ...],
    ) -> Decision:
        now = self._now()
        db.execute(
            "DELETE FROM key_package WHERE client = ? AND not_after < ?",
            (caller.client, now - CLOCK_TOLERANCE),
        )
        fresh = self._count(db, caller).fresh + len(body.packages)
        if fresh > MAX_KEY_PACKAGES:
            raise Refusal("quota", f"a client has at most {MAX_KEY_PACKAGES} key packages waiting")
        for package in packages:
            if package.last_resort:
                db.execute(
                    "UPDATE key_package SET claimed = 1, body = x'' "
                    "WHERE client = ? AND suite = ? AND last_resort = 1 AND claimed = 0",
                    (caller.client, package.suite),
                )
            self._insert(db, caller, package)
        return Decision(self._count(db, caller))

    def count(self, db: apsw.Connection, caller: Caller, body: CountKeyPackages) -> KeyPackageCount:
        return self._count(db, caller, suite=body.suite)

    def claim(self, db: apsw.Connection, caller: Caller, body: ClaimKeyPackages) -> Decision:
        """One package per client of a user, the asking client left out."""
        now = self._now()
        account = _account(db, body.user)
        packages: list[ClaimedKeyPackage] = []
        clients: list[Any] = db.execute(
            "SELECT id, name FROM client WHERE account = ? AND id != ? AND revoked IS NULL ORDER BY id",
            (account, caller.client),
        ).fetchall()
        for client, name in clients:
            if body.clients and name not in body.clients:
                continue
            suites = (body.suite, *body.otherwise)
            tried = (db.execute(_NEXT, (client, suite, now)).fetchone() for suite in suites)
            found = next((row for row in tried if row is not None), None)
            if found is None:
                continue
            package, data, last_resort = found
            if not last_resort:
                db.execute("UPDATE key_package SET claimed = 1, body = x'' WHERE id = ?", (package,))
            packages.append(ClaimedKeyPackage(name, data))
        return Decision(ClaimedKeyPackages(body.user, packages))

    def get_account(self, db: apsw.Connection, _caller: Caller, body: GetAccount) -> Account:
        found = db.execute("SELECT statement FROM account WHERE user = ?", (body.user,)).fetchone()
        if found is None:
            raise Refusal("unknown_user")
        return Account(body.user, found[0])

    def _judge(self, db: apsw.Connection, caller: Caller, data: bytes, *, last_resort: bool) -> JudgedPackage:
        try:
            package = decode(KeyPackage, data)
            suite = package.cipher_suite
            refusal = key_package_refusal(package, domain=self._domain, suite=suite, now=self._now())
            owner = leaf_owner(package.leaf_node)
            reference = key_package_reference(package)
            marked = is_last_resort(package)
        except DecodeError:
            raise Refusal("bad_request", "a key package does not decode") from None
        except SecureChatError as error:
            raise Refusal("bad_request", str(error)) from None
        lifetime = package.leaf_node.lifetime
        if refusal is not None or lifetime is None:
            raise Refusal("bad_request", refusal or "a key package has a lifetime")
        if owner != (caller.user, caller.name):
            raise Refusal("forbidden", "a client publishes its own key packages")
        if registered_client(db, package.leaf_node) is None:
            raise Refusal("bad_request", "a key package carries the keys of its registration")
        if marked != last_resort:
            raise Refusal("bad_request", "a last resort is marked as one, and nothing else is")
        return JudgedPackage(suite, last_resort, lifetime.not_after, reference, data)

    def _insert(self, db: apsw.Connection, caller: Caller, package: JudgedPackage) -> None:
        known = db.execute("SELECT 1 FROM key_package WHERE reference = ?", (package.reference,)).fetchone()
        if known is not None:
            raise Refusal("exists", "this key package was published before")
        db.execute(
            "INSERT INTO key_package (client, suite, last_resort, not_after, reference, body) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (
                caller.client,
                package.suite,
                package.last_resort,
                package.not_after,
                package.reference,
                package.body,
            ),
        )

    def _count(self, db: apsw.Connection, caller: Caller, *, suite: int = 0) -> KeyPackageCount:
        asked = {"client": caller.client, "now": self._now(), "suite": suite}
        fresh, last_resort = db.execute(_COUNT, asked).fetchone() or (0, 0)
        return KeyPackageCount(fresh, last_resort=last_resort > 0)


def registered_client(db: apsw.Connection, leaf: LeafNode) -> int | None:
    """The client of a leaf, if it is registered here with this leaf's keys.

    By its names alone anybody could make a leaf of somebody, whom others would then meet as such:
    a credential proves that one account key speaks for a client, not that it is the account's.
    """
    credential = read_client_credential(leaf)
    found = db.execute(
        "SELECT c.id, a.account_key, c.device_key FROM client c JOIN account a ON a.id = c.account "
        "WHERE c.name = ? AND a.user = ? AND c.revoked IS NULL",
        (credential.client_id, credential.user_name),
    ).fetchone()
    if found is None:
        return None
    client, account_key, device_key = found
    return client if credential.descends_from(account_key) and leaf.signature_key == device_key else None


def take_claimed(db: apsw.Connection, client: int, package: KeyPackage) -> bool:
    """Use up a key package that this server handed out for a client; whether it could be.

    One that was claimed opens one commit, a last resort as many as come; what was never claimed, or is
    of another client, none. So nobody is added by keys that lie elsewhere or lay here long ago (M-14).
    """
    reference = key_package_reference(package)
    found = db.execute(
        "SELECT id, last_resort FROM key_package WHERE reference = ? AND client = ?", (reference, client)
    ).fetchone()
    if found is None:
        return False
    row, last_resort = found
    if last_resort:
        return True
    db.execute("UPDATE key_package SET claimed = ? WHERE id = ? AND claimed = ?", (USED, row, CLAIMED))
    return db.changes() == 1


def _account(db: apsw.Connection, user: str) -> int:
    found = db.execute("SELECT id FROM account WHERE user = ?", (user,)).fetchone()
    if found is None:
        raise Refusal("unknown_user")
    (account,) = found
    return int(account)
