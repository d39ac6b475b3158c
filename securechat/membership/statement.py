"""What an account says of itself: its devices, revocations and vault, as a chain of statements.

Each statement carries the hash of the last one, so an account has one history (rules.md B).
"""

import hashlib
from functools import lru_cache
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from securechat.errors import SecureChatError
from securechat.membership.identity import MAX_LEAVES_PER_USER
from securechat.membership.signing import public_of, sign, verify
from securechat.mls.codec import (
    Bytes32,
    Opaque,
    Uint16,
    Uint32,
    Uint64,
    WireStruct,
    decode,
    encode_before,
    encode_opaque,
)
from securechat.mls.errors import DecodeError
from securechat.names import NameRefused, parse_client_uri, parse_user_uri

VERSION: Final = 1
_LABEL: Final = "account statement"

_SHORT: Final = 4_096
"""Bytes of a statement of some thirty devices: longer ones are not remembered, lest they fill memory."""


class StatementRefused(SecureChatError):
    """An account statement is not the account's, or does not follow the last one."""


class Device(WireStruct, frozen=True):
    """A client of the account (URI) and the key it signs with."""

    client: Opaque
    signature_key: Opaque


class Revoked(WireStruct, frozen=True):
    """A client (URI) that is none any more, since this generation."""

    client: Opaque
    generation: Uint32


class AccountStatement(WireStruct, frozen=True):
    version: Uint16
    user: Opaque
    account_key: Opaque
    serial: Uint64
    generation: Uint32
    previous: Bytes32
    devices: tuple[Device, ...]
    revoked: tuple[Revoked, ...]
    vault_serial: Uint64
    issued_at: Uint64
    signature: Opaque


def make_statement(
    account_key: Ed25519PrivateKey,
    *,
    user: str,
    devices: tuple[Device, ...],
    issued_at: int,
    previous: bytes | None = None,
    revoked: tuple[Revoked, ...] = (),
    vault_serial: int = 0,
) -> bytes:
    """Sign the statement that follows ``previous`` (encoded), or an account's first.

    Revoking raises the generation: the devices that stay get new certificates.

    :param user: the user's URI
    :param issued_at: seconds since 1970
    """
    last = None if previous is None else verify_statement(previous)
    known: tuple[Revoked, ...] = () if last is None else last.revoked
    generation = 1 if last is None else last.generation + (not set(revoked) <= set(known))
    unsigned = AccountStatement(
        version=VERSION,
        user=user.encode(),
        account_key=public_of(account_key),
        serial=1 if last is None else last.serial + 1,
        generation=generation,
        previous=bytes(32) if previous is None else hashlib.sha256(previous).digest(),
        devices=devices,
        revoked=revoked,
        vault_serial=vault_serial,
        issued_at=issued_at,
        signature=b"",
    )
    tbs = encode_before(unsigned, "signature")
    return tbs + encode_opaque(sign(account_key, _LABEL, tbs))


def verify_statement(data: bytes, previous: bytes | None = None) -> AccountStatement:
    """Read a statement and check its signature; with ``previous`` also that it is the next one.

    :raises StatementRefused: it is not the account's, or does not follow
    """
    statement = _remembered(data) if len(data) <= _SHORT else _signed(data)
    problem = _first_problem(statement) if previous is None else _next_problem(statement, previous)
    if problem is not None:
        raise StatementRefused(problem)
    return statement


def _signed(data: bytes) -> AccountStatement:
    """Read a statement and check all of it that hangs on no other."""
    try:
        statement = decode(AccountStatement, data)
        domain = parse_user_uri(statement.user).domain
        clients = [parse_client_uri(device.client) for device in statement.devices]
    except (DecodeError, NameRefused):
        raise StatementRefused("The account's statement does not decode.") from None
    if statement.version != VERSION:
        raise StatementRefused(f"The account's statement has the unknown version {statement.version}.")
    if len(clients) > MAX_LEAVES_PER_USER or len(set(clients)) != len(clients):
        raise StatementRefused(f"An account has at most {MAX_LEAVES_PER_USER} devices, each named once.")
    if any(client.domain != domain for client in clients):
        raise StatementRefused("The account's devices are of another domain.")
    tbs = encode_before(statement, "signature")
    if not verify(statement.account_key, _LABEL, tbs, signature=statement.signature):
        raise StatementRefused("The statement is not signed by its account.")
    return statement


_remembered: Final = lru_cache(maxsize=2_048)(_signed)
"""The same bytes always give the same; those of all in a room are read with each commit."""


def _first_problem(statement: AccountStatement) -> str | None:
    if (statement.serial == 1) != (statement.previous == bytes(32)):
        return "The account's first statement follows none, and every other follows one."
    return None if statement.serial > 0 else "The account's statement has no serial."


def _next_problem(statement: AccountStatement, previous: bytes) -> str | None:
    last = verify_statement(previous)
    if (statement.user, statement.account_key) != (last.user, last.account_key):
        return "The statement is of another account than the last one."
    if statement.serial != last.serial + 1 or statement.previous != hashlib.sha256(previous).digest():
        return "The statement does not follow the last one."
    if statement.generation < last.generation or statement.vault_serial < last.vault_serial:
        return "The statement goes back behind the last one."
    return None
