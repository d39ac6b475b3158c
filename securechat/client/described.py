"""A group as the server describes it to whoever has no state of it: GroupInfo, tree, where its epoch began.

Nothing of it is believed here. Who enters by it judges it by what proves itself: the certificates of all
leaves, the signature of a member, and what was known of the group before.
"""

from msgspec import Struct

from securechat.client.carriage import NOT_NOW, collect, tree_of
from securechat.client.errors import RefusedByServer, Unreachable
from securechat.client.session import Session
from securechat.errors import SecureChatError
from securechat.membership.judge import judge_tree
from securechat.mls.cipher_suite import cipher_suite
from securechat.mls.framing import GroupInfo, decode_message
from securechat.mls.nodes import LeafIndex
from securechat.mls.public_group import PublicGroup
from securechat.mls.ratchet_tree import RatchetTree
from securechat.protocol.messages import Entries, Entry, Fetch, GetGroupInfo, StoredGroupInfo


class NotThisOne(SecureChatError):
    """What the server describes is not the group that is looked for; the text says why."""


class Described(Struct, frozen=True):
    """``place`` is where the commit stands that began the epoch."""

    place: int
    info: bytes
    tree: bytes


async def ask_for(session: Session, group: bytes) -> Described | None:
    """Ask for the present epoch of a group; None if it can't be entered now: look again later.

    :raises RefusedByServer: the server says why there is nothing to enter, or has no time
    """
    answer = await session.request(GetGroupInfo(group))
    if not isinstance(answer, StoredGroupInfo):
        return None
    try:
        if not await _began(session, answer):
            return None
        tree = await tree_of(session, answer.group, answer.epoch)
        info = await collect(session, answer.group_info)
    except RefusedByServer as refused:
        if refused.code in NOT_NOW:
            raise
        return None
    except Unreachable:
        return None  # not what was named
    return None if tree is None else Described(answer.handshake_head, info, tree)


async def _began(session: Session, answer: StoredGroupInfo) -> bool:
    """Whether the last handshake is the commit that began the epoch, so that no proposal waits unseen."""
    if answer.epoch == 1:
        return answer.handshake_head == 1
    told = await session.request(Fetch(answer.group, answer.handshake_head))
    first = told.entries[0] if isinstance(told, Entries) and told.entries else None
    return (
        isinstance(first, Entry)
        and (first.sequence, first.kind) == (answer.handshake_head, "commit")
        and first.epoch == answer.epoch - 1
    )


def read(described: Described) -> tuple[PublicGroup, LeafIndex]:
    """Return the group that is described, and whose leaf says so: every leaf is judged, as by a joiner.

    :raises SecureChatError: it does not hold together
    """
    info = decode_message(described.info)
    if not isinstance(info, GroupInfo):
        raise NotThisOne("it is no GroupInfo")
    suite = cipher_suite(info.group_context.cipher_suite)
    public = PublicGroup.from_group_info(info, RatchetTree.from_bytes(suite, described.tree))
    refused = judge_tree(public.context, public.tree)
    if refused is not None:
        raise NotThisOne(refused.text)
    return public, info.signer


def has_leaf(public: PublicGroup, signature_key: bytes) -> bool:
    """Whether a device, known by its key, is in it."""
    return any(leaf.signature_key == signature_key for _, leaf in public.tree.leaves())
