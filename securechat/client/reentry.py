"""Into the group that a conversation goes on as, without the old group's keys that let one in.

They are lost where a profile was copied or restored (rules.md D) and the group was closed before our leaf
was replaced. But our leaf is in the next group too, for it has all members; so we follow that group in
public and replace the leaf from outside, as after any loss of keys. What the server says of it is believed
only as far as the announcement in the old log, and the certificates of all leaves, prove it.
"""

from dataclasses import dataclass
from typing import Final

from securechat.client import records
from securechat.client.carriage import NOT_NOW, collect, tree_of
from securechat.client.change import Changes
from securechat.client.errors import RefusedByServer, Unreachable
from securechat.client.groups import Groups
from securechat.client.holds import hold
from securechat.client.intents import jitter
from securechat.client.moving import MISSED, Mover, NotTheSuccessor, Place
from securechat.client.session import Session
from securechat.errors import SecureChatError
from securechat.membership.judge import judge_later_successor, judge_successor, judge_tree
from securechat.membership.reinit import Closed
from securechat.mls.cipher_suite import cipher_suite
from securechat.mls.codec import decode
from securechat.mls.framing import GroupInfo, decode_message
from securechat.mls.proposals import ReInit
from securechat.mls.public_group import PublicGroup
from securechat.mls.ratchet_tree import RatchetTree
from securechat.protocol.messages import Entries, Entry, Fetch, GetGroupInfo, StoredGroupInfo

LOOK_AGAIN: Final = 30.0
"""Seconds, and as many more at random, until a group that is not there yet, or just changes, is asked for."""


@dataclass(slots=True)
class Reentry:
    changes: Changes
    session: Session
    groups: Groups
    mover: Mover

    async def enter(self, conversation: int) -> float:
        """Go over into the next group as its follower; return after how many seconds to look again."""
        record = records.by_id(self.changes.db, conversation)
        if not record.closed:
            return 0
        announced = decode(ReInit, record.successor)
        found = await self._look(announced)
        if found is None:
            return LOOK_AGAIN + jitter(LOOK_AGAIN)
        with self.changes.change() as change:
            record = records.by_id(change.db, conversation)
            old = self.groups.public(change.db, conversation)
            if not record.closed or old is None or self.groups.group(change.db, conversation) is not None:
                return 0
            try:
                public = self._judged(Closed(old, announced), *found[1:])
            except SecureChatError:
                hold(change, record, MISSED)
                return LOOK_AGAIN + jitter(LOOK_AGAIN)
            self.mover.follow(change, record, public, Place(found[0]))
        return 0

    async def _look(self, announced: ReInit) -> tuple[int, bytes, bytes] | None:
        """Ask for the present epoch of a group: the place of the commit that began it, GroupInfo and tree."""
        try:
            answer = await self.session.request(GetGroupInfo(announced.group_id))
            if not isinstance(answer, StoredGroupInfo) or not await self._began(answer):
                return None
            tree = await tree_of(self.session, answer.group, answer.epoch)
            info = await collect(self.session, answer.group_info)
        except RefusedByServer as refused:
            if refused.code in NOT_NOW:
                raise
            return None  # nobody has made it yet, or it came back from a copy without a GroupInfo
        except Unreachable:
            return None  # not what was named
        return None if tree is None else (answer.handshake_head, info, tree)

    async def _began(self, answer: StoredGroupInfo) -> bool:
        """Whether the last handshake is the commit that began the epoch, so that no proposal waits unseen."""
        if answer.epoch == 1:
            return answer.handshake_head == 1
        told = await self.session.request(Fetch(answer.group, answer.handshake_head))
        first = told.entries[0] if isinstance(told, Entries) and told.entries else None
        return (
            isinstance(first, Entry)
            and (first.sequence, first.kind) == (answer.handshake_head, "commit")
            and first.epoch == answer.epoch - 1
        )

    def _judged(self, closed: Closed, group_info: bytes, tree: bytes) -> PublicGroup:
        """Return the group that is described, if it is the one that was announced.

        :raises SecureChatError: it is not, or nobody could say
        """
        info = decode_message(group_info)
        if not isinstance(info, GroupInfo):
            raise NotTheSuccessor("it is no GroupInfo")
        suite = cipher_suite(closed.reinit.cipher_suite)
        public = PublicGroup.from_group_info(info, RatchetTree.from_bytes(suite, tree))
        refused = judge_tree(public.context, public.tree)
        if refused is None and public.context.epoch == 1:
            refused = judge_successor(closed, public, info.signer)
        elif refused is None:
            refused = judge_later_successor(closed, public)
        if refused is not None:
            raise NotTheSuccessor(refused.text)
        own = self.mover.device.identity.signature_key.public
        if all(leaf.signature_key != own for _, leaf in public.tree.leaves()):
            raise NotTheSuccessor("this device is not in it")
        return public
