"""Signing, tagging, sealing and opening messages (RFC 9420 section 6).

Nothing here keeps state: the keys come from the epoch and the secret tree, and what was opened
is the caller's to judge. ``context`` is always the encoded GroupContext of the message's epoch.
"""

from collections.abc import Callable
from typing import Final

import msgspec

from securechat.mls.cipher_suite import CipherSuite
from securechat.mls.codec import (
    Opaque,
    Shape,
    WireStruct,
    decode,
    encode,
    encode_before,
    encode_opaque,
)
from securechat.mls.commit import Commit
from securechat.mls.errors import DecodeError, SecretError, UsageError
from securechat.mls.framing import (
    AuthenticatedContent,
    ContentType,
    ContentValue,
    FramedContent,
    Member,
    NewMemberCommit,
    PrivateMessage,
    PublicMessage,
    SenderData,
    WireFormat,
)
from securechat.mls.nodes import ProtocolVersion
from securechat.mls.proposals import PROPOSAL
from securechat.mls.randomness import random_bytes
from securechat.mls.secret_tree import MessageKey, Ratchet
from securechat.mls.signature import SigningKey

Padding = Callable[[int], int]
"""Given how many bytes would be sealed, how many zero bytes to add."""

RATCHETS: Final = {
    ContentType.APPLICATION: Ratchet.APPLICATION,
    ContentType.PROPOSAL: Ratchet.HANDSHAKE,
    ContentType.COMMIT: Ratchet.HANDSHAKE,
}

_LABEL: Final = "FramedContentTBS"
_VERSION: Final = ProtocolVersion.MLS10.to_bytes(2, "big")


class _Tag(WireStruct, frozen=True):
    """A signature or tag at the end of a PrivateMessageContent."""

    value: Opaque


_CONTENT: Final[dict[ContentType, Shape[ContentValue]]] = {
    ContentType.APPLICATION: Shape(Opaque),
    ContentType.PROPOSAL: Shape(PROPOSAL.annotation),
    ContentType.COMMIT: Shape(Commit),
}
_TAG: Final = Shape[_Tag](_Tag)


def no_padding(_length: int) -> int:
    """Add nothing."""
    return 0


def padded_to(sizes: tuple[int, ...]) -> Padding:
    """Fill up to the next of ``sizes`` (bytes, rising), above the last to a multiple of it."""

    def padding(length: int) -> int:
        for size in sizes:
            if length <= size:
                return size - length
        return -length % sizes[-1]

    return padding


def framed_content_tbs(content: FramedContent, wire_format: WireFormat, *, context: bytes) -> bytes:
    """Return what the signature covers (section 6.1)."""
    tbs = _VERSION + wire_format.to_bytes(2, "big") + encode(content)
    return tbs + context if isinstance(content.sender, Member | NewMemberCommit) else tbs


def sign(
    content: FramedContent, wire_format: WireFormat, *, context: bytes, signer: SigningKey
) -> AuthenticatedContent:
    """Return ``content`` signed; a commit still lacks its confirmation tag."""
    tbs = framed_content_tbs(content, wire_format, context=context)
    return AuthenticatedContent(wire_format, content, signer.sign_with_label(_LABEL, tbs))


def confirmed(commit: AuthenticatedContent, confirmation_tag: bytes) -> AuthenticatedContent:
    """Return a signed commit with its confirmation tag."""
    return msgspec.structs.replace(commit, confirmation_tag=confirmation_tag)


def signature_holds(
    suite: CipherSuite, message: AuthenticatedContent, *, context: bytes, public_key: bytes
) -> bool:
    """Whether ``message`` is signed by ``public_key`` (section 6.1)."""
    tbs = framed_content_tbs(message.content, message.wire_format, context=context)
    return suite.verify_with_label(public_key, _LABEL, tbs, signature=message.signature)


def seal_public(
    suite: CipherSuite, message: AuthenticatedContent, *, membership_key: bytes | None, context: bytes
) -> PublicMessage:
    """Return ``message`` to be sent in the clear; a member's gets its membership tag (section 6.2)."""
    if message.wire_format is not WireFormat.PUBLIC_MESSAGE or isinstance(message.content.content, bytes):
        raise UsageError("application messages are sent encrypted only")  # section 6
    tag = None
    if isinstance(message.content.sender, Member):
        if membership_key is None:
            raise UsageError("a member's message needs the membership key")
        tag = suite.mac(membership_key, _tbm(message, context))
    return PublicMessage(message.content, message.signature, message.confirmation_tag, tag)


