"""Commits and the paths they carry (RFC 9420 sections 7.6 and 12.4)."""

from securechat.mls.codec import Opaque, WireStruct
from securechat.mls.hpke import HPKECiphertext
from securechat.mls.nodes import LeafNode
from securechat.mls.proposals import ProposalOrRef


class UpdatePathNode(WireStruct, frozen=True):
    """A new key of the committer's filtered direct path, and its secret for each member below its copath."""

    encryption_key: Opaque
    encrypted_path_secret: tuple[HPKECiphertext, ...]


class UpdatePath(WireStruct, frozen=True):
    leaf_node: LeafNode
    nodes: tuple[UpdatePathNode, ...]


class Commit(WireStruct, frozen=True):
    proposals: tuple[ProposalOrRef, ...]
    path: UpdatePath | None
