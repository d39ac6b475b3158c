"""What an insider with all the group's secrets could send: messages bent in one place, the rest true."""

from dataclasses import dataclass
from typing import Any

import msgspec

from securechat.mls import protection
from securechat.mls.codec import encode, encode_before
from securechat.mls.commit import Commit
from securechat.mls.framing import (
    AuthenticatedContent,
    ContentType,
    ContentValue,
    FramedContent,
    Member,
    PrivateMessage,
    PublicMessage,
    SenderData,
    SenderValue,
    WireFormat,
    decode_message,
    encode_message,
)
from securechat.mls.group import Group
from securechat.mls.nodes import LeafIndex
from securechat.mls.secret_tree import MessageKey, SecretTree
from securechat.mls.signature import SigningKey


@dataclass(frozen=True, slots=True)
class Forger:
    """An insider: it knows what ``group`` knows."""

    group: Group

    def sign(
        self,
        content: ContentValue,
        *,
        wire_format: WireFormat = WireFormat.PUBLIC_MESSAGE,
        sender: SenderValue | None = None,
        signer: SigningKey | None = None,
        **fields: Any,
    ) -> AuthenticatedContent:
        """Sign a content; ``fields`` replace those of its FramedContent."""
        context = self.group.state.context
        framed = FramedContent(
            context.group_id, context.epoch, sender or Member(self.group.own_leaf), b"", content
        )
        return protection.sign(
            msgspec.structs.replace(framed, **fields),
            wire_format,
            context=self.group.state.context_bytes,
            signer=signer or self.group.identity.signature_key,
        )

    def tagged(self, message: AuthenticatedContent, confirmation_tag: bytes = bytes(32)) -> bytes:
        """Return a signed message with a true membership tag, and this confirmation tag."""
        if isinstance(message.content.content, Commit):
            message = protection.confirmed(message, confirmation_tag)
        public = protection.seal_public(
            self.group.suite,
            message,
            membership_key=self.group.state.secrets.membership_key,
            context=self.group.state.context_bytes,
        )
        return encode_message(public)

    def public(self, content: ContentValue, **fields: Any) -> bytes:
        return self.tagged(self.sign(content, **fields))

    def private(
        self,
        content: ContentValue,
        *,
        key: MessageKey | None = None,
        signer: SigningKey | None = None,
        sender: LeafIndex | None = None,
        padding: bytes = b"",
    ) -> bytes:
        """Seal a content with any key, as any sender, with any padding."""
        leaf = self.group.own_leaf if sender is None else sender
        signed = self.sign(
            content, wire_format=WireFormat.PRIVATE_MESSAGE, sender=Member(leaf), signer=signer
        )
        if isinstance(content, Commit):
            signed = protection.confirmed(signed, bytes(32))
        ratchet = protection.RATCHETS[signed.content.content_type]
        found = key or self.secrets().find_next(leaf, ratchet)
        sealed = protection.seal_private(
            self.group.suite,
            signed,
            sender_data_secret=self.group.state.secrets.sender_data_secret,
            key=found,
        )
        if padding:
            sealed = self._padded(sealed, found, padding)
        return encode_message(sealed)

    def _padded(self, sealed: PrivateMessage, key: MessageKey, padding: bytes) -> PrivateMessage:
        aead, secret = self.group.suite.aead, self.group.state.secrets.sender_data_secret
        sender = protection.open_sender_data(self.group.suite, sealed, sender_data_secret=secret)
        nonce = protection._guarded(key.nonce, sender.reuse_guard)
        aad = encode_before(sealed, "encrypted_sender_data")
        plaintext = aead.open(key.key, nonce, sealed.ciphertext, aad=aad)
        ciphertext = aead.seal(key.key, nonce, plaintext + padding, aad=aad)
        return self.with_sender_data(msgspec.structs.replace(sealed, ciphertext=ciphertext), sender)

    def with_sender_data(self, sealed: PrivateMessage, sender: SenderData) -> PrivateMessage:
        """Return ``sealed`` with other sender data, truly encrypted for its ciphertext."""
        suite, secret = self.group.suite, self.group.state.secrets.sender_data_secret
        key, nonce = protection.sender_data_key(suite, secret, sealed.ciphertext)
        aad = encode_before(sealed, "authenticated_data")
        data = suite.aead.seal(key, nonce, encode(sender), aad=aad)
        return msgspec.structs.replace(sealed, encrypted_sender_data=data)

    def claiming(self, message: bytes, **fields: Any) -> bytes:
        """Return an application message whose sender data says something else."""
        sealed = decode_message(message)
        assert isinstance(sealed, PrivateMessage)
        secret = self.group.state.secrets.sender_data_secret
        sender = protection.open_sender_data(self.group.suite, sealed, sender_data_secret=secret)
        return encode_message(self.with_sender_data(sealed, msgspec.structs.replace(sender, **fields)))

    def secrets(self) -> SecretTree:
        """A copy of the message secrets, to take keys from without using them up."""
        return SecretTree.from_bytes(self.group.suite, self.group._now.secrets.to_bytes())


def public_message(data: bytes) -> PublicMessage:
    message = decode_message(data)
    assert isinstance(message, PublicMessage)
    return message


def changed(data: bytes, **fields: Any) -> bytes:
    """Return a message with some of its fields replaced and nothing signed or tagged anew."""
    body = decode_message(data)
    return encode_message(msgspec.structs.replace(body, **fields))


def content_type_of(data: bytes) -> ContentType:
    message = decode_message(data)
    assert isinstance(message, PublicMessage | PrivateMessage)
    return message.content.content_type if isinstance(message, PublicMessage) else message.content_type
