"""Judges what a client wants in a log, before anything is written.

First the public rules of MLS, then ``membership.judge``, the same code that every receiver runs.
These are functions of the group's public state and the client's bytes, so they run in a reader's
thread, outside the writer's transaction. The transaction then only compares: epoch and handshake
head are still those that were judged, or nothing of this counts.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from securechat.errors import SecureChatError
from securechat.membership.identity import CLOCK_TOLERANCE, read_client_credential
from securechat.membership.judge import judge, judge_creation, judge_proposal, judge_successor
from securechat.membership.reinit import Closed
from securechat.membership.room import ROOM_EXTENSION, Kind, Room, room_of
from securechat.membership.verdict import Refusal as Verdict
from securechat.mls.cipher_suite import cipher_suite
from securechat.mls.codec import encode
from securechat.mls.commit_facts import CommitFacts, VerifiedProposal
from securechat.mls.extensions import find_extension
from securechat.mls.framing import GroupInfo, Welcome, decode_message
from securechat.mls.key_package import key_package_reference
from securechat.mls.nodes import LeafIndex, LeafNode
from securechat.mls.proposals import PreSharedKeyProposal, SelfRemove, Update
from securechat.mls.psk import ResumptionPsk, ResumptionPSKUsage
from securechat.mls.public_group import PublicGroup, VerifiedCommit
from securechat.mls.ratchet_tree import RatchetTree
from securechat.names import parse_user_uri
from securechat.protocol.limits import MAX_ADDS, MAX_GROUP_CLIENTS, MAX_LEAF, MAX_POLICY
from securechat.server.errors import Refusal
from securechat.server.values import Caller


@dataclass(frozen=True, slots=True)
class CommitParts:
    """The bytes of a Commit or a Create's first commit."""

    commit: bytes
    group_info: bytes
    welcome: bytes | None


@dataclass(frozen=True, slots=True)
class OfferParts:
    """The bytes of an OfferCommit."""

    commit: bytes
    proposals: Sequence[bytes]
    group_info: bytes | None
    welcome: bytes | None


@dataclass(frozen=True, slots=True)
class JudgedOffer:
    """A commit that a log may take back, and those of its proposals that the log has not."""

    verified: VerifiedCommit
    committer: LeafNode
    proposals: tuple[VerifiedProposal, ...]


@dataclass(frozen=True, slots=True)
class Proposed:
    """The bytes of a Create."""

    group: bytes
    group_info: bytes
    tree: bytes
    first: CommitParts | None


@dataclass(frozen=True, slots=True)
class Opening:
    """A group that may be opened: epoch 0, and its first commit if it comes with one."""

    first: PublicGroup
    commit: VerifiedCommit | None
    room: Room
    closed: Closed | None
    """The group that goes on as this one."""

    @property
    def public(self) -> PublicGroup:
        return self.first if self.commit is None else self.commit.following


def leaf_owner(leaf: LeafNode) -> tuple[str, str]:
    """User and client of a leaf, by name."""
    credential = read_client_credential(leaf)
    return credential.user_name, credential.client_id


@contextmanager
def told_as(code: str) -> Iterator[None]:
    """Make one coded refusal of whatever forbids a message, a tree or a leaf."""
    try:
        yield
    except Refusal:
        raise
    except SecureChatError as error:
        raise Refusal(code, str(error)) from None


def judge_opening(
    caller: Caller, proposed: Proposed, *, domain: str, now: int, closed: Closed | None = None
) -> Opening:
    """Check a Create: the creator alone in epoch 0, then its first commit.

    :param now: seconds since 1970
    :param closed: the group whose ReInit has announced this one
    :raises Refusal: ``refused_commit`` and the rule that is broken, or ``forbidden``
    """
    first = proposed.first
    with told_as("refused_commit"):
        public = _read_opening(proposed.group_info, proposed.tree)
        room = room_of(public.context)
        _must_not(judge_creation(public, goes_on=closed is not None))
        if (
            public.context.group_id != proposed.group
            or public.context.epoch != 0
            or public.tree.member_count != 1
        ):
            raise Refusal("refused_commit", "a new group is one leaf in epoch 0, under its own id")
        if room.domain != domain:
            raise Refusal("refused_commit", "the room is of another domain")
        if leaf_owner(public.tree.member(LeafIndex(0))) != (caller.user, caller.name):
            raise Refusal("forbidden", "the first leaf of a group is its creator's")
        _check_leaves(public.tree.member(LeafIndex(0)))
    if first is None and (room.kind is Kind.DIRECT or closed is not None):
        raise Refusal("refused_commit", "such a group comes with its first commit")
    commit = None if first is None else judge_commit(caller, public, (), first, now=now)
    if commit is not None:
        _check_link(commit, closed)
    return Opening(public, commit, room, closed)


