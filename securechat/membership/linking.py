"""How a new device comes to an account through an old one, over a server that neither trusts (D-05).

The new device commits to all that it says of itself; an old one that is online answers with an ephemeral
key; only then the new one reveals. Both now have the same transcript, or somebody between them has another
with each: a person carries the short code of it from one screen to the other. Who stands between must
have fixed all of its part before it knew what the code is made of, so it guesses 40 bits, once
(commit-then-reveal X25519 with a short authentication string, like ZRTP's).

What opens the account then travels under a key of that X25519, of the whole transcript and of the password,
which is typed on both. So that the new device gets its own account and no other's does not hang on the
code; and who breaks X25519 one day, in what was recorded, has a password to guess too.

Pure: no clock (who keeps a request says how old it is), no network.
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from securechat.errors import SecureChatError
from securechat.membership.account import Certified, certificate_problem
from securechat.membership.identity import LeafRefused, read_identity
from securechat.membership.invite import LETTERS, InviteRefused, read_invite
from securechat.membership.statement import AccountStatement, StatementRefused, verify_statement
from securechat.mls.codec import (
    Bytes32,
    Opaque,
    SecretStruct,
    Uint16,
    WireStruct,
    decode,
    encode,
    encode_opaque,
)
from securechat.mls.errors import DecodeError
from securechat.mls.kdf import HKDF_SHA256
from securechat.mls.randomness import random_bytes
from securechat.names import user_uri

VERSION: Final = 1

LIFETIME: Final = 300
"""Seconds from the request of a new device to its end, whatever came of it."""

CODE_LETTERS: Final = 8
"""40 bits: who stands between has one guess a request, and few requests (docs/security.md)."""

MAX_NAME: Final = 32
"""Characters of a device's name: it is read on a screen, beside a question."""

MAX_TYPED: Final = 64
MAX_EXTRAS: Final = 16

QR_PREFIX: Final = "SECURECHAT-LINK:"
"""What the QR picture of a code begins with: for one thing, and so read as nothing else."""

_COMMITMENT: Final = b"securechat/1 link commitment"
_TRANSCRIPT: Final = b"securechat/1 link transcript"
_CODE: Final = b"securechat/1 link code"
_PAYLOAD: Final = b"securechat/1 link payload"
_NONCE_SIZE: Final = 12
_READ_AS: Final = str.maketrans({"i": "1", "l": "1", "o": "0", "u": "v", "-": None, " ": None})


class LinkRefused(SecureChatError):
    """A link does not come about; the text is one sentence that says why."""


class CodeRefused(SecureChatError):
    """What was typed is no code of a link; it was compared with nothing, and the text never repeats it."""


class Newcomer(WireStruct, frozen=True):
    """What a new device says of itself; ``key`` is its ephemeral X25519 key. All of it is committed to."""

    domain: Opaque
    user: Opaque
    client: Opaque
    device_key: Bytes32
    name: Opaque
    suites: tuple[Uint16, ...]
    salt: Opaque
    """Of the password that was typed there: the old device can tell that it still has the same one."""
    key: Bytes32
    nonce: Bytes32

    @property
    def commitment(self) -> bytes:
        return hashlib.sha256(encode_opaque(_COMMITMENT) + encode(self)).digest()


class Sibling(WireStruct, frozen=True):
    """What an old device answers with: the local part of its URI, its name, an ephemeral X25519 key."""

    client: Opaque
    name: Opaque
    key: Bytes32


class _Transcript(WireStruct, frozen=True):
    label: Opaque
    newcomer: Newcomer
    sibling: Sibling


class Extra(SecretStruct, frozen=True):
    """Something more that the old device passes on, by its label; unknown ones are left alone."""

    label: Opaque
    data: Opaque


class LinkPayload(SecretStruct, frozen=True):
    """What opens an account on a new device. The account key stays sealed under the vault key."""

    version: Uint16
    credential: Opaque
    statement: Opaque
    account_key_sealed: Opaque
    account_secret: Bytes32
    extras: tuple[Extra, ...]


