"""Looking at a message from the group before anything is done with it.

What can be seen without secrets is checked first, so that a caller can tell a message that
everybody must refuse (ValidationError: who delivers it lies) from one that only fails us in secret
(SecretError, from ``Group.process``). An encrypted proposal or commit has to be opened first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from securechat.mls import protection
from securechat.mls.commit import Commit
from securechat.mls.commit_facts import CommitFacts, VerifiedProposal
from securechat.mls.epoch import EpochState, open_message
from securechat.mls.errors import UsageError, ValidationError
from securechat.mls.framing import ContentType, PrivateMessage, PublicMessage, decode_message
from securechat.mls.nodes import LeafIndex
from securechat.mls.proposals import ProposalValue
from securechat.mls.public_group import VerifiedCommit
from securechat.mls.secret_tree import MessageKey, SecretTree


@dataclass(frozen=True, slots=True)
class ExaminedCommit:
    """A commit that keeps every public rule. ``Group.process`` checks the rest."""

    verified: VerifiedCommit
    public: PublicMessage | None = field(repr=False)
    """The message, if it came in the clear: its membership tag is still to be checked."""
    key: MessageKey | None = field(repr=False)
    """The key that opened it, if it came encrypted."""

    @classmethod
    def of(cls, verified: VerifiedCommit) -> "ExaminedCommit":
        """Return a commit that came in the clear and was verified in public already."""
        message = decode_message(verified.message)
        if not isinstance(message, PublicMessage):
            raise UsageError("a commit that came encrypted is examined by its group")
        return cls(verified, message, None)

    @property
    def facts(self) -> CommitFacts:
        return self.verified.facts


@dataclass(frozen=True, slots=True)
class ExaminedProposal:
    """A proposal that keeps every public rule. ``Group.accept`` checks the rest."""

    verified: VerifiedProposal
    public: PublicMessage | None = field(repr=False)
    key: MessageKey | None = field(repr=False)

    @property
    def proposal(self) -> ProposalValue:
        return self.verified.proposal

    @property
    def sender(self) -> LeafIndex | None:
        """The proposer's leaf; None for an outsider or a new member."""
        return self.verified.sender


@dataclass(frozen=True, slots=True)
class ExaminedApplication:
    """An application message of this group and epoch. ``Group.decrypt`` opens it."""

    message: bytes


Examined = ExaminedCommit | ExaminedProposal | ExaminedApplication


def examine(
    state: EpochState, secrets: SecretTree, pending: Sequence[VerifiedProposal], data: bytes
) -> Examined:
    """Return what ``data`` is, all public rules checked; nothing is changed."""
    message = decode_message(data)
    match message:
        case PublicMessage():
            content = message.content.content
            if isinstance(content, Commit):
                return ExaminedCommit(state.public.verify_commit(data, pending), message, None)
            if isinstance(content, bytes):
                raise ValidationError("application-in-clear", "6", "application messages are encrypted")
            return ExaminedProposal(state.public.verify_proposal(data), message, None)
        case PrivateMessage():
            state.public.check_place(message)
            if message.content_type is ContentType.APPLICATION:
                return ExaminedApplication(data)
            return _examine_private(state, secrets, pending, message, data)
        case _:
            raise ValidationError("wire-format", "6", f"a {type(message).__name__} is no group message")


def _examine_private(
    state: EpochState,
    secrets: SecretTree,
    pending: Sequence[VerifiedProposal],
    message: PrivateMessage,
    data: bytes,
) -> Examined:
    opened = open_message(state.reading, secrets, message)
    if message.content_type is ContentType.COMMIT:
        verified = state.public.verify_commit_content(opened.content, data, pending)
        return ExaminedCommit(verified, None, opened.key)
    proposal = state.public.verify_proposal_content(opened.content, data)
    return ExaminedProposal(proposal, None, opened.key)


def check_membership(state: EpochState, public: PublicMessage | None) -> None:
    """Section 6.2: what came in the clear carries the group's tag; what came encrypted needs none."""
    if public is not None:
        protection.check_membership_tag(
            state.suite,
            public,
            membership_key=state.secrets.membership_key,
            context=state.context_bytes,
        )