def _check_link(first: VerifiedCommit, closed: Closed | None) -> None:
    """Who goes on from a group mixes in its key, all its members come along; nobody else names one."""
    linked = [
        (name.psk_group_id, name.psk_epoch)
        for name in (
            each.proposal.psk.psk
            for each in first.facts.proposals
            if isinstance(each.proposal, PreSharedKeyProposal)
        )
        if isinstance(name, ResumptionPsk) and name.usage is ResumptionPSKUsage.REINIT
    ]
    context = None if closed is None else closed.public.context
    if linked != ([] if context is None else [(context.group_id, context.epoch)]):
        raise Refusal("refused_commit", "it does not go on from the group that announced it")
    if closed is not None:
        with told_as("refused_commit"):
            _must_not(judge_successor(closed, first.following, LeafIndex(0)))


def judge_commit(
    caller: Caller, public: PublicGroup, pending: Sequence[bytes], parts: CommitParts, *, now: int
) -> VerifiedCommit:
    """Check a commit against the epoch ``public``; ``pending`` are the proposals it may take up.

    :param now: seconds since 1970, for the key packages of those who are added
    :raises Refusal: ``refused_commit`` and the rule that is broken, ``forbidden`` or ``quota``
    """
    with told_as("refused_commit"):
        proposals = [public.verify_proposal(message) for message in pending]
        verified = public.verify_commit(parts.commit, proposals)
        _check_sender(caller, verified.facts)
        _check_size(verified.facts)
        _check_lifetimes(verified.facts, now)
        _must_not(judge(verified.facts, pending=proposals))
        public.check_group_info(parts.group_info, verified)
        _check_welcome(verified.facts, parts.welcome)
    return verified


def judge_offer(
    public: PublicGroup, pending: Sequence[bytes], parts: OfferParts, *, device_key: bytes
) -> JudgedOffer:
    """Check a commit that a log had before its server was restored; ``pending`` is what it has now.

    The same law as for any commit, but it is of who signed it, whoever offers it. Its key packages may
    have run out since: that was judged when they were used.

    :param device_key: the offerer's, who signs the GroupInfo
    :raises Refusal: ``refused_commit`` and the rule that is broken, or ``quota``
    """
    with told_as("refused_commit"):
        known = [public.verify_proposal(message) for message in pending]
        brought = [public.verify_proposal(message) for message in parts.proposals]
        for each in brought:
            _must_not(judge_proposal(public.context, public.tree, each.proposal, each.sender))
        there = {each.reference for each in known}
        missing = {each.reference: each for each in brought if each.reference not in there}
        proposals = [*known, *missing.values()]
        verified = public.verify_commit(parts.commit, proposals)
        facts = verified.facts
        taken = [(each.proposal, each.sender) for each in facts.proposals if each.by_reference]
        if any((each.proposal, each.sender) not in taken for each in missing.values()):
            raise Refusal("refused_commit", "it comes with a proposal that it does not take up")
        _check_size(facts)
        _must_not(judge(facts, pending=proposals))
        if parts.group_info is not None:
            signer = _leaf_of(verified.following, device_key)
            public.check_group_info(parts.group_info, verified, signer=signer)
        if parts.welcome is not None:
            _check_welcome(facts, parts.welcome)
    leaf = facts.committer_leaf if facts.external else facts.old_tree.member(facts.committer)
    return JudgedOffer(verified, leaf, tuple(missing.values()))


def _leaf_of(public: PublicGroup, device_key: bytes) -> LeafIndex:
    for index, leaf in public.tree.leaves():
        if leaf.signature_key == device_key:
            return index
    raise Refusal("refused_commit", "who signs its GroupInfo is not in the group")


