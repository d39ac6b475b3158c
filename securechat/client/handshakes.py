"""Proposals and commits from the log: judged, applied, and what they mean for us.

Judge and do are two steps: `_verdict` says what everybody can see about a commit, `process`
what only a member can, and only then is anything changed.
"""

from dataclasses import dataclass
from typing import Final

from securechat.client import (
    incarnations,
    intents,
    kept_commits,
    log_chain,
    log_ends,
    notes,
    pending,
    queued,
    records,
    shared_history,
    staged,
)
from securechat.client.account_news import take_evidence
from securechat.client.change import Change
from securechat.client.contacts import meet_all
from securechat.client.device import Clock, Device
from securechat.client.errors import NotAMember
from securechat.client.events import MembersChanged, Notice, Removed, Standing
from securechat.client.groups import Groups
from securechat.client.holds import forget, hold_for_keys, settle_if_known
from securechat.client.intents import What
from securechat.client.newcomers import POLICY, policy_text
from securechat.client.people import brings_newcomers, credential_of, user_of, users_in
from securechat.client.records import ConversationRecord
from securechat.client.sentences import CLOSED
from securechat.client.stay import end_stay
from securechat.client.unread import say_again
from securechat.membership.judge import judge, judge_proposal
from securechat.membership.room import room_of
from securechat.membership.verdict import UPDATE_NEEDED
from securechat.mls.cipher_suite import cipher_suite
from securechat.mls.codec import encode
from securechat.mls.commit_facts import CommitFacts, VerifiedProposal
from securechat.mls.errors import MLSError, SecretError, StaleEpoch
from securechat.mls.examining import ExaminedCommit, ExaminedProposal
from securechat.mls.framing import PublicMessage, decode_message
from securechat.mls.group import Group
from securechat.mls.nodes import LeafNode
from securechat.mls.proposals import ReInit, SelfRemove
from securechat.mls.public_group import PublicGroup, VerifiedCommit
from securechat.mls.staging import StagedCommit
from securechat.protocol.messages import Entry

SWEEP_WITHIN: Final = 2.0
"""Seconds within which one of those who stay commits that somebody left; drawn at random."""


class PubliclyInvalid(Exception):
    """An entry that can't be applied by anybody: reading of this log stops before it (rules.md D).

    ``code`` is that of the hold: a lying server, a commit that is no longer there, newer rules.
    """

    def __init__(self, text: str, code: str = "invalid_entry") -> None:
        super().__init__(text)
        self.code = code


