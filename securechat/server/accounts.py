"""Accounts and who may log in to them (rules.md B).

Every proof is a signature over LoginTBS: this domain, this connection's certificate and nonces from
both sides. Unknown users, wrong passwords and unknown devices get the same bytes after the same
work (A-05).
"""

import contextlib
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import apsw

from securechat.membership.identity import certificate_holds, read_identity
from securechat.membership.login import Purpose, login_to_sign
from securechat.membership.passwords import PARAMETERS, SALT_BYTES
from securechat.membership.signing import new_key, public_of, verify_signed
from securechat.membership.statement import verify_statement
from securechat.names import NameRefused, client_uri, fold_user, user_uri
from securechat.protocol.messages import (
    LogIn,
    LogInForRecovery,
    LogInWithPassword,
    PasswordParameters,
    PasswordSalt,
    Register,
)
from securechat.server import security_log
from securechat.server.account_changes import record
from securechat.server.config import Registration
from securechat.server.errors import Refusal
from securechat.server.guesses import (
    WrongPassword,
    changed_at,
    find_known,
    forgive,
    improve,
    password_opens,
    untold,
)
from securechat.server.identity import ServerIdentity
from securechat.server.invites import find_invite, use_invite
from securechat.server.judging import told_as
from securechat.server.login_hash import LoginHasher
from securechat.server.store.reader import Readers
from securechat.server.store.writer import Writer
from securechat.server.transparency_rows import prepare_label
from securechat.server.values import Caller, Clock
from securechat.server.vaults import check_first, find_recovery_key, put_first

SEEN_EVERY: Final = 24 * 3600
"""Seconds between two notes that a client was here: a login alone need not be written."""


@dataclass(frozen=True, slots=True)
class Challenge:
    """What this connection's login signatures must cover."""

    server_nonce: bytes
    certificate_hash: bytes


