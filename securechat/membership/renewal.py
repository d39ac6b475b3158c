"""The account's secret, made anew once a device is gone (docs/decisions/0022).

    Renewal { version, serial, statement, by, mixes, passed, older, signature }

Boxes and archive are sealed under keys of the account's secret, which every device has. A device that was
revoked keeps what it had, so whoever stays makes another. It is passed on in one piece that anybody may see:

- ``passed`` has it for each device that ``statement`` lists, and for the account key, which the vault brings
  back: sealed (HPKE) to the X25519 form of the key that each of them signs with;
- and once more under a key of ``mixes``, which is sealed under each secret of before: so whoever breaks
  X25519 later and was never a device of the account has nothing (mixes: who has an older one opens it);
- ``older`` has the secrets of before under the new one, the newest first: what lies there stays readable.

It is signed by a device that its statement lists, and the statement by the account key. Whoever revoked
devices meanwhile makes another: what such a device says counts for the time in which it was one.
"""

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from securechat.errors import SecureChatError
from securechat.membership.signing import PRIME, height_of, sign, verify
from securechat.membership.statement import AccountStatement, StatementRefused, verify_statement
from securechat.mls.aead import CHACHA20_POLY1305 as AEAD
from securechat.mls.cipher_suite import SUITE_3
from securechat.mls.codec import (
    Bytes32,
    Opaque,
    Uint16,
    Uint64,
    WireStruct,
    decode,
    encode,
    encode_before,
    encode_opaque,
)
from securechat.mls.errors import DecodeError, SecretError
from securechat.mls.hpke import HPKECiphertext
from securechat.mls.kdf import HKDF_SHA256
from securechat.mls.randomness import random_bytes

VERSION: Final = 1
SIZE: Final = 32

MOST_OLDER: Final = 64
"""Secrets of before that are passed on; who has none of them any more comes by the recovery key."""

_LABEL: Final = "account secret renewal"
_MIX: Final = b"securechat/1 renewal mix"
_OLDER: Final = b"securechat/1 renewal older"


class RenewalRefused(SecureChatError):
    """A renewal is not of this account, or has nothing for who opens it."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """What an account's boxes and archive are sealed under: with the newest; the older ones still open."""

    newest: bytes = field(repr=False)
    older: tuple[bytes, ...] = field(default=(), repr=False)
    """The newest of them first."""

    @property
    def every(self) -> tuple[bytes, ...]:
        return (self.newest, *self.older)

    def followed_by(self, secret: bytes) -> "Secrets":
        """What there is once another secret is the newest."""
        return Secrets(
            secret, tuple(each for each in self.every if not hmac.compare_digest(each, secret))[:MOST_OLDER]
        )

    def and_also(self, others: Iterable[bytes]) -> "Secrets":
        """What there is with others to open with, behind those that are here: each once, so many at most."""
        older = dict.fromkeys((*self.older, *others))
        older.pop(self.newest, None)
        return Secrets(self.newest, tuple(older)[:MOST_OLDER])


class Passed(WireStruct, frozen=True):
    """The secret for one device, or for the account key (``to`` is then the user's URI)."""

    to: Opaque
    kem_output: Opaque
    sealed: Opaque


class _Older(WireStruct, frozen=True):
    secrets: tuple[Bytes32, ...]


class Renewal(WireStruct, frozen=True):
    """As it lies at the server."""

    version: Uint16
    serial: Uint64
    """Of the box that it lies in."""
    statement: Opaque
    by: Opaque
    mixes: tuple[Opaque, ...]
    passed: tuple[Passed, ...]
    older: Opaque
    signature: Opaque


def sealing_public(signature_key: bytes) -> bytes:
    """Return the X25519 form of an Ed25519 public key (RFC 7748 section 4.1).

    :raises ValueError: it is none
    """
    y = height_of(signature_key)
    if y is None:
        raise ValueError("not a signature key")
    return ((1 + y) * pow(1 - y, -1, PRIME) % PRIME).to_bytes(SIZE, "little")


def sealing_private(key: Ed25519PrivateKey) -> bytes:
    """Return the X25519 form of an Ed25519 private key: what it signs with (RFC 8032 section 5.1.5)."""
    return hashlib.sha512(key.private_bytes_raw()).digest()[:SIZE]


def make_renewal(
    secrets: Secrets, *, serial: int, statement: bytes, by: bytes, device_key: Ed25519PrivateKey
) -> bytes:
    """Pass the newest secret on to all devices of a statement with a key, and to the account key.

    :param serial: of the box that it is put into
    :param statement: encoded, the account's newest
    :param by: URI of the device that makes it, which the statement lists
    """
    said = verify_statement(statement)
    mix = random_bytes(SIZE)
    mixes = tuple(_seal(each, mix, _MIX, said.user) for each in secrets.every)
    inner = _seal(mix, secrets.newest, _MIX, said.user)
    passed = tuple(_pass_on(inner, statement, *each) for each in _recipients(said))
    older = _seal(secrets.newest, encode(_Older(secrets.older[:MOST_OLDER])), _OLDER, said.user)
    unsigned = Renewal(VERSION, serial, statement, by, mixes, passed, older, b"")
    tbs = encode_before(unsigned, "signature")
    return encode(
        Renewal(VERSION, serial, statement, by, mixes, passed, older, sign(device_key, _LABEL, tbs))
    )