@dataclass(slots=True)
class Handshakes:
    """Applies handshakes. Everything it changes in memory is saved in the same change."""

    device: Device
    groups: Groups
    clock: Clock

    def proposal(self, change: Change, record: ConversationRecord, entry: Entry) -> ConversationRecord:
        public = self._public(change, record)
        try:
            verified = public.verify_proposal(entry.body)
        except MLSError as error:
            raise PubliclyInvalid(str(error)) from error
        refusal = judge_proposal(public.context, public.tree, verified.proposal, verified.sender)
        if refusal is not None:
            raise PubliclyInvalid(refusal.text)
        pending.add(change.db, record.id, entry.sequence, entry.body)
        group = self.groups.group(change.db, record.id)
        if group is not None:
            self._accept(change, record, group, entry)
        if isinstance(verified.proposal, SelfRemove):
            self._somebody_leaves(change, record, verified, public)
        return records.update(change.db, record.id, handshake_head=entry.sequence)

    def commit(self, change: Change, record: ConversationRecord, entry: Entry) -> ConversationRecord:
        public = self._public(change, record)
        verified, proposals = self._verdict(change, record, public, entry)
        group = self.groups.group(change.db, record.id)
        own = _own_commit(change, record, group, verified)
        welcome = own.commit.welcome if own is not None else None
        now = int(self.clock())
        kept_commits.keep(change.db, record.id, verified, proposals, welcome=welcome, now=now)
        if own is not None:
            group = self._merge_own(change, record, group, own)
        elif _removes(verified.facts, group, self.device):
            return self._removed(change, record, verified.facts, entry)
        elif group is None:
            self.groups.follow(change, record.id, public.apply(verified))
        else:
            group = self._process(change, record, group, verified, entry)
        if brings_newcomers(public.tree, [each.leaf_node for each in verified.facts.added]):
            epoch = verified.facts.new_context.epoch
            record = records.update(change.db, record.id, newcomers=epoch)
        if entry.offered:
            self._say_again(change, record, entry)
        return self._entered(change, record, verified.facts, entry, group)

    def _say_again(self, change: Change, record: ConversationRecord, entry: Entry) -> None:
        """Send again what we said in an epoch that others had left before a copy brought it back.

        They can't open it any more; who can drops the double by its id.
        """
        for _, sure in incarnations.left(change.db, record.id)[:1]:
            say_again(change, record, first=sure + 1, last=entry.sequence, epoch=entry.epoch)

    def _public(self, change: Change, record: ConversationRecord) -> PublicGroup:
        public = self.groups.public(change.db, record.id)
        if public is None:
            raise LookupError(record.id)
        return public

    def _accept(self, change: Change, record: ConversationRecord, group: Group, entry: Entry) -> None:
        """Take a proposal among the pending, if it passes what only members can check."""
        examined = group.examine(entry.body)
        if not isinstance(examined, ExaminedProposal):
            raise PubliclyInvalid("a proposal that is none")
        try:
            group.accept(examined)
        except SecretError as error:
            text = f"a proposal in {record.name} was not taken: {error.rule}"
            notes.tell(change, record, "refused_proposal", text, sequence=entry.sequence)
            return
        self.groups.keep(change, record.id, group)

    def _somebody_leaves(
        self, change: Change, record: ConversationRecord, verified: VerifiedProposal, public: PublicGroup
    ) -> None:
        leaver = public.tree.leaf(verified.sender) if verified.sender is not None else None
        if leaver is None or user_of(leaver) == self.device.user or record.state is not Standing.JOINED:
            return
        wait = intents.jitter(SWEEP_WITHIN)
        intents.add_once(change.db, record.id, What.SWEEP, not_before=int((self.clock() + wait) * 1000))
        change.wake(record.id)

    def _verdict(
        self, change: Change, record: ConversationRecord, public: PublicGroup, entry: Entry
    ) -> tuple[VerifiedCommit, list[VerifiedProposal]]:
        try:
            proposals = [public.verify_proposal(each) for each in pending.messages(change.db, record.id)]
            verified = public.verify_commit(entry.body, proposals)
        except StaleEpoch as stale:
            ahead = stale.message_epoch > stale.group_epoch
            raise PubliclyInvalid(str(stale), "missing_commit" if ahead else "invalid_entry") from stale
        except MLSError as error:
            raise PubliclyInvalid(str(error)) from error
        refusal = judge(verified.facts, pending=proposals)
        if refusal is not None:
            newer = refusal.rule == UPDATE_NEEDED
            raise PubliclyInvalid(refusal.text, "update_needed" if newer else "invalid_entry")
        return verified, proposals

    def _merge_own(
        self, change: Change, record: ConversationRecord, group: Group | None, own: "OwnCommit"
    ) -> Group:
        if group is None:
            group = Group.from_staged(own.commit, self.device.identity)
            text = f"you are back in {record.name}; what was said since the change could not be read here"
            notes.tell(change, record, "rejoined", text)
        else:
            group.merge(own.commit)
        staged.drop(change.db, record.id)
        intent = intents.get(change.db, own.intent)
        if intent is not None and intent.what is What.UPGRADE:
            intents.go_on(change.db, intent.id)  # the group is closed; now for the one it goes on as
        else:
            intents.remove(change.db, own.intent)
            change.settle(own.intent)
        self.groups.keep(change, record.id, group)
        return group

    def _process(
        self,
        change: Change,
        record: ConversationRecord,
        group: Group,
        verified: VerifiedCommit,
        entry: Entry,
    ) -> Group | None:
        """Apply another's commit; None if only its public part could be applied (rules.md D, row 2)."""
        message = decode_message(entry.body)
        if not isinstance(message, PublicMessage):
            raise PubliclyInvalid("a commit that is sealed")
        try:
            received = group.process(ExaminedCommit(verified, message, None))
        except SecretError as error:
            by = user_of(verified.facts.committer_leaf)
            text = (
                f"a change of {record.name} by {by} could not be opened "
                f"({error.rule}, entry {entry.sequence}); joining the group anew"
            )
            notes.tell(change, record, "refused_commit", text, sender=by, sequence=entry.sequence)
            self.groups.follow(change, record.id, verified.following)
            return None
        group.merge(received)
        self.groups.keep(change, record.id, group)
        return group

    def _removed(
        self, change: Change, record: ConversationRecord, facts: CommitFacts, entry: Entry
    ) -> ConversationRecord:
        """We are out: the group's state goes, history stays."""
        by = user_of(facts.committer_leaf)
        end_stay(change, self.groups, record.id)
        left = record.state is Standing.LEFT or by == self.device.user
        for intent in intents.of(change.db, record.id):
            change.settle(intent.id, None if intent.what is What.LEAVE else NotAMember(record.name))
            intents.remove(change.db, intent.id)
        queued.refuse(change, record.id, "not_member", f"you are no longer in {record.name}")
        if not left:
            change.tell(Removed(record.name, by))
        state = Standing.LEFT if left else Standing.REMOVED
        record = forget(change, record)
        return records.update(change.db, record.id, state=state, handshake_head=entry.sequence)

    def _entered(
        self,
        change: Change,
        record: ConversationRecord,
        facts: CommitFacts,
        entry: Entry,
        group: Group | None,
    ) -> ConversationRecord:
        """A new epoch has begun: the chain starts anew, pins are compared, the user is told."""
        excused = entry.offered and self._was_restored(change, record)
        log_ends.close(change.db, record, facts.old_tree, sure=not excused)
        log_chain.restart(change.db, record.id, facts.new_context.confirmed_transcript_hash)
        pending.clear(change.db, record.id)
        self._drop_passed_over(change, record)
        intents.remove_kind(change.db, record.id, What.SWEEP)
        changes: dict[str, str | int | bytes | None] = {
            "epoch": facts.new_context.epoch,
            "handshake_head": entry.sequence,
        }
        if facts.path and facts.committer_leaf.signature_key == self.device.identity.signature_key.public:
            changes |= {"epoch_since": int(self.clock()), "last_resort": 0}
        if group is None:
            intents.add_once(change.db, record.id, What.RESYNC)
        record = records.update(change.db, record.id, **changes)
        self._tell_members(change, record, facts)
        self._owe_history(change, record, facts)
        change.wake(record.id)
        if facts.removed and facts.authenticated_data:
            take_evidence(change, self.device, facts.authenticated_data)
        record = self._compare_pins(change, record, facts)
        for each in facts.proposals:
            if isinstance(each.proposal, ReInit):
                record = self._closed(change, record, facts, each.proposal)
        return record

    def _was_restored(self, change: Change, record: ConversationRecord) -> bool:
        """Whether we know of a restore after which commits can still be offered: the flag alone proves none.

        A stay that began since has left no incarnation: then what the account has met counts.
        """
        met = records.counter(change.db, records.RESTORED_AT)
        recently = met > 0 and self.clock() - met < kept_commits.KEPT_SECONDS
        return recently or bool(incarnations.left(change.db, record.id))

    def _closed(
        self, change: Change, record: ConversationRecord, facts: CommitFacts, reinit: ReInit
    ) -> ConversationRecord:
        """The group goes on as another: nothing more is sent in this one (section 11.2)."""
        who, suite = user_of(facts.committer_leaf), cipher_suite(reinit.cipher_suite).name
        if who != self.device.user and record.state is Standing.JOINED:
            change.tell(Notice("upgrading", CLOSED.format(who=who, name=record.name, suite=suite)))
        return records.update(change.db, record.id, successor=encode(reinit))

    def _drop_passed_over(self, change: Change, record: ConversationRecord) -> None:
        """Give up a commit of ours that the server said it took: its echo will not come any more.

        The log has another in its place, or our secrets went meanwhile; else it would be waited for.
        """
        own = staged.get(change.db, record.id)
        if own is None or own.sequence == 0:
            return  # its answer is still to come, and decides
        staged.drop(change.db, record.id)
        intent = intents.get(change.db, own.intent)
        if intent is not None:
            intents.again(change.db, intent, now=self.clock())

    def _compare_pins(
        self, change: Change, record: ConversationRecord, facts: CommitFacts
    ) -> ConversationRecord:
        leaves: list[LeafNode] = [each.leaf_node for each in facts.added]
        leaves += [each.new for each in facts.updated]
        leaves.append(facts.committer_leaf)
        others = [each for each in map(credential_of, leaves) if each.user_uri != self.device.user_uri]
        changed = meet_all(change.db, others, now=int(self.clock()))
        if changed:
            return hold_for_keys(change, self.groups, record, changed)
        return settle_if_known(change, self.groups, record)

    def _owe_history(self, change: Change, record: ConversationRecord, facts: CommitFacts) -> None:
        """Whom we have let in is handed what the room's policy says (docs/decisions/0019)."""
        if room_of(facts.old_context).history != room_of(facts.new_context).history:
            text = policy_text(record.name, shared_history.most(room_of(facts.new_context)))
            notes.tell(change, record, POLICY, text, sender=user_of(facts.committer_leaf))
        if facts.committer_leaf.signature_key != self.device.identity.signature_key.public:
            return
        room = room_of(facts.new_context)
        before, after = users_in(facts.old_tree), users_in(facts.new_tree)
        new = [user for user in after if user not in before and user != self.device.user]
        if new and shared_history.most(room):
            shared_history.owe(change, record, room, new, by=self.device.user)

    def _tell_members(self, change: Change, record: ConversationRecord, facts: CommitFacts) -> None:
        if record.state is Standing.INVITED:
            return
        before, after = users_in(facts.old_tree), users_in(facts.new_tree)
        added = tuple(user for user in after if user not in before)
        gone = [user for user in before if user not in after]
        left = {user_of(leaf) for leaf in _self_removed(facts)}
        for user in gone:
            if user in left:
                change.tell(MembersChanged(record.name, user, (), (user,)))
        removed = tuple(user for user in gone if user not in left)
        if added or removed:
            change.tell(MembersChanged(record.name, user_of(facts.committer_leaf), added, removed))


