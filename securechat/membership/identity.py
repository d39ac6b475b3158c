"""Who a leaf is: client credentials, and when a leaf is valid (rules.md B).

A credential ties a leaf's signature key to a client, a user and the user's account key. The
account key signs it, so a server cannot make a client of somebody (D-03).
"""

from functools import lru_cache
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from securechat.errors import SecureChatError
from securechat.membership.room import ROOM_EXTENSION
from securechat.membership.signing import public_of, sign, verify
from securechat.mls.cipher_suite import cipher_suite
from securechat.mls.codec import (
    Opaque,
    Uint16,
    Uint32,
    WireStruct,
    decode,
    encode_before,
    encode_opaque,
)
from securechat.mls.credential import BasicCredential, CredentialType
from securechat.mls.errors import DecodeError, ValidationError
from securechat.mls.key_package import KeyPackage
from securechat.mls.nodes import LeafNode
from securechat.mls.proposals import ProposalType
from securechat.mls.randomness import random_bytes
from securechat.mls.validation import check_key_package
from securechat.names import NameRefused, client_uri, parse_client_uri, parse_user_uri, user_uri

VERSION: Final = 1

MAX_LIFETIME: Final = 32 * 24 * 3600
"""Seconds. A key package lives 30 days; two more forgive a clock."""

CLOCK_TOLERANCE: Final = 24 * 3600
"""Seconds by which clocks may differ when a key package's lifetime is checked."""

MAX_LEAVES_PER_USER: Final = 10
MAX_ROTATIONS: Final = 8
"""What fits a credential of 2 KiB with room to spare; older rotations are dropped."""

_CERTIFICATE: Final = "device certificate"
_ROTATION: Final = "account rotation"
_ID_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz234567"


class LeafRefused(SecureChatError):
    """A leaf or credential is not valid; the text is one sentence that says why."""


class Rotation(WireStruct, frozen=True):
    """An account key's successor, signed by the old key over (user, old key, new key)."""

    old_key: Opaque
    new_key: Opaque
    signature: Opaque


class ClientCredential(WireStruct, frozen=True):
    """BasicCredential.identity of every leaf. ``user`` and ``client`` are MIMI URIs."""

    version: Uint16
    user: Opaque
    client: Opaque
    account_key: Opaque
    generation: Uint32
    suites: tuple[Uint16, ...]
    rotations: tuple[Rotation, ...]
    signature: Opaque

    @property
    def user_uri(self) -> str:
        return self.user.decode()

    @property
    def user_name(self) -> str:
        """The folded user name: what a person calls it."""
        return parse_user_uri(self.user).name

    @property
    def client_id(self) -> str:
        """The local part of the client's URI."""
        return parse_client_uri(self.client).name

    @property
    def account_keys(self) -> tuple[bytes, ...]:
        """The account's present key, and behind it those that it was rotated from."""
        return (self.account_key, *(step.old_key for step in self.rotations))

    def descends_from(self, account_key: bytes) -> bool:
        """Whether ``account_key`` is this account's present key or one it was rotated from."""
        return account_key in self.account_keys


def new_local_id() -> str:
    """Draw the local part of a client's or room's URI: 26 letters, 130 bits."""
    return "".join(_ID_LETTERS[byte & 31] for byte in random_bytes(26))


def make_client_credential(
    *,
    domain: str,
    user: str,
    client: str,
    account_key: Ed25519PrivateKey,
    signature_key_public: bytes,
    suites: tuple[int, ...],
    generation: int = 1,
) -> bytes:
    """Certify a client's signature key; returns ``BasicCredential.identity``.

    :param user: the user's name
    :param client: the local part of the client's URI
    """
    unsigned = ClientCredential(
        version=VERSION,
        user=user_uri(domain, user).encode(),
        client=client_uri(domain, client).encode(),
        account_key=public_of(account_key),
        generation=generation,
        suites=suites,
        rotations=(),
        signature=b"",
    )
    return certify(unsigned, account_key, signature_key_public)


def certify(unsigned: ClientCredential, account_key: Ed25519PrivateKey, signature_key_public: bytes) -> bytes:
    """Sign a credential and return it encoded; its ``signature`` is not read."""
    signature = sign(account_key, _CERTIFICATE, _certified(unsigned, signature_key_public))
    return encode_before(unsigned, "signature") + encode_opaque(signature)


def make_rotation(*, user: str, old_key: Ed25519PrivateKey, new_key: bytes) -> Rotation:
    """Let an account key name its successor; ``user`` is the user's URI."""
    old = public_of(old_key)
    return Rotation(old, new_key, sign(old_key, _ROTATION, _rotated(user.encode(), old, new_key)))


def read_client_credential(leaf: LeafNode) -> ClientCredential:
    """Return a leaf's credential, read exactly; its signature is not checked here.

    :raises LeafRefused: the leaf carries none of ours, or one that does not decode
    """
    if not isinstance(leaf.credential, BasicCredential):
        raise LeafRefused("The leaf's credential is not of the kind used here.")
    return read_identity(leaf.credential.identity)