class Accounts:
    def __init__(
        self,
        identity: ServerIdentity,
        hasher: LoginHasher,
        readers: Readers,
        writer: Writer,
        *,
        now: Clock,
        admits: Registration,
    ) -> None:
        self._identity = identity
        self._hasher = hasher
        self._readers = readers
        self._writer = writer
        self._now = now
        self._admits = admits
        # A real key: half of all random bytes are none, and are refused without the work.
        self._no_device = public_of(new_key())

    async def password_parameters(self, body: PasswordParameters) -> PasswordSalt:
        """The user's salt; for a user who does not exist one that is always the same."""
        salt = await self._readers.run(lambda db: _salt(db, body.user))
        made_up = hmac.digest(self._identity.secret, b"salt\0" + body.user.encode(), hashlib.sha256)[
            :SALT_BYTES
        ]
        return PasswordSalt(
            made_up if salt is None else salt, PARAMETERS.passes, PARAMETERS.memory_kib, PARAMETERS.lanes
        )

    async def register(self, body: Register, challenge: Challenge, admit: Callable[[], None]) -> Caller:
        """Make an account and its first client; the same request again finds what it made.

        :param admit: refuses one too many; asked once everything holds, before the hash
        """
        if self._admits == "closed":
            raise Refusal("registration_closed")
        self._check_registration(body, challenge)
        # First without the hash: whoever asks for a taken name must not keep the pool busy (O-04).
        made = await self._readers.run(lambda db: self._find_made(db, body))
        if made is not None:
            return made
        admit()
        login_hash = await self._hasher.hash(body.login_key)
        await self._readers.run(lambda db: prepare_label(db, body.user))
        caller = await self._writer.find(lambda db: self._make(db, body, login_hash))
        security_log.tell("registered", user=caller.user)
        return caller

    async def log_in_with_password(self, body: LogInWithPassword, challenge: Challenge) -> Caller:
        signed = self._login_holds(
            Purpose.PASSWORD, body.user, "", body.client_nonce, challenge, body.login_key, body.signature
        )
        known = await self._readers.run(lambda db: find_known(db, body.user))
        right = await self._hasher.verify(known.login_hash, body.login_key) and signed
        if right and known.login_hash is not None and self._hasher.is_weaker(known.login_hash):
            with contextlib.suppress(Refusal):  # busy: the next login does it
                better = await self._hasher.hash(body.login_key)
                await self._writer.find(lambda db: improve(db, known, better))
        # Last, and in the writer's order: who is let in here is in before `disable` looks whom to put out.
        now = self._now()
        if not await self._writer.find(lambda db: password_opens(db, known, right=right, now=now)):
            self._writer.submit(WrongPassword(known.account, now))
            raise Refusal("wrong_credentials")
        return Caller(known.account, body.user, password_changed=known.password_changed)

    async def log_in_for_recovery(self, body: LogInForRecovery, challenge: Challenge) -> Caller:
        """Let in who has the recovery key; for who has none, or is not here, the work is the same (A-05)."""
        found = await self._readers.run(lambda db: find_recovery_key(db, body.user))
        account, key = (0, self._no_device) if found is None else found
        signed = self._login_holds(
            Purpose.RECOVERY, body.user, "", body.client_nonce, challenge, key, body.signature
        )
        # As for a password: in the writer's order, so that `disable` finds whom to put out.
        enabled = await self._writer.find(lambda db: is_enabled(db, account))
        if not (signed and enabled and found is not None):
            raise Refusal("wrong_credentials")
        return Caller(account, body.user, by_recovery=True)

    async def log_in(self, body: LogIn, challenge: Challenge) -> Caller:
        found = await self._readers.run(lambda db: _caller(db, body.user, body.client))
        caller, device_key = (Caller(0, body.user), self._no_device) if found is None else found
        signed = self._login_holds(
            Purpose.DEVICE, body.user, body.client, body.client_nonce, challenge, device_key, body.signature
        )
        if not signed or found is None:
            raise Refusal("wrong_credentials")
        return caller

    def _check_registration(self, body: Register, challenge: Challenge) -> None:
        try:
            if fold_user(body.user) != body.user:
                raise Refusal("name_refused", "a user name is written in lower case")
        except NameRefused as error:
            raise Refusal("name_refused", str(error)) from None
        for key, signature in (
            (body.login_key, body.login_signature),
            (body.device_key, body.device_signature),
        ):
            if not self._login_holds(
                Purpose.REGISTER, body.user, body.client, body.client_nonce, challenge, key, signature
            ):
                raise Refusal("wrong_credentials", "a signature of the registration does not hold")
        with told_as("bad_request"):
            self._check_certificates(body)

    def _check_certificates(self, body: Register) -> None:
        """The account key speaks for this client, in its credential and in its first statement."""
        user = user_uri(self._identity.domain, body.user).encode()
        client = client_uri(self._identity.domain, body.client).encode()
        credential = read_identity(body.credential)
        statement = verify_statement(body.statement)
        if (credential.user, credential.client, credential.account_key) != (user, client, body.account_key):
            raise Refusal("bad_request", "the credential is of another user, client or account key")
        if not certificate_holds(credential, body.device_key):
            raise Refusal("bad_request", "the device is not certified by its account")
        devices = [(device.client, device.signature_key) for device in statement.devices]
        if (statement.user, statement.account_key, statement.serial) != (user, body.account_key, 1):
            raise Refusal("bad_request", "the statement is not the account's first")
        if devices != [(client, body.device_key)]:
            raise Refusal("bad_request", "the statement names other devices")
        check_first(statement, body)

    def _find_made(self, db: apsw.Connection, body: Register) -> Caller | None:
        """What the same request made. Without an invite nobody learns which names are taken (O-09)."""
        try:
            made = _made_before(db, body)
        except Refusal:
            self._check_invite(db, body)
            raise
        if made is None:
            self._check_invite(db, body)
        return made

    def _check_invite(self, db: apsw.Connection, body: Register) -> None:
        if self._admits == "invite":
            find_invite(db, body.invite, now=self._now())

    def _make(self, db: apsw.Connection, body: Register, login_hash: str) -> Caller:
        made = self._find_made(db, body)
        if made is not None:
            return made
        if db.execute("SELECT 1 FROM client WHERE name = ?", (body.client,)).fetchone() is not None:
            raise Refusal("exists", "this client id is taken")
        now = self._now()
        db.execute(
            "INSERT INTO account (user, salt, login_hash, account_key, statement, created) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (body.user, body.salt, login_hash, body.account_key, body.statement, now),
        )
        account = db.last_insert_rowid()
        record(db, account, 1, body.statement, now)
        put_first(db, account, body)
        if self._admits == "invite":
            use_invite(db, body.invite, now=now)
        db.execute(
            "INSERT INTO client (account, name, device_key, credential, created) VALUES (?, ?, ?, ?, ?)",
            (account, body.client, body.device_key, body.credential, now),
        )
        client = db.last_insert_rowid()
        return Caller(account, body.user, client, body.client)

    def _login_holds(
        self,
        purpose: Purpose,
        user: str,
        client: str,
        client_nonce: bytes,
        challenge: Challenge,
        key: bytes,
        signature: bytes,
    ) -> bool:
        signed = login_to_sign(
            purpose=purpose,
            domain=self._identity.domain,
            user=user,
            client=client,
            server_nonce=challenge.server_nonce,
            client_nonce=client_nonce,
            certificate_hash=challenge.certificate_hash,
        )
        return verify_signed(key, signed, signature=signature)


