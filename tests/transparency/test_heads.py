"""Signed tree heads: each rule has its lie, an honest server is always believed."""

from collections.abc import Callable
from typing import Final

import msgspec
import pytest

from securechat.mls.codec import decode, encode
from securechat.mls.errors import DecodeError
from securechat.transparency.entries import Change
from securechat.transparency.errors import Refused
from securechat.transparency.heads import (
    FATAL,
    MAX_AHEAD,
    MAX_BEHIND,
    MAX_OFFER,
    RULES,
    Extension,
    HeadOffer,
    HeadRefused,
    Judged,
    Placed,
    TreeHead,
    TrustedHead,
    accept_head,
    extend,
    extends,
    is_signed,
    judge_head,
    read_head,
    read_offer,
    sign_head,
)
from securechat.transparency.merkle import EMPTY_ROOT, MAX_CONSISTENCY, MAX_INCLUSION, MAX_SIZE
from securechat.transparency.prefix_tree import NOTHING
from tests.transparency.points import LOW_ORDER
from tests.transparency.world import (
    ALICE,
    BOB,
    KEY,
    LOG,
    NOW,
    SERVER,
    VRF,
    Directory,
    flipped,
    judged,
    signed,
    trusted,
    with_people,
)

replace = msgspec.structs.replace


def before_and_after() -> tuple[TrustedHead, Directory]:
    """What a client knows, and the same directory three entries and an hour later."""
    directory = with_people()
    known = trusted(directory)
    directory.now += 3600
    for number in range(2, 5):
        directory.publish(BOB, b"bob %d" % number)
    return known, directory


def with_head(known: TrustedHead | None, directory: Directory, **changes: object) -> Judged:
    offer = replace(directory.offer(known), head=directory.head(**changes))
    return judged(offer, known, now=directory.now)


def unknown_version() -> Judged:
    return with_head(*before_and_after(), version=2)


def of_another_server() -> Judged:
    return with_head(*before_and_after(), server_key=bytes(32))


def not_signed() -> Judged:
    known, directory = before_and_after()
    offer = directory.offer(known)
    return judged(replace(offer, head=replace(offer.head, timestamp=offer.head.timestamp + 1)), known)


def of_another_log() -> Judged:
    return with_head(*before_and_after(), log=2)


def two_logs_of_one_size() -> Judged:
    directory = with_people()
    other = directory.copied()
    directory.publish(BOB, b"shown to alice")
    other.publish(BOB, b"shown to bob")
    known = trusted(directory)
    return judged(other.offer(known), known)


def one_log_with_two_prefix_trees() -> Judged:
    directory = with_people()
    known = trusted(directory)
    return with_head(known, directory, prefix_root=bytes(range(32)))


def another_beginning() -> Judged:
    directory = with_people()
    other = directory.copied()
    directory.publish(BOB, b"shown to alice")
    known = trusted(directory)
    for number in range(3):
        other.publish(BOB, b"shown to bob %d" % number)
    return judged(other.offer(known), known)


def smaller_than_before() -> Judged:
    directory = with_people()
    old = directory.copied()
    directory.publish(BOB, b"bob 2")
    known = trusted(directory)
    return judged(old.offer(known), known)


def another_vrf_key() -> Judged:
    return with_head(*before_and_after(), vrf_key=SERVER)


def a_prefix_tree_of_its_own() -> Judged:
    return with_head(*before_and_after(), prefix_root=bytes(range(32)))


def another_last_entry() -> Judged:
    known, directory = before_and_after()
    offer = directory.offer(known)
    assert offer.last is not None
    other = replace(offer.last, entry=directory.entries[0])
    return judged(replace(offer, last=other), known, now=directory.now)


def no_last_entry() -> Judged:
    known, directory = before_and_after()
    return judged(replace(directory.offer(known), last=None), known, now=directory.now)


def a_last_entry_of_nothing() -> Judged:
    offer = replace(Directory().offer(), last=with_people().offer().last)
    return judged(offer)


def no_extension() -> Judged:
    known, directory = before_and_after()
    return judged(replace(directory.offer(known), extension=None), known, now=directory.now)


def an_extension_from_elsewhere() -> Judged:
    known, directory = before_and_after()
    other = extend(directory.log, known.head.size - 1, directory.head())
    return judged(replace(directory.offer(known), extension=other), known, now=directory.now)


