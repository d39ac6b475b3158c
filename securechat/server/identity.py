"""Who the server is: made at the first start, fixed for the life of its database (rules.md B)."""

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

import apsw
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from securechat.membership.login import domain_of, fingerprint, sign_server_identity
from securechat.server.certificate import Certificate
from securechat.server.errors import ConfigError
from securechat.server.store.sqlite import DATABASE, open_database

SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """The identity key signs TLS keys; ``secret`` makes up salts for users that do not exist."""

    domain: str
    incarnation: int
    key: Ed25519PrivateKey = field(repr=False)
    secret: bytes = field(repr=False)

    @property
    def public_key(self) -> bytes:
        return self.key.public_key().public_bytes_raw()

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.public_key)

    def sign_certificate(self, certificate: Certificate) -> bytes:
        """The signature a Hello carries: this TLS key speaks for this domain."""
        return sign_server_identity(self.key, spki=certificate.spki, domain=self.domain)


def load_identity(path: Path, domain: str | None) -> ServerIdentity:
    """Read the identity, or make it at the first start.

    :raises ConfigError: the database belongs to another domain
    """
    db = open_database(path)
    try:
        db.execute("BEGIN IMMEDIATE")
        identity = _read(db) or _make(db, domain)
        db.execute("COMMIT")
    finally:
        db.close()
    if domain is not None and domain != identity.domain:
        raise ConfigError(f"this database belongs to {identity.domain}; it cannot become {domain}")
    return identity


def read_fingerprint(data: Path) -> str:
    """The fingerprint of the server whose data is in a folder.

    :raises ConfigError: no server has started there yet
    """
    path = data / DATABASE
    if not os.path.lexists(path):
        raise ConfigError(f"no server has started with {data} yet")
    db = open_database(path)
    try:
        identity = _read(db)
    except apsw.SQLError:
        identity = None
    finally:
        db.close()
    if identity is None:
        raise ConfigError(f"no server has started with {data} yet")
    return identity.fingerprint


def _read(db: apsw.Connection) -> ServerIdentity | None:
    row = db.execute("SELECT domain, incarnation, identity_key, secret FROM server").fetchone()
    if row is None:
        return None
    domain, incarnation, key, secret = row
    return ServerIdentity(domain, incarnation, Ed25519PrivateKey.from_private_bytes(key), secret)


def _make(db: apsw.Connection, domain: str | None) -> ServerIdentity:
    key = Ed25519PrivateKey.generate()
    name = domain if domain is not None else domain_of(key.public_key().public_bytes_raw())
    identity = ServerIdentity(name, 1, key, secrets.token_bytes(SECRET_BYTES))
    db.execute(
        "INSERT INTO server (id, domain, incarnation, identity_key, secret) VALUES (1, ?, ?, ?, ?)",
        (identity.domain, identity.incarnation, key.private_bytes_raw(), identity.secret),
    )
    return identity