def judge_proposal_message(caller: Caller, public: PublicGroup, message: bytes) -> VerifiedProposal:
    """Check a proposal that is to wait for a commit: an Update or a SelfRemove of one's own leaf.

    :raises Refusal: ``refused_message`` and the rule that is broken, or ``forbidden``
    """
    with told_as("refused_message"):
        verified = public.verify_proposal(message)
        if not isinstance(verified.proposal, Update | SelfRemove) or verified.sender is None:
            raise Refusal("refused_message", "members propose to update or to remove themselves")
        if leaf_owner(public.tree.member(verified.sender)) != (caller.user, caller.name):
            raise Refusal("forbidden", "a proposal is of its sender's own leaf")
        if isinstance(verified.proposal, Update):
            _check_leaves(verified.proposal.leaf_node)  # or it would spoil every commit that takes it up
        verdict = judge_proposal(public.context, public.tree, verified.proposal, verified.sender)
    if verdict is not None:
        raise Refusal("refused_message", f"{verdict.rule}: {verdict.text}")
    return verified


def users_of(public: PublicGroup) -> set[str]:
    """The names of the users who have a leaf."""
    return {parse_user_uri(read_client_credential(leaf).user).name for _, leaf in public.tree.leaves()}


def _read_opening(group_info: bytes, tree: bytes) -> PublicGroup:
    info = decode_message(group_info)
    if not isinstance(info, GroupInfo):
        raise Refusal("refused_commit", "this is no GroupInfo")
    suite = cipher_suite(info.group_context.cipher_suite)
    return PublicGroup.from_group_info(info, RatchetTree.from_bytes(suite, tree))


def _must_not(verdict: Verdict | None) -> None:
    if verdict is not None:
        raise Refusal("refused_commit", f"{verdict.rule}: {verdict.text}")


def _check_sender(caller: Caller, facts: CommitFacts) -> None:
    """The session's client commits for itself: with its own leaf, or as the one who joins."""
    leaf = facts.committer_leaf if facts.external else facts.old_tree.member(facts.committer)
    if leaf_owner(leaf) != (caller.user, caller.name):
        raise Refusal("forbidden", "a commit is of its sender's own leaf")


def _check_size(facts: CommitFacts) -> None:
    if len(facts.added) > MAX_ADDS:
        raise Refusal("quota", f"a commit adds at most {MAX_ADDS} clients")
    if facts.new_tree.member_count > MAX_GROUP_CLIENTS:
        raise Refusal("quota", f"a group has at most {MAX_GROUP_CLIENTS} clients")
    leaves = [each.leaf_node for each in facts.added] + [each.new for each in facts.updated]
    _check_leaves(*leaves, facts.committer_leaf)
    if len(find_extension(facts.new_context.extensions, ROOM_EXTENSION) or b"") > MAX_POLICY:
        raise Refusal("quota", f"a room's policy has at most {MAX_POLICY} bytes")


def _check_leaves(*leaves: LeafNode) -> None:
    if any(len(encode(leaf)) > MAX_LEAF for leaf in leaves):
        raise Refusal("quota", f"a leaf has at most {MAX_LEAF} bytes")


def _check_lifetimes(facts: CommitFacts, now: int) -> None:
    """Nobody is added by a key package that has run out: receivers don't ask the clock, we do."""
    for added in facts.added:
        lifetime = added.leaf_node.lifetime
        if lifetime is not None and lifetime.not_after < now - CLOCK_TOLERANCE:
            raise Refusal("refused_commit", "it uses a key package that has expired")


def _check_welcome(facts: CommitFacts, data: bytes | None) -> None:
    """A Welcome is for exactly those who were added (RFC 9420 section 12.4.3.1)."""
    if (data is None) != (not facts.added):
        raise Refusal("refused_commit", "a Welcome comes with added clients, and only with them")
    if data is None:
        return
    welcome = decode_message(data)
    if not isinstance(welcome, Welcome):
        raise Refusal("refused_commit", "this is no Welcome")
    named = sorted(secrets.new_member for secrets in welcome.secrets)
    if named != sorted(key_package_reference(added.key_package) for added in facts.added):
        raise Refusal("refused_commit", "the Welcome is not for those who are added")