def is_enabled(db: apsw.Connection, account: int) -> bool:
    """Whether there is such an account and its logins are taken (N-02)."""
    found = db.execute("SELECT disabled FROM account WHERE id = ?", (account,)).fetchone()
    return found is not None and found[0] is None


def standing(caller: Caller, now: int, db: apsw.Connection) -> tuple[int, int, int, int, int]:
    """A client's last name, where its inbox stands, and what its owner may not know.

    Those are the wrong passwords that were not told of (A-06), and when the password changed (A-09).

    :raises Refusal: ``wrong_credentials``: it is gone, or its account is disabled (A-05)
    """
    if not is_enabled(db, caller.account):
        raise Refusal("wrong_credentials")
    found = db.execute(
        "SELECT high_water, inbox_head, inbox_cursor, seen FROM client WHERE id = ? AND revoked IS NULL",
        (caller.client,),
    ).fetchone()
    if found is None:
        raise Refusal("wrong_credentials")
    forgive(db, caller.account)
    high_water, head, cursor, seen = found
    if not 0 <= now - seen < SEEN_EVERY:
        db.execute("UPDATE client SET seen = ? WHERE id = ?", (now, caller.client))
    return high_water, head, cursor, untold(db, caller.account), changed_at(db, caller.account)


def _made_before(db: apsw.Connection, body: Register) -> Caller | None:
    """What the same registration made; ``name_taken`` where the name has other keys."""
    found = db.execute(
        "SELECT a.id, c.id, a.disabled, c.revoked, a.salt, a.account_key, c.device_key FROM account a "
        "LEFT JOIN client c ON c.account = a.id AND c.name = ? WHERE a.user = ?",
        (body.client, body.user),
    ).fetchone()
    if found is None:
        return None
    account, client, disabled, revoked, *keys = found
    if keys != [body.salt, body.account_key, body.device_key]:
        raise Refusal("name_taken")
    if disabled is not None or revoked is not None:
        raise Refusal("wrong_credentials")
    return Caller(account, body.user, client, body.client)


def _salt(db: apsw.Connection, user: str) -> bytes | None:
    found = db.execute("SELECT salt FROM account WHERE user = ?", (user,)).fetchone()
    return None if found is None else bytes(found[0])


def _caller(db: apsw.Connection, user: str, client: str) -> tuple[Caller, bytes] | None:
    """A client of a user who may log in, and its device key."""
    found = db.execute(
        "SELECT a.id, c.id, c.device_key FROM client c JOIN account a ON a.id = c.account "
        "WHERE a.user = ? AND c.name = ? AND a.disabled IS NULL AND c.revoked IS NULL",
        (user, client),
    ).fetchone()
    if found is None:
        return None
    account, number, device_key = found
    return Caller(account, user, number, client), device_key
