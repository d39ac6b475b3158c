"""Our own messages and proposals, and reading others' messages (RFC 9420 sections 6, 12.1 and 15)."""

from dataclasses import dataclass, field

from securechat.mls import protection
from securechat.mls.epoch import EpochState, Reading, check_message_signature, open_message
from securechat.mls.errors import ValidationError
from securechat.mls.framing import (
    ContentValue,
    FramedContent,
    Member,
    PrivateMessage,
    WireFormat,
    encode_message,
)
from securechat.mls.key_package import Identity, check_identity
from securechat.mls.nodes import Epoch, FromUpdate, LeafIndex, LeafNode, sign_leaf_node
from securechat.mls.processing import OwnUpdate
from securechat.mls.proposals import ProposalValue, Update
from securechat.mls.protection import Padding
from securechat.mls.secret_tree import Ratchet, SecretTree
from securechat.mls.signature import SigningKey


@dataclass(frozen=True, slots=True)
class DecryptedMessage:
    """An application message that is authentic: from whom, and what it says."""

    sender: LeafIndex
    content: bytes = field(repr=False)
    authenticated_data: bytes
    generation: int
    sender_leaf: LeafNode
    """The sender's leaf in the message's own epoch."""
    epoch: Epoch


def encrypt_application(
    state: EpochState,
    secrets: SecretTree,
    signer: SigningKey,
    content: bytes,
    *,
    authenticated_data: bytes,
    padding: Padding,
) -> bytes:
    """Return an application message, its key consumed."""
    signed = protection.sign(
        _framed(state, content, authenticated_data),
        WireFormat.PRIVATE_MESSAGE,
        context=state.context_bytes,
        signer=signer,
    )
    key = secrets.find_next(state.own_leaf, Ratchet.APPLICATION)
    sealed = protection.seal_private(
        state.suite, signed, sender_data_secret=state.secrets.sender_data_secret, key=key, padding=padding
    )
    message = encode_message(sealed)
    secrets.consume(key)
    return message


def decrypt_application(reading: Reading, secrets: SecretTree, message: PrivateMessage) -> DecryptedMessage:
    """Return what an application message says; its key is consumed only if all is well."""
    opened = open_message(reading, secrets, message)
    content = opened.content.content.content
    if not isinstance(content, bytes):
        raise ValidationError("content-type", "6", "this is no application message")
    check_message_signature(reading, opened)
    secrets.consume(opened.key)
    return DecryptedMessage(
        sender=opened.key.leaf,
        content=content,
        authenticated_data=message.authenticated_data,
        generation=opened.key.generation,
        sender_leaf=opened.sender_leaf,
        epoch=message.epoch,
    )


def make_proposal(
    state: EpochState, signer: SigningKey, proposal: ProposalValue, *, authenticated_data: bytes
) -> bytes:
    """Return a proposal as a PublicMessage, its own rules checked."""
    signed = protection.sign(
        _framed(state, proposal, authenticated_data),
        WireFormat.PUBLIC_MESSAGE,
        context=state.context_bytes,
        signer=signer,
    )
    public = protection.seal_public(
        state.suite, signed, membership_key=state.secrets.membership_key, context=state.context_bytes
    )
    message = encode_message(public)
    state.public.verify_proposal(message)
    return message


def make_update(state: EpochState, identity: Identity) -> tuple[Update, OwnUpdate]:
    """Return an Update of our leaf with fresh keys, and the private ones."""
    check_identity(identity, state.suite)
    key_pair = state.suite.kem.generate()
    leaf = LeafNode(
        encryption_key=key_pair.public,
        signature_key=identity.signature_key.public,
        credential=identity.credential,
        capabilities=identity.capabilities,
        origin=FromUpdate(),
        extensions=identity.leaf_extensions,
    )
    signed = sign_leaf_node(
        leaf, identity.signature_key, group_id=state.context.group_id, leaf_index=state.own_leaf
    )
    return Update(signed), OwnUpdate(key_pair, identity.signature_key)


def _framed(state: EpochState, content: ContentValue, authenticated_data: bytes) -> FramedContent:
    context = state.context
    return FramedContent(context.group_id, context.epoch, Member(state.own_leaf), authenticated_data, content)
