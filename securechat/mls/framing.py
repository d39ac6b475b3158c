"""Messages (RFC 9420 section 6), and what a newcomer gets (sections 12.4.3 and 12.4.3.1).

The tags of the RFC's selects are told by the class of the value: the sender of a message is a
``Member``, an ``ExternalSenderIndex``, a ``NewMemberProposal`` or a ``NewMemberCommit``; its
content is bytes, a proposal or a ``Commit``.
"""

from typing import Annotated, Final

from securechat.mls.codec import (
    Enum8,
    Enum16,
    FixedBytes,
    KeptStruct,
    Opaque,
    PresentIf,
    SecretStruct,
    Shape,
    Tagged,
    Uint16,
    Uint32,
    WireStruct,
    encode,
)
from securechat.mls.commit import Commit
from securechat.mls.errors import DecodeError
from securechat.mls.extensions import Extension
from securechat.mls.group_context import GroupContext
from securechat.mls.hpke import HPKECiphertext
from securechat.mls.key_package import KeyPackage
from securechat.mls.nodes import ProtocolVersion, Uint32LeafIndex, Uint64Epoch
from securechat.mls.proposals import Proposal, ProposalValue
from securechat.mls.psk import PreSharedKeyID


class WireFormat(Enum16):
    PUBLIC_MESSAGE = 1
    PRIVATE_MESSAGE = 2
    WELCOME = 3
    GROUP_INFO = 4
    KEY_PACKAGE = 5


class ContentType(Enum8):
    APPLICATION = 1
    PROPOSAL = 2
    COMMIT = 3


class SenderType(Enum8):
    MEMBER = 1
    EXTERNAL = 2
    NEW_MEMBER_PROPOSAL = 3
    NEW_MEMBER_COMMIT = 4


class Member(WireStruct, frozen=True):
    leaf_index: Uint32LeafIndex


class ExternalSenderIndex(WireStruct, frozen=True):
    """An entry of the group's external_senders extension."""

    sender_index: Uint32


class NewMemberProposal(WireStruct, frozen=True):
    """Somebody who asks to be added."""


class NewMemberCommit(WireStruct, frozen=True):
    """Somebody who joins by an external commit."""


SenderValue = Member | ExternalSenderIndex | NewMemberProposal | NewMemberCommit

Sender = Annotated[
    SenderValue,
    Tagged(
        SenderType,
        {
            SenderType.MEMBER: Member,
            SenderType.EXTERNAL: ExternalSenderIndex,
            SenderType.NEW_MEMBER_PROPOSAL: NewMemberProposal,
            SenderType.NEW_MEMBER_COMMIT: NewMemberCommit,
        },
    ),
]

_SENDER_TYPES: Final = {
    Member: SenderType.MEMBER,
    ExternalSenderIndex: SenderType.EXTERNAL,
    NewMemberProposal: SenderType.NEW_MEMBER_PROPOSAL,
    NewMemberCommit: SenderType.NEW_MEMBER_COMMIT,
}


def sender_type(sender: SenderValue) -> SenderType:
    return _SENDER_TYPES[type(sender)]


ContentValue = bytes | ProposalValue | Commit

Content = Annotated[
    ContentValue,
    Tagged(
        ContentType,
        {ContentType.APPLICATION: Opaque, ContentType.PROPOSAL: Proposal, ContentType.COMMIT: Commit},
    ),
]


class FramedContent(KeptStruct, frozen=True):
    group_id: Opaque
    epoch: Uint64Epoch
    sender: Sender
    authenticated_data: Opaque
    content: Content

    @property
    def content_type(self) -> ContentType:
        return content_type(self.content)


def content_type(content: ContentValue) -> ContentType:
    match content:
        case bytes():
            return ContentType.APPLICATION
        case Commit():
            return ContentType.COMMIT
        case _:
            return ContentType.PROPOSAL


def _carries_commit(content: FramedContent) -> bool:
    return isinstance(content.content, Commit)


