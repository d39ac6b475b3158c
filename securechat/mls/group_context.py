"""The group context (RFC 9420 section 8.1): what all members agree on in an epoch."""

from securechat.mls.codec import Opaque, Uint16, WireStruct
from securechat.mls.extensions import Extension
from securechat.mls.nodes import Epoch, ProtocolVersion, Uint64Epoch


class GroupContext(WireStruct, frozen=True):
    version: Uint16
    cipher_suite: Uint16
    group_id: Opaque
    epoch: Uint64Epoch
    tree_hash: Opaque
    confirmed_transcript_hash: Opaque
    extensions: tuple[Extension, ...] = ()


def first_context(
    *, cipher_suite: int, group_id: bytes, tree_hash: bytes, extensions: tuple[Extension, ...]
) -> GroupContext:
    """Return the context of a new group's epoch 0 (section 11)."""
    return GroupContext(
        version=ProtocolVersion.MLS10,
        cipher_suite=cipher_suite,
        group_id=group_id,
        epoch=Epoch(0),
        tree_hash=tree_hash,
        confirmed_transcript_hash=b"",
        extensions=extensions,
    )
