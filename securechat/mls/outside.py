"""Proposals from outside a group (RFC 9420 section 12.1.8): by a named sender, or by who wants in.

They need no state: the group's id and epoch are enough. Members ``examine`` and ``accept`` them
like others', and what an outsider may ask for is policy's to judge.
"""

from typing import Final

from securechat.mls import protection
from securechat.mls.errors import UsageError
from securechat.mls.extensions import EXTERNAL_SENDERS, Extension, ExtensionType, ExternalSender
from securechat.mls.framing import (
    ExternalSenderIndex,
    FramedContent,
    NewMemberProposal,
    PublicMessage,
    SenderValue,
    WireFormat,
    encode_message,
    sender_type,
)
from securechat.mls.key_package import Identity, KeyPackage
from securechat.mls.nodes import Epoch
from securechat.mls.proposal_rules import check_sender_may_propose
from securechat.mls.proposals import Add, ProposalValue
from securechat.mls.signature import SigningKey

_NO_CONTEXT: Final = b""
"""Who is outside does not sign the group context (section 6.1)."""


def allow_senders(*senders: ExternalSender) -> Extension:
    """Return the group context extension that names who may propose from outside, in this order."""
    return Extension(ExtensionType.EXTERNAL_SENDERS, EXTERNAL_SENDERS.encode(senders))


def propose_externally(
    proposal: ProposalValue,
    signer: SigningKey,
    *,
    group_id: bytes,
    epoch: int,
    sender_index: int,
    authenticated_data: bytes = b"",
) -> bytes:
    """Return a proposal of the external sender at ``sender_index``; ValidationError if it may not make it."""
    sender = ExternalSenderIndex(sender_index)
    return _message(proposal, sender, signer, (group_id, Epoch(epoch)), authenticated_data)


def propose_joining(
    key_package: KeyPackage,
    identity: Identity,
    *,
    group_id: bytes,
    epoch: int,
    authenticated_data: bytes = b"",
) -> bytes:
    """Return our own wish to be added; who commits it sends the Welcome."""
    if key_package.leaf_node.signature_key != identity.signature_key.public:
        raise UsageError("the key package is not of this identity")
    place = (group_id, Epoch(epoch))
    return _message(Add(key_package), NewMemberProposal(), identity.signature_key, place, authenticated_data)


def _message(
    proposal: ProposalValue,
    sender: SenderValue,
    signer: SigningKey,
    place: tuple[bytes, Epoch],
    authenticated_data: bytes,
) -> bytes:
    check_sender_may_propose(proposal, sender_type(sender))
    content = FramedContent(*place, sender, authenticated_data, proposal)
    signed = protection.sign(content, WireFormat.PUBLIC_MESSAGE, context=_NO_CONTEXT, signer=signer)
    return encode_message(PublicMessage(signed.content, signed.signature))