@dataclass(frozen=True, slots=True)
class Meeting:
    """What two devices have in common once each knows what the other said."""

    newcomer: Newcomer
    sibling: Sibling
    code: str
    """For a person to carry over: equal exactly where the transcripts are."""
    transcript: bytes
    shared: bytes = field(repr=False)
    """What X25519 gives: for this transcript only."""

    def has_code(self, code: "Code") -> bool:
        return hmac.compare_digest(Code(self.code).letters.encode(), code.letters.encode())

    def seal(self, payload: LinkPayload, vault_key: bytes) -> bytes:
        """Seal what the new device gets; ``vault_key`` is what the account's password is stretched to."""
        nonce = random_bytes(_NONCE_SIZE)
        return nonce + self._cipher(vault_key).encrypt(nonce, encode(payload), self.transcript)

    def open(self, sealed: bytes, vault_key: bytes) -> LinkPayload:
        """Open what the old device sealed.

        :raises LinkRefused: it was sealed by or for somebody else, by another password, or altered
        """
        try:
            opened = self._cipher(vault_key).decrypt(
                sealed[:_NONCE_SIZE], sealed[_NONCE_SIZE:], self.transcript
            )
            payload = decode(LinkPayload, opened)
        except (InvalidTag, ValueError, DecodeError):
            raise LinkRefused(
                "What came for this device is not sealed for it by your password:"
                " somebody else made or changed it."
            ) from None
        if payload.version != VERSION or len(payload.extras) > MAX_EXTRAS:
            raise LinkRefused("What came for this device is of a newer securechat; update this one first.")
        return payload

    def _cipher(self, vault_key: bytes) -> ChaCha20Poly1305:
        mixed = HKDF_SHA256.extract(self.transcript, encode_opaque(self.shared) + encode_opaque(vault_key))
        return ChaCha20Poly1305(HKDF_SHA256.expand(mixed, _PAYLOAD, 32))


@dataclass(frozen=True, slots=True)
class NewSide:
    """A new device's side of one request; what it says, and the secret half of its ephemeral key."""

    newcomer: Newcomer
    secret: X25519PrivateKey = field(repr=False)

    def meet(self, sibling: Sibling) -> Meeting:
        """Take an old device's answer; it counts only if it came before anything was revealed.

        :raises LinkRefused: no honest device answers so
        """
        return _meet(self.newcomer, sibling, self.secret, self.newcomer.key, sibling.key)


@dataclass(frozen=True, slots=True)
class OldSide:
    """An old device's side of one request. Made for one commitment, and good for no other."""

    domain: str
    user: str
    commitment: bytes
    sibling: Sibling
    secret: X25519PrivateKey = field(repr=False)

    def meet(self, newcomer: Newcomer) -> Meeting:
        """Take what a new device reveals.

        :raises LinkRefused: it is not what was committed to, or of another account or server
        """
        if not hmac.compare_digest(newcomer.commitment, self.commitment):
            raise LinkRefused("The new device shows another key than it had promised.")
        if (newcomer.domain, newcomer.user) != (self.domain.encode(), self.user.encode()):
            raise LinkRefused("The new device means another account.")
        return _meet(newcomer, self.sibling, self.secret, self.sibling.key, newcomer.key)


def ask_to_link(
    *,
    domain: str,
    user: str,
    client: str,
    device_key: bytes,
    name: str,
    suites: tuple[int, ...],
    salt: bytes,
) -> NewSide:
    """Begin a request on a new device; ``client`` is the local part of its URI, ``device_key`` public.

    :param salt: of the account's password, as the server says it
    """
    secret = X25519PrivateKey.from_private_bytes(random_bytes(32))
    newcomer = Newcomer(
        domain=domain.encode(),
        user=user.encode(),
        client=client.encode(),
        device_key=device_key,
        name=name.encode(),
        suites=suites,
        salt=salt,
        key=secret.public_key().public_bytes_raw(),
        nonce=random_bytes(32),
    )
    return NewSide(newcomer, secret)


def answer_link(*, domain: str, user: str, commitment: bytes, client: str, name: str) -> OldSide:
    """Answer a request on an old device. The secret is drawn after the commitment came, for it alone."""
    secret = random_bytes(32)
    return restore_old_side(
        domain=domain, user=user, commitment=commitment, client=client, name=name, secret=secret
    )


