"""Commits and the paths they carry (RFC 9420 sections 7.6 and 12.4)."""

from typing import Annotated, Final

from securechat.mls.codec import AtMost, Opaque, WireStruct
from securechat.mls.hpke import HPKECiphertext
from securechat.mls.nodes import LeafNode
from securechat.mls.proposals import ProposalOrRef

MAX_PROPOSALS: Final = 4_096
"""Of one commit: every member of a group of a thousand updated, removed and added anew. Of the smallest
ones a commit of 3 MiB would hold half a million, a second's work to refuse (O-07)."""

MAX_PATH: Final = 32
"""Nodes of a path: leaves are counted in 32 bits."""

MAX_RECIPIENTS: Final = 4_096
"""Members that one node's secret is sealed for, where nothing above them is filled."""


class UpdatePathNode(WireStruct, frozen=True):
    """A new key of the committer's filtered direct path, and its secret for each member below its copath."""

    encryption_key: Opaque
    encrypted_path_secret: Annotated[tuple[HPKECiphertext, ...], AtMost(MAX_RECIPIENTS)]


class UpdatePath(WireStruct, frozen=True):
    leaf_node: LeafNode
    nodes: Annotated[tuple[UpdatePathNode, ...], AtMost(MAX_PATH)]


class Commit(WireStruct, frozen=True):
    proposals: Annotated[tuple[ProposalOrRef, ...], AtMost(MAX_PROPOSALS)]
    path: UpdatePath | None
