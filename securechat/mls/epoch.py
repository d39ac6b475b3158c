"""One epoch as a member knows it: a value. The secret tree, which changes, is not part of it."""

from dataclasses import dataclass, field, replace

from securechat.mls.cipher_suite import CipherSuite
from securechat.mls.codec import encode
from securechat.mls.errors import SecretError, UsageError, ValidationError
from securechat.mls.framing import AuthenticatedContent, PrivateMessage
from securechat.mls.group_context import GroupContext
from securechat.mls.key_package import Identity
from securechat.mls.key_schedule import EpochSecrets
from securechat.mls.nodes import LeafIndex, LeafNode
from securechat.mls.proposals import ReInit
from securechat.mls.protection import (
    RATCHETS,
    open_private,
    open_sender_data,
    signature_holds,
)
from securechat.mls.public_group import PublicGroup
from securechat.mls.ratchet_tree import RatchetTree
from securechat.mls.secret_tree import MessageKey, SecretTree
from securechat.mls.signature import SigningKey
from securechat.mls.update_path import TreePrivate


@dataclass(frozen=True, slots=True)
class Reading:
    """What it takes, beside the secret tree, to read the PrivateMessages of an epoch.

    The tree is the epoch's own, so that a late message is credited to who held the leaf then.
    """

    context: GroupContext
    tree: RatchetTree
    sender_data_secret: bytes = field(repr=False)
    context_bytes: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "context_bytes", encode(self.context))


@dataclass(frozen=True, slots=True)
class EpochState:
    """A member's view of an epoch."""

    public: PublicGroup
    secrets: EpochSecrets = field(repr=False)
    private: TreePrivate = field(repr=False)
    reinit: ReInit | None = None
    """The ReInit that this epoch began with: the group is closed (section 12.4.2)."""
    reading: Reading = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        reading = Reading(self.public.context, self.public.tree, self.secrets.sender_data_secret)
        object.__setattr__(self, "reading", reading)

    @property
    def suite(self) -> CipherSuite:
        return self.public.tree.suite

    @property
    def context(self) -> GroupContext:
        return self.public.context

    @property
    def context_bytes(self) -> bytes:
        return self.reading.context_bytes

    @property
    def own_leaf(self) -> LeafIndex:
        return self.private.leaf_index


def identity_in(state: EpochState, signature_key: SigningKey, old: Identity) -> Identity:
    """Return who we are in an epoch: what our leaf says, with its signature key."""
    leaf = state.public.tree.member(state.own_leaf)
    if leaf.signature_key != signature_key.public:
        raise UsageError("the signature key is not our leaf's")
    return replace(
        old,
        credential=leaf.credential,
        signature_key=signature_key,
        capabilities=leaf.capabilities,
        leaf_extensions=leaf.extensions,
    )


@dataclass(frozen=True, slots=True)
class OpenedPrivate:
    """A PrivateMessage that opened; its signature is still to be checked, its key to be consumed."""

    content: AuthenticatedContent
    key: MessageKey
    sender_leaf: LeafNode


def open_message(reading: Reading, secrets: SecretTree, message: PrivateMessage) -> OpenedPrivate:
    """Decrypt ``message`` without changing ``secrets`` (section 6.3); SecretError if it does not open."""
    suite = reading.tree.suite
    sender = open_sender_data(suite, message, sender_data_secret=reading.sender_data_secret)
    leaf = reading.tree.leaf(sender.leaf_index)
    if leaf is None:  # section 6.3.2
        raise SecretError("sender-leaf", "6.3.2", f"leaf {sender.leaf_index} is blank")
    key = secrets.find(sender.leaf_index, RATCHETS[message.content_type], sender.generation)
    return OpenedPrivate(open_private(suite, message, sender, key), key, leaf)


def check_message_signature(reading: Reading, opened: OpenedPrivate) -> None:
    """Section 6.1: an encrypted message is signed by the leaf that it says it is from."""
    if not signature_holds(
        reading.tree.suite,
        opened.content,
        context=reading.context_bytes,
        public_key=opened.sender_leaf.signature_key,
    ):
        raise ValidationError("message-signature", "6.1", "the message is not signed by its sender")
