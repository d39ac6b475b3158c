"""The vault: what brings an account back; the server that keeps it learns nothing (rules.md D).

    Vault { version, serial, by_recovery, by_password, sealed }

A vault has a random key of its own. ``by_recovery`` has that key under the recovery key; ``by_password``,
where the user chose it, under the password's vault key; ``sealed`` has the content under it, and covers
everything that stands before it, with the user. So a password is replaced without the recovery key, and no
part of one vault fits another. Which serial is the newest, the account's statement says (``vault_serial``).
"""

from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from securechat.errors import SecureChatError
from securechat.membership.signing import load_key
from securechat.mls.aead import CHACHA20_POLY1305 as AEAD
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
from securechat.mls.randomness import random_bytes

VERSION: Final = 1
_NONCE: Final = AEAD.nonce_length

_BY_RECOVERY: Final = b"securechat/1 vault key by recovery key"
_BY_PASSWORD: Final = b"securechat/1 vault key by password"
_CONTENT: Final = b"securechat/1 vault"


class VaultRefused(SecureChatError):
    """A vault is not the account's, or older than is known, or the key does not open it."""


class Vault(WireStruct, frozen=True):
    """As it lies at the server; what it has is sealed."""

    version: Uint16
    serial: Uint64
    by_recovery: Opaque
    by_password: Opaque
    """Empty: the password does not open it."""
    sealed: Opaque


class _Content(WireStruct, frozen=True):
    account_key: Bytes32
    account_secret: Bytes32
    statement: Uint64


@dataclass(frozen=True, slots=True)
class VaultContent:
    """What an account is brought back with."""

    account_key: Ed25519PrivateKey = field(repr=False)
    account_secret: bytes = field(repr=False)
    """32 bytes, the same on all devices: boxes and archive are sealed under keys of it."""
    statement: int
    """Serial of the statement that the vault came with: the account has no older one."""


@dataclass(frozen=True, slots=True)
class Opener:
    """A key that opens a vault, and which of its two locks it fits."""

    key: bytes = field(repr=False)
    by_password: bool = False


def seal_vault(
    content: VaultContent, *, user: str, serial: int, recovery: bytes, password: bytes | None = None
) -> bytes:
    """Seal a vault anew.

    :param user: the user's URI
    :param serial: the ``vault_serial`` of the statement that it comes with
    :param recovery: the recovery key's vault key
    :param password: the password's, if it is to open it too
    """
    key = random_bytes(AEAD.key_length)
    locked = _lock(password, key, _BY_PASSWORD, user) if password is not None else b""
    return _sealed(content, key, serial, _lock(recovery, key, _BY_RECOVERY, user), locked, user)


def open_vault(data: bytes, opener: Opener, *, user: str, at_least: int) -> VaultContent:
    """Open a vault.

    :param user: the user's URI
    :param at_least: the newest serial that is known
    :raises VaultRefused: it is older than that, or is not this user's, or another key's
    """
    vault = read_vault(data, at_least=at_least)
    return _content(vault, _key(vault, opener, user), user)


def replace_password(
    data: bytes, opener: Opener, *, user: str, serial: int, statement: int, password: bytes
) -> bytes:
    """Return the vault that follows one that a password opens: the new one opens it, the old no more.

    The recovery key is not needed and stays as it is.

    :raises VaultRefused: as `open_vault`
    """
    vault = read_vault(data, at_least=0)
    key = _key(vault, opener, user)
    before = _content(vault, key, user)
    content = VaultContent(before.account_key, before.account_secret, statement)
    return _sealed(content, key, serial, vault.by_recovery, _lock(password, key, _BY_PASSWORD, user), user)


def read_vault(data: bytes, *, at_least: int) -> Vault:
    """Read what a vault says in the clear; nothing of it is proven before it is opened.

    :raises VaultRefused: it is none, or older than is known
    """
    try:
        vault = decode(Vault, data)
    except DecodeError:
        raise VaultRefused("The vault at the server is damaged.") from None
    if vault.version != VERSION:
        raise VaultRefused(f"The vault at the server has the unknown version {vault.version}.")
    if vault.serial < at_least:
        raise VaultRefused(
            "The vault at the server is older than the account says; the server hides a newer one."
        )
    return vault


def _sealed(
    content: VaultContent, key: bytes, serial: int, by_recovery: bytes, by_password: bytes, user: str
) -> bytes:
    plain = encode(
        _Content(content.account_key.private_bytes_raw(), content.account_secret, content.statement)
    )
    vault = Vault(VERSION, serial, by_recovery, by_password, b"")
    head = encode_before(vault, "sealed")
    return head + encode_opaque(_seal(key, plain, _covered(head, user)))


def _content(vault: Vault, key: bytes, user: str) -> VaultContent:
    plain = _open(key, vault.sealed, _covered(encode_before(vault, "sealed"), user))
    try:
        content = decode(_Content, plain)
    except DecodeError:
        raise VaultRefused("The vault at the server is damaged.") from None
    return VaultContent(load_key(content.account_key), content.account_secret, content.statement)


def _key(vault: Vault, opener: Opener, user: str) -> bytes:
    if not opener.by_password:
        return _open(opener.key, vault.by_recovery, _bound(_BY_RECOVERY, user))
    if not vault.by_password:
        raise VaultRefused("The password does not open the vault; only the recovery key does.")
    return _open(opener.key, vault.by_password, _bound(_BY_PASSWORD, user))


def _lock(opener: bytes, key: bytes, label: bytes, user: str) -> bytes:
    return _seal(opener, key, _bound(label, user))


def _covered(head: bytes, user: str) -> bytes:
    return _bound(_CONTENT, user) + encode_opaque(head)


def _bound(label: bytes, user: str) -> bytes:
    return encode_opaque(label) + encode_opaque(user.encode())


def _seal(key: bytes, plain: bytes, covered: bytes) -> bytes:
    nonce = random_bytes(_NONCE)
    return nonce + AEAD.seal(key, nonce, plain, aad=covered)


def _open(key: bytes, sealed: bytes, covered: bytes) -> bytes:
    if len(sealed) >= _NONCE and len(key) == AEAD.key_length:
        try:
            return AEAD.open(key, sealed[:_NONCE], sealed[_NONCE:], aad=covered)
        except SecretError:
            pass
    raise VaultRefused("The vault does not open: it is sealed under another key, or not the account's.")
