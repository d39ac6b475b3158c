"""The server came back from a copy that is older than we are: what is done at once (rules.md D, N-03).

A login shows it: another incarnation, or, unsaid, fewer decided names than were answered. What was
promised may be gone, so names restart, what was under way is made anew, and every conversation looks
for its place in the log again (`anchor.py`). The incarnation is stored with all of it, and each
conversation keeps its own until it is done: a crash in the middle goes on where it was.

A server that lies about it gains nothing: it gets public bytes again, and content that was sealed
before is sealed anew under the same message id, for nobody who was not there then (docs/decisions/0012).
"""

from enum import Enum, auto
from typing import Final

import apsw

from securechat.client import account_secret, history, intents, log_chain, notes, records, successors
from securechat.client.change import Change
from securechat.client.device import Clock
from securechat.client.events import Notice
from securechat.client.groups import Groups
from securechat.client.holds import hold, settle
from securechat.client.intents import Step
from securechat.client.joining import INBOX, INBOX_BEFORE
from securechat.client.outbox import Purpose, answered, every, restart_names
from securechat.client.records import INCARNATION, RESTORED_AT
from securechat.client.sentences import INBOX_ALTERED
from securechat.client.stay import end_stay
from securechat.protocol.messages import LoggedIn

_TODAY: Final = "restored_today"
_DAY: Final = "restored_day"

MOST_A_DAY: Final = 8
"""New incarnations that are believed in a day: an operator who tries several copies, not a server
that has us send everything again at every login."""


class Met(Enum):
    """How a server stands to what we know of it."""

    SAME = auto()
    RESTORED = auto()
    """It says that it is older than we are."""
    OLDER = auto()
    """It is, and does not say so."""


def meet(change: Change, logged_in: LoggedIn, groups: Groups, clock: Clock) -> Met:
    """Compare a login with what is known; where the server was restored, begin anew with it."""
    db = change.db
    known = records.counter(db, INCARNATION)
    if known == 0:
        records.set_counter(db, INCARNATION, logged_in.incarnation)
        db.execute("UPDATE conversation SET incarnation = ?", (logged_in.incarnation,))
        known = logged_in.incarnation
    if logged_in.incarnation == known:
        older = logged_in.high_water < answered(db)
        _look_again(change, logged_in)
    else:
        older = _too_often(db, int(clock()))
        if not older:
            _begin(change, logged_in, groups, now=int(clock()))
            return Met.RESTORED
    for record in records.every(db):
        if older and groups.public(db, record.id) is not None:
            hold(change, record, "server_older")
        elif not older and record.gone_back < 0:
            settle(change, groups, record, {"server_older"})
    return Met.OLDER if older else Met.SAME


def _look_again(change: Change, logged_in: LoggedIn) -> None:
    """Read the inbox again where it ends before what we have read of it.

    An honest server that did not say more before would have it end there. Nothing that is there was taken
    from a place behind its end, so it may all be new; what is not opens no second time.
    """
    if logged_in.inbox_head < records.counter(change.db, INBOX):
        records.set_counter(change.db, INBOX, min(logged_in.inbox_cursor, logged_in.inbox_head))
        notes.tell_account(change, "inbox_altered", INBOX_ALTERED)


def _begin(change: Change, logged_in: LoggedIn, groups: Groups, *, now: int) -> None:
    db = change.db
    change.tell(
        Notice(
            "server_restored",
            "the server came back from an older copy; what it lacks of ours is sent to it again",
        )
    )
    records.set_counter(db, INCARNATION, logged_in.incarnation)
    records.set_counter(db, RESTORED_AT, now)
    _restart_names(change, logged_in.high_water, groups)
    # Of what was in the inbox only what the copy's own cursor has behind it is sure to be the same.
    records.set_counter(db, INBOX_BEFORE, max(records.counter(db, INBOX), records.counter(db, INBOX_BEFORE)))
    records.set_counter(db, INBOX, logged_in.inbox_cursor)
    db.execute("UPDATE profile SET changes_seen = 0")  # places in what it lost say nothing of what it has
    account_secret.forget_serials(db)
    for record in records.every(db):
        if groups.public(db, record.id) is None:
            records.update(db, record.id, incarnation=logged_in.incarnation)


def _restart_names(change: Change, high_water: int, groups: Groups) -> None:
    """Go on with the name after the server's last; what it has not decided is made anew.

    What it has decided keeps its name: the answer is still there.
    """
    db = change.db
    for request in every(db):
        if request.name <= high_water:
            continue
        match request.purpose:
            case Purpose.SEND:
                # Whoever got this ciphertext before would find its key used: the content is sealed anew.
                sealed = history.sealed_as(db, request.ref)
                if sealed is not None:
                    log_chain.keep_had(db, request.conversation, sealed)
                history.unseal(db, request.ref)
            case Purpose.CREATE:
                end_stay(change, groups, request.conversation)
                records.update(db, request.conversation, group_id=None)
                intents.step_to(db, request.ref, Step.WANTED)
            case Purpose.SUCCEED:
                successors.drop_group(db, request.conversation)
                intents.step_to(db, request.ref, Step.WANTED)
            case Purpose.CLAIM | Purpose.PROPOSE:
                intents.step_to(db, request.ref, Step.WANTED)
            case Purpose.COMMIT | Purpose.RECOMMIT | Purpose.OFFER | Purpose.PUBLISH | Purpose.NONE:
                # The staged commit is there and sent again, lost commits are looked for again, and key
                # packages that may have been handed out are not left a second time.
                pass
    restart_names(db, high_water)
    intents.forget_packages(db)


def _too_often(db: apsw.Connection, now: int) -> bool:
    day = now // 86_400
    if records.counter(db, _DAY) != day:
        records.set_counter(db, _DAY, day)
        records.set_counter(db, _TODAY, 0)
    today = records.counter(db, _TODAY) + 1
    records.set_counter(db, _TODAY, min(today, MOST_A_DAY + 1))
    return today > MOST_A_DAY
