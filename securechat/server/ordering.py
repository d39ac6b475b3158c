"""Commits take turns: whoever names the log's epoch and handshake head is next (rules.md A).

Each request has two halves. ``prepare_*`` judges over a snapshot, in a reader's thread; the other
half runs in the writer's transaction, compares epoch and handshake head with those that were
judged, and writes: log entry, tree rows, stays of members, Welcomes, all or nothing.
"""

from dataclasses import dataclass

import apsw

from securechat.membership.room import Kind, may_speak
from securechat.mls.commit_facts import VerifiedProposal
from securechat.mls.nodes import LeafIndex
from securechat.mls.public_group import VerifiedCommit
from securechat.names import user_uri
from securechat.protocol.messages import (
    Appended,
    Carried,
    CommitGroup,
    CreateGroup,
    Entry,
    Propose,
)
from securechat.server.blobs import claim, read_carried
from securechat.server.delivery import not_yours
from securechat.server.directory import take_claimed
from securechat.server.errors import Refusal
from securechat.server.groups import Groups
from securechat.server.judging import (
    CommitParts,
    Opening,
    Proposed,
    judge_commit,
    judge_opening,
    judge_proposal_message,
    users_of,
)
from securechat.server.logbook import Logbook, Place
from securechat.server.quota import Quota
from securechat.server.values import Caller, Clock, Decision, GroupPush


@dataclass(frozen=True, slots=True)
class JudgedCommit:
    """A commit that is right at one place of one log, and nowhere else."""

    place: Place
    verified: VerifiedCommit


@dataclass(frozen=True, slots=True)
class JudgedProposal:
    place: Place
    verified: VerifiedProposal