def restore_old_side(
    *, domain: str, user: str, commitment: bytes, client: str, name: str, secret: bytes
) -> OldSide:
    """Take up an answer that was given before, from the 32 bytes of its secret."""
    key = X25519PrivateKey.from_private_bytes(secret)
    sibling = Sibling(client.encode(), name.encode(), key.public_key().public_bytes_raw())
    return OldSide(domain, user, commitment, sibling, key)


def check_payload(payload: LinkPayload, newcomer: Newcomer, account_key: bytes) -> AccountStatement:
    """Return the statement by which the new device is one of its account.

    :param account_key: public half of the one that the password opened: only the account itself sealed it
    :raises LinkRefused: the account does not list the device, or does not certify it
    """
    domain, user, client = (part.decode() for part in (newcomer.domain, newcomer.user, newcomer.client))
    try:
        statement = verify_statement(payload.statement)
        credential = read_identity(payload.credential)
    except (StatementRefused, LeafRefused) as refused:
        raise LinkRefused(f"What came for this device is not of its account: {refused}") from None
    problem = certificate_problem(Certified(client, newcomer.device_key, payload.credential), statement)
    if problem is None and statement.user != user_uri(domain, user).encode():
        problem = "The statement is of another user."
    if problem is None and not hmac.compare_digest(statement.account_key, account_key):
        problem = "The statement is of another account key than the password opens."
    if problem is None and not set(credential.suites) <= set(newcomer.suites):
        problem = "The certificate names cipher suites that this device does not have."
    if problem is not None:
        raise LinkRefused(f"What came for this device is not of its account: {problem}")
    return statement


# --- the code -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Code:
    """A code that is spelled right; whether it is the one, its request tells."""

    text: str = field(repr=False)

    @property
    def letters(self) -> str:
        return self.text.lower().translate(_READ_AS)


def read_code(typed: str) -> Code:
    """Read a code as somebody typed it, or as its QR picture has it.

    :raises CodeRefused: it is not spelled like one, or is something else; nothing was tried
    """
    text = typed[: MAX_TYPED + 1].strip()
    if text.upper().startswith(QR_PREFIX):
        text = text[len(QR_PREFIX) :]
    letters = text.lower().translate(_READ_AS)
    if len(letters) == CODE_LETTERS and all(letter in LETTERS for letter in letters):
        return Code(_grouped(letters))
    raise CodeRefused(_what_it_is(typed.strip()))


def qr_text(code: str) -> str:
    """What the QR picture of a code says."""
    return QR_PREFIX + code


def _what_it_is(typed: str) -> str:
    if typed[:1] in {"#", "@"}:
        return "This names a room or a person; what links a device is the code that the new device shows."
    if typed.lower().startswith("securechat"):
        return "This is a code for something else; what links a device is the code that the new device shows."
    try:
        read_invite(typed)
    except InviteRefused:
        return "This is not the code of a new device: that has two groups of four letters. Nothing was tried."
    return (
        "This is an invite; it opens nothing here. What links a device is the code that the new device shows."
    )


def _grouped(letters: str) -> str:
    half = CODE_LETTERS // 2
    return f"{letters[:half]}-{letters[half:]}".upper()


def _meet(
    newcomer: Newcomer, sibling: Sibling, secret: X25519PrivateKey, own: bytes, theirs: bytes
) -> Meeting:
    if hmac.compare_digest(own, theirs):
        raise LinkRefused("The other side only repeats what this one said.")
    if newcomer.client == sibling.client:
        raise LinkRefused("The other side says that it is this device.")
    try:
        shared = secret.exchange(X25519PublicKey.from_public_bytes(theirs))
    except ValueError:  # the all-zero result (RFC 7748, section 6.1)
        raise LinkRefused("The other side's key is none.") from None
    transcript = hashlib.sha256(encode(_Transcript(_TRANSCRIPT, newcomer, sibling))).digest()
    drawn = int.from_bytes(hashlib.sha256(encode_opaque(_CODE) + transcript).digest()[:5])
    letters = "".join(LETTERS[drawn >> 5 * place & 31] for place in range(CODE_LETTERS))
    return Meeting(newcomer, sibling, _grouped(letters), transcript, shared)
