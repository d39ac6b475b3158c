"""Commits that a restored log lacks, offered by whoever has them (rules.md D, "server older than me").

A log is reopened by its members: the copy that came back is in an epoch that they have left, and what
led on from there is public and signed. It is judged as it was the first time; only who brings it
may be another. That needs no trust in them: nobody can sign for somebody else. But of key packages it is
not asked whether they were claimed or have run out, so it ends when commits of before would have gone.
"""

from dataclasses import dataclass

import apsw

from securechat.mls.nodes import LeafNode
from securechat.protocol.messages import Appended, Entry, OfferCommit
from securechat.server.backup import began_at
from securechat.server.blobs import claim, read_carried
from securechat.server.delivery import not_yours
from securechat.server.errors import Refusal
from securechat.server.groups import Groups
from securechat.server.judging import JudgedOffer, OfferParts, judge_offer, leaf_owner
from securechat.server.logbook import Logbook, Place
from securechat.server.quota import Quota
from securechat.server.values import Caller, Clock, Decision, GroupPush


@dataclass(frozen=True, slots=True)
class OfferAtPlace:
    """An offer that is right at one place of one log, and nowhere else."""

    place: Place
    judged: JudgedOffer


class Reopening:
    def __init__(self, groups: Groups, domain: str, now: Clock, quota: Quota, *, offered_for: int) -> None:
        """``offered_for``: seconds from a restore in which its logs take what they lack."""
        self._groups = groups
        self._book = Logbook(groups, domain, quota)
        self._now = now
        self._offered_for = offered_for

    def prepare_offer(self, db: apsw.Connection, caller: Caller, body: OfferCommit) -> OfferAtPlace | None:
        """Judge at the place the request names; None where it will be refused for other reasons."""
        place = self._book.place(db, body.group)
        if place is None or place.epoch != body.epoch or not self._may_offer(db, caller, place):
            return None
        parts = OfferParts(
            read_carried(db, caller, body.commit),
            body.proposals,
            None if body.group_info is None else read_carried(db, caller, body.group_info),
            None if body.welcome is None else read_carried(db, caller, body.welcome),
        )
        public, pending = self._book.public(db, place), self._book.pending(db, place)
        return OfferAtPlace(place, judge_offer(public, pending, parts, device_key=_device_key(db, caller)))

    def offer(
        self, db: apsw.Connection, caller: Caller, body: OfferCommit, prepared: OfferAtPlace | None
    ) -> Decision:
        """Append the commit and what it refers to, each under the name of who made it."""
        place = self._book.place(db, body.group)
        if place is None or not self._book.has_leaf(db, caller, place):
            raise not_yours(db, caller, body.group)
        if not self._may_offer(db, caller, place):
            raise Refusal("forbidden", "this log was not restored lately: commits are their committers' own")
        if body.epoch != place.epoch:
            raise Refusal("stale_epoch", head=place.head)
        if prepared is None or not _same_place(prepared.place, place):
            # A proposal came between the judgement and this transaction, or what it stands on came after.
            # As with any commit: nobody judges in here, where all others wait (O-07).
            raise Refusal("behind", head=place.head)
        self._book.must_be_open(db, place)
        return self._append(db, caller, body, OfferAtPlace(place, prepared.judged))

    def _append(
        self, db: apsw.Connection, caller: Caller, body: OfferCommit, offered: OfferAtPlace
    ) -> Decision:
        place, judged, book, now = offered.place, offered.judged, self._book, self._now()
        before, old_tree = book.present(db, place), judged.verified.facts.old_tree
        for carried in (body.commit, body.welcome):
            if carried is not None:
                claim(db, caller, carried)
        entries = []
        for sequence, proposal in enumerate(judged.proposals, place.head + 1):
            if proposal.sender is None:
                raise Refusal("refused_commit", "members propose")
            client, name = self._signer(db, old_tree.member(proposal.sender))
            entry = Entry(sequence, "proposal", place.epoch, name, now, proposal.message)
            book.append(db, place, entry, client)
            entries.append(entry)
        client, name = self._signer(db, judged.committer)
        sequence, carried = place.head + len(entries) + 1, body.commit
        entry = Entry(
            sequence,
            "commit",
            place.epoch,
            name,
            now,
            carried.body,
            carried.blob,
            carried.size,
            offered=True,
        )
        newcomers = book.append_commit(db, place, entry, judged.verified, client)
        book.set_group_info(db, caller, place, body.group_info)
        welcomes = book.invite(db, caller, body, place, entry, newcomers)
        pushes = [GroupPush(body.group, before, each, echo=True) for each in (*entries, entry)]
        return Decision(Appended(sequence), (*pushes, *welcomes))

    def _signer(self, db: apsw.Connection, leaf: LeafNode) -> tuple[int, str]:
        """Whose leaf it is: the client's number here, and its name."""
        return self._book.client(db, leaf), leaf_owner(leaf)[1]

    def _may_offer(self, db: apsw.Connection, caller: Caller, place: Place) -> bool:
        """Whether the log was restored, not too long ago, and the caller's user is in the group."""
        restored = db.execute(
            "SELECT s.incarnation FROM server s, restore r WHERE r.conversation = ? LIMIT 1",
            (place.conversation,),
        ).fetchone()
        if restored is None or self._now() - began_at(restored[0]) >= self._offered_for:
            return False
        return self._book.has_leaf(db, caller, place)


def _same_place(judged: Place, present: Place) -> bool:
    """Messages may have come since: they change nothing that was judged."""
    return (judged.conversation, judged.epoch, judged.handshake_head) == (
        present.conversation,
        present.epoch,
        present.handshake_head,
    )


def _device_key(db: apsw.Connection, caller: Caller) -> bytes:
    found = db.execute("SELECT device_key FROM client WHERE id = ?", (caller.client,)).fetchone()
    return bytes(found[0]) if found is not None else b""