class Ordering:
    def __init__(self, groups: Groups, domain: str, now: Clock, quota: Quota) -> None:
        self._groups = groups
        self._quota = quota
        self._book = Logbook(groups, domain, quota)
        self._domain = domain
        self._now = now

    # Create

    def prepare_create(self, db: apsw.Connection, caller: Caller, body: CreateGroup) -> Opening:
        first = None
        if body.commit is not None:
            if body.commit_group_info is None:
                raise Refusal("bad_request", "a first commit comes with its GroupInfo")
            first = _read_parts(db, caller, body.commit, body.commit_group_info, body.welcome)
        info, tree = read_carried(db, caller, body.group_info), read_carried(db, caller, body.tree)
        proposed = Proposed(body.group, info, tree, first)
        closed = self._book.closed_by(db, body.group)
        if closed is not None and closed.public.context.group_id != body.supersedes:
            raise Refusal("exists", "this group id is taken", detail=body.group)
        return judge_opening(caller, proposed, domain=self._domain, now=self._now(), closed=closed)

    def create(self, db: apsw.Connection, caller: Caller, body: CreateGroup, opening: Opening) -> Decision:
        """Open a log: the creator's stay begins at entry 1, which is the first commit if there is one."""
        if db.execute("SELECT 1 FROM conversation WHERE group_id = ?", (body.group,)).fetchone() is not None:
            raise Refusal("exists", "this group id is taken", detail=body.group)
        if opening.closed is None and self._book.is_announced(db, body.group):
            raise Refusal("exists", "this group id is taken", detail=body.group)
        self._quota.check_creation(db, caller)
        if opening.room.kind is Kind.DIRECT:
            self._check_slot(db, caller, body, opening)
        now = self._now()
        db.execute(
            "INSERT INTO conversation (group_id, epoch, head, handshake_head, created) "
            "VALUES (?, 0, 0, 0, ?)",
            (body.group, now),
        )
        place = Place(db.last_insert_rowid(), 0, 0, 0)
        self._book.client(db, opening.first.tree.member(LeafIndex(0)))
        size = self._groups.write(db, place.conversation, opening.first, None)
        self._quota.count_handshake(db, caller.client, size)
        speaks = may_speak(opening.room, user_uri(self._domain, caller.user))
        self._book.add_stay(db, place, caller.client, LeafIndex(0), speaks=speaks, start=1)
        if opening.room.kind is Kind.DIRECT:
            self._take_slot(db, caller, opening, place.conversation)
        if opening.commit is None or body.commit is None or body.commit_group_info is None:
            self._book.set_group_info(db, caller, place, body.group_info)
            return Decision(Appended(0))
        request = CommitGroup(body.group, 0, 0, body.commit, body.commit_group_info, body.welcome)
        return self._append_commit(db, caller, request, JudgedCommit(place, opening.commit))

    # Commit

    def prepare_commit(self, db: apsw.Connection, caller: Caller, body: CommitGroup) -> JudgedCommit | None:
        """Judge at the place the request names; None where it will be refused for other reasons.

        What a stranger would learn from a judgement is none of a stranger's business.
        """
        place = self._book.place(db, body.group)
        if place is None or (place.epoch, place.handshake_head) != (body.epoch, body.handshake_head):
            return None
        if not self._book.has_leaf(db, caller, place):
            return None
        parts = _read_parts(db, caller, body.commit, body.group_info, body.welcome)
        public, pending = self._book.public(db, place), self._book.pending(db, place)
        return JudgedCommit(place, judge_commit(caller, public, pending, parts, now=self._now()))

    def commit(
        self, db: apsw.Connection, caller: Caller, body: CommitGroup, judged: JudgedCommit | None
    ) -> Decision:
        place = self._book.place(db, body.group)
        if place is None or not self._book.has_leaf(db, caller, place):
            raise not_yours(db, caller, body.group)
        if body.epoch != place.epoch:
            raise Refusal("stale_epoch", head=place.head)
        if body.handshake_head != place.handshake_head:
            raise Refusal("behind", head=place.head)
        if judged is None:
            # It was sent before what it stands on was there, and judged then. Nobody judges in here, where
            # all others wait: of commits sent one behind the other that was a second for each (O-07).
            raise Refusal("behind", head=place.head)
        if not judged.verified.facts.external:
            self._book.must_be_member(db, caller, place, body.group)
        self._book.must_be_open(db, place)
        return self._append_commit(db, caller, body, JudgedCommit(place, judged.verified))

    # Propose

    def prepare_proposal(self, db: apsw.Connection, caller: Caller, body: Propose) -> JudgedProposal | None:
        place = self._book.place(db, body.group)
        if place is None or place.epoch != body.epoch or not self._book.has_leaf(db, caller, place):
            return None
        public = self._book.public(db, place)
        return JudgedProposal(place, judge_proposal_message(caller, public, body.proposal))

    def propose(
        self, db: apsw.Connection, caller: Caller, body: Propose, judged: JudgedProposal | None
    ) -> Decision:
        place = self._book.place(db, body.group)
        if place is None:
            raise Refusal("no_group")
        self._book.must_be_member(db, caller, place, body.group)
        if body.epoch != place.epoch:
            raise Refusal("stale_epoch", head=place.head)
        if judged is None:  # as a commit
            raise Refusal("stale_epoch", head=place.head)
        self._book.must_be_open(db, place)
        sequence, now = place.head + 1, self._now()
        mine = "SELECT 1 FROM pending WHERE conversation = ? AND client = ?"
        if db.execute(mine, (place.conversation, caller.client)).fetchone() is not None:
            raise Refusal("quota", "one proposal per client and epoch", head=place.head)
        db.execute("INSERT INTO pending VALUES (?, ?, ?)", (place.conversation, sequence, caller.client))
        entry = Entry(sequence, "proposal", place.epoch, caller.name, now, body.proposal)
        self._book.append(db, place, entry, caller.client)
        db.execute(
            "UPDATE conversation SET head = ?1, handshake_head = ?1 WHERE id = ?2",
            (sequence, place.conversation),
        )
        clients = self._groups.present(db, place.conversation, place.epoch).clients
        return Decision(Appended(sequence), (GroupPush(body.group, clients, entry, echo=True),))

    # What they share

    def _append_commit(
        self, db: apsw.Connection, caller: Caller, body: CommitGroup, judged: JudgedCommit
    ) -> Decision:
        place, book = judged.place, self._book
        before = book.present(db, place)
        sequence, now = place.head + 1, self._now()
        for carried in (body.commit, body.welcome):
            if carried is not None:
                claim(db, caller, carried)
        carried = body.commit
        entry = Entry(
            sequence, "commit", place.epoch, caller.name, now, carried.body, carried.blob, carried.size
        )
        newcomers = book.append_commit(db, place, entry, judged.verified, caller.client)
        for client, added in zip(newcomers, judged.verified.facts.added, strict=True):
            if not take_claimed(db, client, added.key_package):
                raise Refusal("refused_commit", "it adds a client by a key package not claimed here for it")
        book.set_group_info(db, caller, place, body.group_info)
        welcomes = book.invite(db, caller, body, place, entry, newcomers)
        return Decision(Appended(sequence), (GroupPush(body.group, before, entry, echo=True), *welcomes))

    def _check_slot(self, db: apsw.Connection, caller: Caller, body: CreateGroup, opening: Opening) -> None:
        """One conversation per pair of users; who comes second learns which it is."""
        taken = db.execute(
            "SELECT g.group_id FROM direct_slot d JOIN conversation g ON g.id = d.conversation "
            "WHERE d.first = ? AND d.second = ?",
            self._pair(db, caller, opening),
        ).fetchone()
        if taken is not None and taken[0] != body.supersedes:
            raise Refusal("exists", "this conversation is open already", detail=taken[0])

    def _take_slot(self, db: apsw.Connection, caller: Caller, opening: Opening, conversation: int) -> None:
        db.execute(
            "INSERT OR REPLACE INTO direct_slot (first, second, conversation) VALUES (?, ?, ?)",
            (*self._pair(db, caller, opening), conversation),
        )

    def _pair(self, db: apsw.Connection, caller: Caller, opening: Opening) -> tuple[int, int]:
        others = users_of(opening.public) - {caller.user}
        if len(others) != 1:
            raise Refusal("refused_commit", "a direct conversation is between two users")
        found = db.execute("SELECT id FROM account WHERE user = ?", (others.pop(),)).fetchone()
        if found is None:
            raise Refusal("refused_commit", "it adds a user that is not registered here")
        first, second = sorted((caller.account, int(found[0])))
        return first, second


def _read_parts(
    db: apsw.Connection, caller: Caller, commit: Carried, group_info: Carried, welcome: Carried | None
) -> CommitParts:
    sealed = None if welcome is None else read_carried(db, caller, welcome)
    return CommitParts(read_carried(db, caller, commit), read_carried(db, caller, group_info), sealed)
