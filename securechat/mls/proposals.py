"""Proposals (RFC 9420 section 12.1), each a class; SelfRemove from draft-ietf-mls-extensions."""

from typing import Annotated, Final

from securechat.mls.codec import Enum8, Enum16, Opaque, Shape, Tagged, Uint16, WireStruct
from securechat.mls.extensions import Extension
from securechat.mls.key_package import KeyPackage
from securechat.mls.nodes import LeafNode, Uint32LeafIndex
from securechat.mls.psk import PreSharedKeyID


class ProposalType(Enum16):
    ADD = 0x0001
    UPDATE = 0x0002
    REMOVE = 0x0003
    PSK = 0x0004
    REINIT = 0x0005
    EXTERNAL_INIT = 0x0006
    GROUP_CONTEXT_EXTENSIONS = 0x0007
    SELF_REMOVE = 0x000A  # draft-ietf-mls-extensions section 6.3: "suggested", may still move


class Add(WireStruct, frozen=True):
    """Let the owner of a key package in (section 12.1.1)."""

    key_package: KeyPackage


class Update(WireStruct, frozen=True):
    """Replace the sender's leaf (section 12.1.2)."""

    leaf_node: LeafNode


class Remove(WireStruct, frozen=True):
    """Take a member out, by its leaf (section 12.1.3)."""

    removed: Uint32LeafIndex


class PreSharedKeyProposal(WireStruct, frozen=True):
    """Mix a pre-shared key into the next epoch (section 12.1.4)."""

    psk: PreSharedKeyID


class ReInit(WireStruct, frozen=True):
    """Close the group, to go on as another with these parameters (section 12.1.5)."""

    group_id: Opaque
    version: Uint16
    cipher_suite: Uint16
    extensions: tuple[Extension, ...] = ()


class ExternalInit(WireStruct, frozen=True):
    """What an external commit has in place of the init secret (section 12.1.6)."""

    kem_output: Opaque


class GroupContextExtensions(WireStruct, frozen=True):
    """Replace all extensions of the group context (section 12.1.7)."""

    extensions: tuple[Extension, ...]


class SelfRemove(WireStruct, frozen=True):
    """The sender leaves; a commit takes it by reference only."""


ProposalValue = (
    Add | Update | Remove | PreSharedKeyProposal | ReInit | ExternalInit | GroupContextExtensions | SelfRemove
)

PROPOSAL_CLASSES: Final[dict[ProposalType, type[WireStruct]]] = {
    ProposalType.ADD: Add,
    ProposalType.UPDATE: Update,
    ProposalType.REMOVE: Remove,
    ProposalType.PSK: PreSharedKeyProposal,
    ProposalType.REINIT: ReInit,
    ProposalType.EXTERNAL_INIT: ExternalInit,
    ProposalType.GROUP_CONTEXT_EXTENSIONS: GroupContextExtensions,
    ProposalType.SELF_REMOVE: SelfRemove,
}

_TYPES: Final = {cls: proposal_type for proposal_type, cls in PROPOSAL_CLASSES.items()}

Proposal = Annotated[ProposalValue, Tagged(ProposalType, PROPOSAL_CLASSES)]

PROPOSAL: Final = Shape[ProposalValue](Proposal)
"""A proposal with its type in front."""


def proposal_type(proposal: ProposalValue) -> ProposalType:
    return _TYPES[type(proposal)]


class ProposalOrRefType(Enum8):
    PROPOSAL = 1
    REFERENCE = 2


class ProposalRef(WireStruct, frozen=True):
    """The hash of the message that carried a proposal (section 5.2)."""

    reference: Opaque


ProposalOrRef = Annotated[
    ProposalValue | ProposalRef,
    Tagged(
        ProposalOrRefType,
        {ProposalOrRefType.PROPOSAL: Proposal, ProposalOrRefType.REFERENCE: ProposalRef},
    ),
]