def an_extension_that_leads_nowhere() -> Judged:
    known, directory = before_and_after()
    offer = directory.offer(known)
    assert offer.extension is not None
    broken = replace(offer.extension, path=offer.extension.path[1:])
    return judged(replace(offer, extension=broken), known, now=directory.now)


def an_extension_of_nothing() -> Judged:
    directory = with_people()
    return judged(replace(directory.offer(), extension=extend(directory.log, 3, directory.head())))


def something_in_an_empty_log() -> Judged:
    return with_head(None, Directory(), prefix_root=bytes(range(32)))


def too_large() -> Judged:
    return with_head(None, with_people(), size=MAX_SIZE + 1)


def a_vrf_key_of_low_order() -> Judged:
    return with_head(None, with_people(), vrf_key=bytes.fromhex(LOW_ORDER[4]))


def older_than_its_last_entry() -> Judged:
    return with_head(None, with_people(), timestamp=NOW - 1)


def signed_earlier_than_before() -> Judged:
    known, directory = before_and_after()
    return with_head(known, directory, timestamp=NOW - 1)


def an_entry_earlier_than_before() -> Judged:
    known, directory = before_and_after()
    assert known.last is not None
    change = replace(known.last.entry.change, timestamp=directory.now + 1)
    late = TrustedHead(known.head, replace(known.last, entry=replace(known.last.entry, change=change)))
    return judged(directory.offer(late), late, now=directory.now)


def from_the_future() -> Judged:
    return with_head(None, with_people(), timestamp=NOW + MAX_AHEAD + 1)


def from_the_past() -> Judged:
    return judged(with_people().offer(), now=NOW + MAX_BEHIND + 1)


LIES: Final[dict[Callable[[], Judged], str]] = {
    unknown_version: "head-version",
    of_another_server: "head-server",
    not_signed: "head-signature",
    two_logs_of_one_size: "head-fork",
    one_log_with_two_prefix_trees: "head-fork",
    another_beginning: "head-fork",
    smaller_than_before: "head-rollback",
    of_another_log: "head-other-log",
    another_vrf_key: "head-vrf-key-changed",
    a_prefix_tree_of_its_own: "head-prefix-root",
    another_last_entry: "head-prefix-root",
    no_last_entry: "head-prefix-root",
    a_last_entry_of_nothing: "head-prefix-root",
    no_extension: "head-not-extended",
    an_extension_from_elsewhere: "head-not-extended",
    an_extension_that_leads_nowhere: "head-not-extended",
    an_extension_of_nothing: "head-not-extended",
    something_in_an_empty_log: "head-size",
    too_large: "head-size",
    a_vrf_key_of_low_order: "head-vrf-key",
    older_than_its_last_entry: "head-entry-time",
    signed_earlier_than_before: "head-back-in-time",
    an_entry_earlier_than_before: "head-back-in-time",
    from_the_future: "head-ahead",
    from_the_past: "head-stale",
}


@pytest.mark.parametrize(("lie", "rule"), LIES.items(), ids=lambda part: getattr(part, "__name__", part))
def test_a_head_that_lies_is_refused_by_name(lie: Callable[[], Judged], rule: str) -> None:
    case = lie()
    found = judge_head(case)
    assert rule in [refusal.rule for refusal in found]
    assert all(refusal.text.endswith(".") for refusal in found)
    with pytest.raises(HeadRefused) as caught:
        accept_head(case)
    assert caught.value.findings == found
    assert caught.value.rule == found[0].rule


def test_every_rule_has_a_lie() -> None:
    assert {rule for rule, _ in RULES} == set(LIES.values())
    assert set(LIES.values()) >= FATAL


def test_what_is_not_signed_says_nothing_else() -> None:
    for lie in (unknown_version, of_another_server, not_signed):
        assert len(judge_head(lie())) == 1


def test_a_first_head_a_newer_one_and_the_same_one_again_are_believed() -> None:
    known, directory = before_and_after()
    newer = trusted(directory, known)
    again = trusted(directory, newer)
    assert again == newer
    assert newer.head.size == known.head.size + 3
    assert newer.last is not None
    assert newer.last.entry == directory.entries[-1]


