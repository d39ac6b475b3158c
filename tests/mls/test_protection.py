"""Messages that nobody makes (RFC 9420 section 6): our own mistakes, named before anything is sent."""

import pytest

from securechat.mls.cipher_suite import SUITE_3
from securechat.mls.errors import UsageError
from securechat.mls.framing import (
    AuthenticatedContent,
    ContentValue,
    FramedContent,
    Member,
    NewMemberCommit,
    SenderValue,
    WireFormat,
)
from securechat.mls.nodes import Epoch, LeafIndex
from securechat.mls.proposals import SelfRemove
from securechat.mls.protection import seal_private, seal_public
from securechat.mls.secret_tree import MessageKey, Ratchet

MEMBER = Member(LeafIndex(1))
KEY = MessageKey(LeafIndex(1), Ratchet.APPLICATION, 0, bytes(32), bytes(12))


def message(
    content: ContentValue,
    sender: SenderValue = MEMBER,
    wire_format: WireFormat = WireFormat.PUBLIC_MESSAGE,
) -> AuthenticatedContent:
    return AuthenticatedContent(
        wire_format, FramedContent(b"tea", Epoch(1), sender, b"", content), b"signature"
    )


@pytest.mark.parametrize(
    "forbidden",
    [message(b"hello"), message(SelfRemove(), wire_format=WireFormat.PRIVATE_MESSAGE)],
    ids=["words", "signed to be encrypted"],
)
def test_what_belongs_into_a_private_message_is_not_sent_in_the_clear(
    forbidden: AuthenticatedContent,
) -> None:
    with pytest.raises(UsageError, match="encrypted only"):
        seal_public(SUITE_3, forbidden, membership_key=bytes(32), context=b"")


def test_a_members_message_has_a_tag_and_nobody_elses_has() -> None:
    """6.2: the tag says that the sender is a member."""
    with pytest.raises(UsageError, match="membership key"):
        seal_public(SUITE_3, message(SelfRemove()), membership_key=None, context=b"")
    assert seal_public(SUITE_3, message(SelfRemove()), membership_key=bytes(32), context=b"").membership_tag
    outside = message(SelfRemove(), NewMemberCommit())
    assert seal_public(SUITE_3, outside, membership_key=None, context=b"").membership_tag is None


def test_who_is_no_member_cannot_encrypt() -> None:
    private = message(b"hello", NewMemberCommit(), WireFormat.PRIVATE_MESSAGE)
    with pytest.raises(UsageError, match="members"):
        seal_private(SUITE_3, private, sender_data_secret=bytes(32), key=KEY)


def test_the_same_twice_with_one_key_is_not_sealed_alike() -> None:
    """6.3.1: a fresh reuse guard, for who was cloned or restored and does not know that a key was used."""
    private = message(b"hello", wire_format=WireFormat.PRIVATE_MESSAGE)
    first, second = (seal_private(SUITE_3, private, sender_data_secret=bytes(32), key=KEY) for _ in range(2))
    assert first.ciphertext != second.ciphertext