def _sent_by_member(content: FramedContent) -> bool:
    return isinstance(content.sender, Member)


ConfirmationTag = Annotated[Opaque | None, PresentIf("content", _carries_commit)]
MembershipTag = Annotated[Opaque | None, PresentIf("content", _sent_by_member)]


class AuthenticatedContent(WireStruct, frozen=True):
    """A content with its authentication, whichever way it travels (section 6.1)."""

    wire_format: WireFormat
    content: FramedContent
    signature: Opaque
    confirmation_tag: ConfirmationTag = None


class PublicMessage(WireStruct, frozen=True):
    """Signed, and for members' messages with a membership tag (section 6.2)."""

    content: FramedContent
    signature: Opaque
    confirmation_tag: ConfirmationTag = None
    membership_tag: MembershipTag = None

    @property
    def authenticated(self) -> AuthenticatedContent:
        """What the signature and the membership tag authenticate."""
        return AuthenticatedContent(
            WireFormat.PUBLIC_MESSAGE, self.content, self.signature, self.confirmation_tag
        )


class PrivateMessage(WireStruct, frozen=True):
    """Signed and encrypted (section 6.3)."""

    group_id: Opaque
    epoch: Uint64Epoch
    content_type: ContentType
    authenticated_data: Opaque
    encrypted_sender_data: Opaque
    ciphertext: Opaque


class SenderData(WireStruct, frozen=True):
    """Who sealed a PrivateMessage, and with which key (section 6.3.2)."""

    leaf_index: Uint32LeafIndex
    generation: Uint32
    reuse_guard: Annotated[bytes, FixedBytes(4)]


class GroupInfo(WireStruct, frozen=True):
    """An epoch of a group, for somebody who joins it (section 12.4.3)."""

    group_context: GroupContext
    extensions: tuple[Extension, ...]
    confirmation_tag: Opaque
    signer: Uint32LeafIndex
    signature: Opaque = b""


class PathSecret(SecretStruct, frozen=True):
    path_secret: Opaque


class GroupSecrets(SecretStruct, frozen=True):
    """What a Welcome gives to one new member, encrypted to its init key (section 12.4.3.1)."""

    joiner_secret: Opaque
    path_secret: PathSecret | None
    psks: tuple[PreSharedKeyID, ...]


class EncryptedGroupSecrets(WireStruct, frozen=True):
    new_member: Opaque
    encrypted_group_secrets: HPKECiphertext


class Welcome(WireStruct, frozen=True):
    cipher_suite: Uint16
    secrets: tuple[EncryptedGroupSecrets, ...]
    encrypted_group_info: Opaque


MessageBody = PublicMessage | PrivateMessage | Welcome | GroupInfo | KeyPackage


class MLSMessage(WireStruct, frozen=True):
    """Anything that travels (section 6)."""

    version: ProtocolVersion
    body: Annotated[
        MessageBody,
        Tagged(
            WireFormat,
            {
                WireFormat.PUBLIC_MESSAGE: PublicMessage,
                WireFormat.PRIVATE_MESSAGE: PrivateMessage,
                WireFormat.WELCOME: Welcome,
                WireFormat.GROUP_INFO: GroupInfo,
                WireFormat.KEY_PACKAGE: KeyPackage,
            },
        ),
    ]


_MESSAGE: Final = Shape[MLSMessage](MLSMessage)


def encode_message(body: MessageBody) -> bytes:
    """Return ``body`` as an MLSMessage."""
    return encode(MLSMessage(ProtocolVersion.MLS10, body))


def decode_message(data: bytes) -> MessageBody:
    """Return what the MLSMessage ``data`` carries; DecodeError if it is none."""
    body = _MESSAGE.decode(data).body
    if isinstance(body, KeyPackage) and body.version != ProtocolVersion.MLS10:  # section 10
        raise DecodeError("a key package has another version than its message")
    return body
