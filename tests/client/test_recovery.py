"""The server's GroupInfo is compared with where the log led, to the last hash (rules.md D, M-15)."""

from pathlib import Path

import msgspec
import pytest

from securechat.client.recovery import matches
from securechat.mls.framing import GroupInfo, decode_message, encode_message
from tests.client.members import MemberOf


@pytest.fixture
def alice(tmp_path: Path) -> MemberOf:
    alice = MemberOf(tmp_path, "alice")
    alice.founds()
    return alice


def test_the_group_info_of_the_epoch_we_followed_matches(alice: MemberOf) -> None:
    assert matches(alice.group.public, alice.group.group_info())


@pytest.mark.parametrize("field", ["tree_hash", "confirmed_transcript_hash", "group_id"])
def test_one_that_differs_in_a_hash_does_not(alice: MemberOf, field: str) -> None:
    offered = decode_message(alice.group.group_info())
    assert isinstance(offered, GroupInfo)
    context = msgspec.structs.replace(offered.group_context, **{field: b"x" * 32})

    assert not matches(
        alice.group.public, encode_message(msgspec.structs.replace(offered, group_context=context))
    )


def test_one_with_another_tag_does_not(alice: MemberOf) -> None:
    offered = decode_message(alice.group.group_info())
    assert isinstance(offered, GroupInfo)

    for tag in (b"", b"x" * 32, offered.confirmation_tag[:-1]):
        changed = encode_message(msgspec.structs.replace(offered, confirmation_tag=tag))
        assert not matches(alice.group.public, changed)


@pytest.mark.parametrize("data", [b"", b"nonsense", bytes(100)])
def test_what_is_no_group_info_does_not(alice: MemberOf, data: bytes) -> None:
    assert not matches(alice.group.public, data)