def test_a_quiet_server_signs_anew() -> None:
    directory = with_people()
    known = trusted(directory)
    directory.now += MAX_BEHIND
    assert trusted(directory, known).head.log_root == known.head.log_root


def test_an_empty_log_is_believed_and_everything_extends_it() -> None:
    directory = Directory()
    known = trusted(directory)
    assert (known.head.log_root, known.head.prefix_root) == (EMPTY_ROOT, NOTHING)
    directory.publish(ALICE, b"alice 1")
    assert trusted(directory, known).head.size == 1


def test_every_size_is_believed_after_every_smaller_one() -> None:
    directory, heads = Directory(), list[TrustedHead]()
    for number in range(20):
        heads.append(trusted(directory))
        changes = (Change.DEVICE_ADDED,) if number else (Change.ACCOUNT_REGISTERED,)
        directory.publish(ALICE, b"%d" % number, *changes)
    for known in heads:
        assert judge_head(judged(directory.offer(known), known)) == ()


def test_times_just_within_the_limits_are_believed() -> None:
    directory = with_people()
    assert judge_head(judged(directory.offer(), now=NOW + MAX_BEHIND)) == ()
    assert judge_head(with_head(None, directory, timestamp=NOW + MAX_AHEAD)) == ()


def test_every_bit_of_an_offer_counts() -> None:
    known, directory = before_and_after()
    offer = directory.offer(known)
    for data in flipped(offer):
        try:
            read = decode(HeadOffer, data)
        except DecodeError:
            continue
        assert judge_head(judged(read, known, now=directory.now)) != ()


def test_a_head_is_signed_by_one_key_over_every_field() -> None:
    head = with_people().head()
    assert is_signed(head, SERVER)
    assert not is_signed(head, VRF.public)
    for data in flipped(head):
        try:
            other = decode(TreeHead, data)
        except DecodeError:
            continue
        assert not is_signed(other, SERVER)


def test_a_heads_bytes_are_what_they_were() -> None:
    """Golden: what people keep and pass on must be read for ever."""
    head = sign_head(
        KEY, log=LOG, vrf_key=VRF.public, frontier=Directory().state.frontier, prefix_root=NOTHING, now=NOW
    )
    data = encode(head)
    assert len(data) == 218
    assert data[:34].hex() == "0001" + SERVER.hex()
    assert data[34:42] == LOG.to_bytes(8, "big")
    assert data[42:74] == VRF.public
    assert data[74:82] == bytes(8)
    assert data[82:114] == EMPTY_ROOT
    assert data[114:146] == NOTHING
    assert data[146:154] == NOW.to_bytes(8, "big")
    assert decode(TreeHead, data) == head


def test_what_comes_from_the_wire_has_limits() -> None:
    known, directory = before_and_after()
    offer = directory.offer(known)
    assert read_offer(encode(offer)) == offer
    assert read_head(encode(offer.head)) == offer.head
    largest = HeadOffer(
        offer.head,
        Placed(directory.entries[-1], (bytes(32),) * MAX_INCLUSION),
        Extension(1, bytes(32), (bytes(32),) * MAX_CONSISTENCY),
    )
    assert len(encode(largest)) <= MAX_OFFER
    for data in (b"", encode(offer)[:-1], encode(offer) + b"\x00", bytes(MAX_OFFER + 1)):
        with pytest.raises(Refused, match="head-encoding"):
            read_offer(data)
    with pytest.raises(Refused, match="head-encoding"):
        read_head(encode(offer.head) + b"\x00")


def test_an_extension_says_its_own_root() -> None:
    directory = with_people()
    head = directory.head()
    for size in range(head.size + 1):
        extension = extend(directory.log, size, head)
        assert extends(extension, head)
        assert not extends(replace(extension, root=bytes(32)), head)
        assert not extends(replace(extension, size=head.size + 1), head)
    assert not extends(Extension(size=3, root=bytes(32), path=()), head)


def test_a_signature_of_something_else_is_none_of_a_head() -> None:
    """The label keeps apart what one key signs (membership/signing.py)."""
    head = signed(with_people().head())
    assert is_signed(head, SERVER)
    assert not is_signed(replace(head, signature=KEY.sign(encode(head))), SERVER)