def read_renewal(
    data: bytes, *, serial: int, user: str, account_key: bytes
) -> tuple[Renewal, AccountStatement]:
    """Read a renewal that a device of the account signed while it was one.

    :param serial: of the box that it lay in
    :param user: the user's URI
    :param account_key: the account's, public
    :raises RenewalRefused: it is none
    """
    try:
        renewal = decode(Renewal, data)
        statement = verify_statement(renewal.statement)
    except (DecodeError, StatementRefused):
        raise RenewalRefused("What the server has for the account's devices does not decode.") from None
    key = next((each.signature_key for each in statement.devices if each.client == renewal.by), None)
    if (renewal.version, renewal.serial) != (VERSION, serial) or (
        statement.user,
        statement.account_key,
    ) != (user.encode(), account_key):
        raise RenewalRefused("What the server has for the account's devices is not of this account.")
    tbs = encode_before(renewal, "signature")
    if key is None or not verify(key, _LABEL, tbs, signature=renewal.signature):
        raise RenewalRefused("What the server has for the account's devices none of them made.")
    return renewal, statement


def open_renewal(
    renewal: Renewal, known: Secrets, *, user: bytes, to: bytes, key: Ed25519PrivateKey
) -> Secrets:
    """Return the secrets that a renewal passes on.

    :param known: what the opener has
    :param user: the user's URI
    :param to: URI of the device, or the user's
    :param key: the device's signature key, or the account key
    :raises RenewalRefused: it has nothing for them
    """
    passed = _passed_to(renewal, known, user, to, key)
    for secret in (*known.every, *passed):
        older = _opened_older(renewal, secret, user) if len(secret) == SIZE else None
        if older is not None:
            return Secrets(secret).and_also(older)
    raise RenewalRefused("The account's new secret was not passed on to this device.")


def is_for(renewal: Renewal, statement: AccountStatement) -> bool:
    """Whether it passes the secret on to all devices of a statement of its generation with a key."""
    return {to for to, _ in _recipients(statement)} <= {each.to for each in renewal.passed}


def _recipients(statement: AccountStatement) -> list[tuple[bytes, bytes]]:
    """Return whom the secret is passed on to, and their keys.

    A device that named something as its key which is none gets nothing, and keeps nobody else waiting.
    """
    listed = ((each.client, each.signature_key) for each in statement.devices)
    everybody = ((statement.user, statement.account_key), *listed)
    return [(to, key) for to, key in everybody if height_of(key) is not None]


def _passed_to(
    renewal: Renewal, known: Secrets, user: bytes, to: bytes, key: Ed25519PrivateKey
) -> tuple[bytes, ...]:
    passed = next((each for each in renewal.passed if each.to == to), None)
    mix = _first_opened(known.every, renewal.mixes, user)
    if passed is None or mix is None:
        return ()
    sealed = HPKECiphertext(passed.kem_output, passed.sealed)
    try:
        inner = SUITE_3.hpke.open(sealing_private(key), _info(renewal.statement, to), sealed)
    except SecretError:
        return ()
    secret = _open(mix, inner, _MIX, user)
    return () if secret is None else (secret,)


def _first_opened(secrets: Sequence[bytes], sealed: Sequence[bytes], user: bytes) -> bytes | None:
    tried = (_open(secret, each, _MIX, user) for secret in secrets for each in sealed[: MOST_OLDER + 1])
    return next((mix for mix in tried if mix is not None), None)


def _opened_older(renewal: Renewal, secret: bytes, user: bytes) -> tuple[bytes, ...] | None:
    plain = _open(secret, renewal.older, _OLDER, user)
    if plain is None:
        return None
    try:
        return decode(_Older, plain).secrets
    except DecodeError:
        return None


def _pass_on(inner: bytes, statement: bytes, to: bytes, signature_key: bytes) -> Passed:
    sealed = SUITE_3.hpke.seal(sealing_public(signature_key), _info(statement, to), inner)
    return Passed(to, sealed.kem_output, sealed.ciphertext)


def _info(statement: bytes, to: bytes) -> bytes:
    return encode_opaque(b"securechat/1 " + _LABEL.encode()) + hashlib.sha256(statement).digest() + to


def _seal(secret: bytes, plain: bytes, label: bytes, user: bytes) -> bytes:
    nonce = random_bytes(AEAD.nonce_length)
    return nonce + AEAD.seal(_key(secret, label), nonce, plain, aad=encode_opaque(user))


def _open(secret: bytes, sealed: bytes, label: bytes, user: bytes) -> bytes | None:
    nonce, rest = sealed[: AEAD.nonce_length], sealed[AEAD.nonce_length :]
    if len(nonce) != AEAD.nonce_length:
        return None
    try:
        return AEAD.open(_key(secret, label), nonce, rest, aad=encode_opaque(user))
    except SecretError:
        return None


def _key(secret: bytes, label: bytes) -> bytes:
    return HKDF_SHA256.expand(secret, label, AEAD.key_length)