def check_membership_tag(
    suite: CipherSuite, message: PublicMessage, *, membership_key: bytes, context: bytes
) -> None:
    """Section 6.2: a member's PublicMessage carries a tag that only members can make."""
    if not isinstance(message.content.sender, Member):
        return
    tbm = _tbm(message.authenticated, context)
    if not suite.mac_matches(membership_key, tbm, tag=message.membership_tag or b""):
        raise SecretError("membership-tag", "6.2", "the tag is not the group's")


def _tbm(message: AuthenticatedContent, context: bytes) -> bytes:
    tbs = framed_content_tbs(message.content, message.wire_format, context=context)
    return tbs + _authentication(message)


def _authentication(message: AuthenticatedContent) -> bytes:
    """Return the encoded FramedContentAuthData (section 6.1)."""
    if message.confirmation_tag is None:
        return encode_opaque(message.signature)
    return encode_opaque(message.signature) + encode_opaque(message.confirmation_tag)


def seal_private(
    suite: CipherSuite,
    message: AuthenticatedContent,
    *,
    sender_data_secret: bytes,
    key: MessageKey,
    padding: Padding = no_padding,
) -> PrivateMessage:
    """Return ``message`` encrypted with ``key``, which must be consumed before it is sent (6.3.1)."""
    content = message.content
    if not isinstance(content.sender, Member):
        raise UsageError("only members can encrypt")  # section 6.3.2
    content_type = content.content_type
    plaintext = _CONTENT[content_type].encode(content.content) + _authentication(message)
    if (zeros := padding(len(plaintext))) < 0:
        raise UsageError("a padding takes nothing away")
    reuse_guard = random_bytes(4)
    head = encode_opaque(content.group_id) + content.epoch.to_bytes(8, "big") + bytes([content_type])
    ciphertext = suite.aead.seal(
        key.key,
        _guarded(key.nonce, reuse_guard),
        plaintext + bytes(zeros),
        aad=head + encode_opaque(content.authenticated_data),
    )
    sender_data = (
        content.sender.leaf_index.to_bytes(4, "big") + key.generation.to_bytes(4, "big") + reuse_guard
    )
    data_key, data_nonce = sender_data_key(suite, sender_data_secret, ciphertext)
    return PrivateMessage(
        content.group_id,
        content.epoch,
        content_type,
        content.authenticated_data,
        suite.aead.seal(data_key, data_nonce, sender_data, aad=head),
        ciphertext,
    )


def open_sender_data(suite: CipherSuite, message: PrivateMessage, *, sender_data_secret: bytes) -> SenderData:
    """Return who sealed ``message``; SecretError if that does not open or decode (section 6.3.2)."""
    key, nonce = sender_data_key(suite, sender_data_secret, message.ciphertext)
    data = suite.aead.open(
        key, nonce, message.encrypted_sender_data, aad=encode_before(message, "authenticated_data")
    )
    try:
        return decode(SenderData, data)
    except DecodeError as error:
        raise SecretError("sender-data", "6.3.2", str(error)) from None


def open_private(
    suite: CipherSuite, message: PrivateMessage, sender: SenderData, key: MessageKey
) -> AuthenticatedContent:
    """Return what ``message`` holds; its signature is still to be checked (section 6.3.1)."""
    plaintext = suite.aead.open(
        key.key,
        _guarded(key.nonce, sender.reuse_guard),
        message.ciphertext,
        aad=encode_before(message, "encrypted_sender_data"),
    )
    try:
        content, end = _CONTENT[message.content_type].decode_from(plaintext, 0)
        signature, end = _TAG.decode_from(plaintext, end)
        tag = None
        if message.content_type is ContentType.COMMIT:
            tag, end = _TAG.decode_from(plaintext, end)
    except DecodeError as error:
        raise SecretError("private-content", "6.3.1", str(error)) from None
    if plaintext.count(0, end) != len(plaintext) - end:
        raise SecretError("padding", "6.3.1", "the padding is not all zero")
    framed = FramedContent(
        message.group_id, message.epoch, Member(sender.leaf_index), message.authenticated_data, content
    )
    return AuthenticatedContent(
        WireFormat.PRIVATE_MESSAGE, framed, signature.value, None if tag is None else tag.value
    )


def sender_data_key(suite: CipherSuite, secret: bytes, ciphertext: bytes) -> tuple[bytes, bytes]:
    """Return key and nonce for the sender data that goes with ``ciphertext`` (section 6.3.2)."""
    sample = ciphertext[: suite.hash_length]
    return (
        suite.expand_with_label(secret, "key", sample, suite.aead.key_length),
        suite.expand_with_label(secret, "nonce", sample, suite.aead.nonce_length),
    )


def _guarded(nonce: bytes, reuse_guard: bytes) -> bytes:
    head = int.from_bytes(nonce[:4], "big") ^ int.from_bytes(reuse_guard, "big")
    return head.to_bytes(4, "big") + nonce[4:]