@lru_cache(maxsize=4096)  # four groups of 1,000: every commit looks at every member's
def read_identity(identity: bytes) -> ClientCredential:
    """Return the credential that ``BasicCredential.identity`` encodes; raises like the above."""
    try:
        credential = decode(ClientCredential, identity)
        user, client = parse_user_uri(credential.user), parse_client_uri(credential.client)
    except (DecodeError, NameRefused):
        raise LeafRefused("The leaf's credential does not decode.") from None
    if credential.version != VERSION:
        raise LeafRefused(f"The leaf's credential has the unknown version {credential.version}.")
    if user.domain != client.domain:
        raise LeafRefused("The leaf's user and client are of different domains.")
    if len(credential.rotations) > MAX_ROTATIONS:
        raise LeafRefused(f"The leaf's credential has more than {MAX_ROTATIONS} rotations.")
    return credential


def leaf_refusal(leaf: LeafNode, *, domain: str, suite: int, from_key_package: bool) -> str | None:
    """Return why a leaf, by itself, is not valid in a group of this domain and suite; None if it is.

    No clock is asked: a key package's lifetime is only held to its span.
    """
    try:
        credential = read_client_credential(leaf)
    except LeafRefused as refused:
        return str(refused)
    if parse_user_uri(credential.user).domain != domain:
        return "The leaf is of another domain."
    if suite not in credential.suites:
        return "The leaf's account does not allow the group's cipher suite."
    if not certificate_holds(credential, leaf.signature_key):
        return "The leaf is not signed by its user's account."
    return _lifetime_problem(leaf, from_key_package=from_key_package) or _capability_problem(leaf)


def key_package_refusal(key_package: KeyPackage, *, domain: str, suite: int, now: int) -> str | None:
    """Return why a key package may not be published or used; None if it may.

    For those who act, the adder and the server: the clock (``now``, seconds since 1970) counts.
    """
    try:
        check_key_package(key_package, cipher_suite(suite))
    except ValidationError as problem:
        return f"The key package breaks a rule of MLS: {problem}."
    refusal = leaf_refusal(key_package.leaf_node, domain=domain, suite=suite, from_key_package=True)
    lifetime = key_package.leaf_node.lifetime
    if refusal is not None or lifetime is None:
        return refusal
    if lifetime.not_before > now + CLOCK_TOLERANCE or lifetime.not_after < now - CLOCK_TOLERANCE:
        return "The key package is not valid at this time: it has lapsed, or a clock is wrong here or there."
    return None


def succession_problem(old: ClientCredential, new: ClientCredential) -> str | None:
    """Return why ``new`` may not take the place of ``old`` (Update, path, resync); None if it may."""
    if (new.user, new.client) != (old.user, old.client):
        return "The new leaf is of another user or client."
    if not new.descends_from(old.account_key):
        return "The new leaf's account key is not the old one's successor."
    if new.generation < old.generation:
        return "The new leaf's generation is lower than the old one's."
    return None


def _certified(credential: ClientCredential, signature_key: bytes) -> bytes:
    return encode_before(credential, "signature") + encode_opaque(signature_key)


def _rotated(user: bytes, old_key: bytes, new_key: bytes) -> bytes:
    return encode_opaque(user) + encode_opaque(old_key) + encode_opaque(new_key)


@lru_cache(maxsize=4096)  # a leaf is checked when it is published, added, and at every member's join
def certificate_holds(credential: ClientCredential, signature_key: bytes) -> bool:
    """Whether the account key certified this signature key for this client, through all rotations."""
    certified = _certified(credential, signature_key)
    if not verify(credential.account_key, _CERTIFICATE, certified, signature=credential.signature):
        return False
    next_old = [step.old_key for step in credential.rotations[1:]] + [credential.account_key]
    return all(
        step.new_key == following
        and verify(
            step.old_key,
            _ROTATION,
            _rotated(credential.user, step.old_key, step.new_key),
            signature=step.signature,
        )
        for step, following in zip(credential.rotations, next_old[: len(credential.rotations)], strict=True)
    )


def _lifetime_problem(leaf: LeafNode, *, from_key_package: bool) -> str | None:
    if leaf.lifetime is None:
        return "The leaf of a key package has no lifetime." if from_key_package else None
    if not 0 <= leaf.lifetime.span <= MAX_LIFETIME:
        return "The leaf's lifetime is longer than 32 days."
    return None


def _capability_problem(leaf: LeafNode) -> str | None:
    """rules.md C: the room's policy is named in every leaf's capabilities; SelfRemove is how one leaves."""
    known = leaf.capabilities
    able = (
        ROOM_EXTENSION in known.extensions
        and ProposalType.SELF_REMOVE in known.proposals
        and CredentialType.BASIC in known.credentials
    )
    return None if able else "The leaf's client does not know what rooms need."