@dataclass(frozen=True, slots=True)
class OwnCommit:
    """A commit of ours that the log has brought back."""

    intent: int
    commit: StagedCommit


def _own_commit(
    change: Change, record: ConversationRecord, group: Group | None, verified: VerifiedCommit
) -> OwnCommit | None:
    """Return our staged commit if this is it: the next epoch it comes to is ours, tag and all.

    Not the bytes are compared: a server may have broken the membership tag, which is no part
    of what the group agrees on, and those who can't open it join anew (rules.md D).
    """
    own = staged.get(change.db, record.id)
    if own is None or own.external != (group is None) or own.epoch != verified.facts.old_context.epoch:
        return None
    commit = own.load(group)
    ours, theirs = commit.state.public, verified.following
    same = ours.context == theirs.context and ours.confirmation_tag == theirs.confirmation_tag
    return OwnCommit(own.intent, commit) if same else None


def _self_removed(facts: CommitFacts) -> list[LeafNode]:
    """Return the leaves that go because they asked to."""
    return [
        facts.old_tree.member(each.sender)
        for each in facts.proposals
        if isinstance(each.proposal, SelfRemove) and each.sender is not None
    ]


def _removes(facts: CommitFacts, group: Group | None, device: Device) -> bool:
    """Whether we are out of the group, whether we hold its secrets or only follow it."""
    if group is not None:
        return any(removed.leaf_index == group.own_leaf for removed in facts.removed)
    # A follower's leaf may have been replaced by an external commit of its own: what counts is what is there.
    own = device.identity.signature_key.public
    return bool(facts.removed) and all(leaf.signature_key != own for _, leaf in facts.new_tree.leaves())
