"""What a commit may carry, before anything in it is looked at (O-07, M-01)."""

import pytest

from securechat.mls.codec import decode, encode, encode_opaque
from securechat.mls.commit import MAX_PATH, MAX_PROPOSALS, MAX_RECIPIENTS, Commit, UpdatePathNode
from securechat.mls.errors import DecodeError
from securechat.mls.hpke import HPKECiphertext
from securechat.mls.proposals import ProposalRef

REFERENCE = ProposalRef(b"r" * 32)


def test_o_07_a_commit_takes_as_many_proposals_as_a_group_can_need() -> None:
    most = Commit((REFERENCE,) * MAX_PROPOSALS, None)
    assert decode(Commit, encode(most)) == most
    with pytest.raises(DecodeError, match="more than the 4096 items"):
        decode(Commit, encode(Commit((REFERENCE,) * (MAX_PROPOSALS + 1), None)))


def test_o_07_of_half_a_million_small_proposals_few_are_read() -> None:
    """The first one too many ends it: what follows may even be nonsense."""
    remove = b"\x01\x00\x03\x00\x00\x00\x05"
    bomb = encode_opaque(remove * (MAX_PROPOSALS + 1) + b"\xff" * 3_000_000) + b"\x00"
    with pytest.raises(DecodeError, match="more than the 4096 items"):
        decode(Commit, bomb)


def test_o_07_secrets_of_a_path_are_counted_too() -> None:
    sealed = HPKECiphertext(b"", b"")
    most = UpdatePathNode(b"k", (sealed,) * MAX_RECIPIENTS)
    assert decode(UpdatePathNode, encode(most)) == most
    with pytest.raises(DecodeError, match="more than"):
        decode(UpdatePathNode, encode(UpdatePathNode(b"k", (sealed,) * (MAX_RECIPIENTS + 1))))
    assert MAX_PATH == 32
