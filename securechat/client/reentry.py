"""Into the group that a conversation goes on as, without the old group's keys that let one in.

They are lost where a profile was copied or restored (rules.md D) and the group was closed before our leaf
was replaced. But our leaf is in the next group too, for it has all members; so we follow that group in
public and replace the leaf from outside, as after any loss of keys. What the server says of it is believed
only as far as the announcement in the old log, and the certificates of all leaves, prove it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from securechat.client import records
from securechat.client.carriage import NOT_NOW
from securechat.client.change import Changes
from securechat.client.described import Described, ask_for, has_leaf, read
from securechat.client.entering import Entering
from securechat.client.errors import RefusedByServer
from securechat.client.groups import Groups
from securechat.client.holds import COPIED, hold
from securechat.client.intents import Intent, Step, What, jitter
from securechat.client.moving import MISSED, Mover, NotTheSuccessor, Place
from securechat.client.opened_elsewhere import OpenedElsewhere
from securechat.client.planner import Planner
from securechat.client.session import Session
from securechat.errors import SecureChatError
from securechat.membership.judge import judge_later_successor, judge_successor
from securechat.membership.reinit import Closed
from securechat.mls.codec import decode
from securechat.mls.proposals import ReInit
from securechat.mls.public_group import PublicGroup

LOOK_AGAIN: Final = 30.0
"""Seconds, and as many more at random, until a group that is not there yet, or just changes, is asked for."""

MOST_FOUND: Final = 64
"""Unknown groups that are looked at on one connection."""


@dataclass(slots=True)
class Reentry:
    changes: Changes
    session: Session
    groups: Groups
    mover: Mover

    @property
    def _elsewhere(self) -> OpenedElsewhere:
        return OpenedElsewhere(self.changes, self.session, self.groups, self.mover.device, self.mover.clock)

    async def enter_unknown(self, conversation: int, intent: Intent, planner: Planner) -> bool:
        """Enter a group that this device has no state of; whether it is that what an intent needs."""
        if intent.step is Step.EXISTS:
            await self._elsewhere.enter(conversation, intent)
        elif intent.what is What.ENTER:
            parts = self.changes, self.session, self.groups, self.mover.device
            await Entering(*parts, planner, self.mover.clock).enter(conversation, intent)
        else:
            return False
        return True

    def unknown(self, present: Iterable[bytes]) -> list[bytes]:
        """Return the groups that we are in, as the server says, and do not know: a copy of us may.

        Only where we know of one. What a Welcome on its way leads into is unknown too, and comes by itself.
        """
        db = self.changes.db
        if not records.counter(db, COPIED):
            return []
        known = "SELECT 1 FROM conversation WHERE ? IN (group_id, predecessor)"
        return [group for group in present if db.execute(known, (group,)).fetchone() is None]

    async def find(self, unknown: Sequence[bytes]) -> None:
        """Look at groups that only a copy of us may know."""
        for group in unknown:
            await self._elsewhere.find(group)

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
                public = self._judged(Closed(old, announced), found)
            except SecureChatError:
                hold(change, record, MISSED)
                return LOOK_AGAIN + jitter(LOOK_AGAIN)
            self.mover.follow(change, record, public, Place(found.place))
        return 0

    async def _look(self, announced: ReInit) -> Described | None:
        """Ask for the present epoch of a group."""
        try:
            return await ask_for(self.session, announced.group_id)
        except RefusedByServer as refused:
            if refused.code in NOT_NOW:
                raise
            return None  # nobody has made it yet, or it came back from a copy without a GroupInfo

    def _judged(self, closed: Closed, described: Described) -> PublicGroup:
        """Return the group that is described, if it is the one that was announced.

        :raises SecureChatError: it is not, or nobody could say
        """
        public, signer = read(described)
        if public.context.cipher_suite != closed.reinit.cipher_suite:
            raise NotTheSuccessor("it is another conversation")
        if public.context.epoch == 1:
            refused = judge_successor(closed, public, signer)
        else:
            refused = judge_later_successor(closed, public)
        if refused is not None:
            raise NotTheSuccessor(refused.text)
        if not has_leaf(public, self.mover.device.identity.signature_key.public):
            raise NotTheSuccessor("this device is not in it")
        return public
