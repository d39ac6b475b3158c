"""Holding a conversation: nothing is sealed to it until the matter is settled (rules.md).

What we know alone, a changed pin or a log that differs, may stop *sending*; what others send is
still applied and read. A conversation may be held for several reasons at once: each is told, each
is settled by its own means, and none is lost behind another. This is the one room that writes the
table ``hold``, and in ``held_code`` and ``held_text`` of the conversation the most serious of them.
"""

from collections.abc import Collection
from typing import Any, Final

import apsw
from msgspec import Struct

from securechat.client import epoch_codes, intents, log_ends, notes, records, staged
from securechat.client.change import Change
from securechat.client.contacts import changed_users, not_pinned
from securechat.client.errors import IdentityChanged, UntrustedKeys
from securechat.client.events import Held, Released, Standing
from securechat.client.groups import Groups
from securechat.client.intents import What
from securechat.client.people import credential_of, users_in
from securechat.client.policy import Policy, not_believed
from securechat.client.reasons import REASONS
from securechat.client.records import ConversationRecord
from securechat.client.sentences import BY_WEIGHT, HOLDS, UNOPENED
from securechat.text import sanitise

CHANGED: Final = "identity_changed"
OTHER_KEYS: Final = "other_keys"
NOT_VERIFIED: Final = "not_verified"
ALTERED: Final = "log_altered"
PARTED: Final = "group_forked"

COPIED: Final = "copied"
"""The counter that says that this device was met as two: a copy may have opened what is not known here."""

MOST_NAMED: Final = 5
"""Names in one sentence; how many more there are is said."""

MOST_HELD: Final = 3
"""How often the word of one member holds a conversation in one epoch, the user having let it pass."""

MOST_DOUBTS: Final = 1024
"""Claims of members about the log that are kept, to tell nothing twice."""


class Doubt(Struct, frozen=True):
    """What a member says of the log, and is not so here."""

    who: str
    claims: tuple[tuple[bytes, bytes], ...]
    """Epochs (group id and number), each with how its log ended for them; x'' where it has not ended."""


class Hold(Struct, frozen=True):
    """One reason, as it was told; ``since`` is seconds since 1970, 0 if not known."""

    code: str
    text: str
    since: int


def of(db: apsw.Connection, conversation: int) -> list[Hold]:
    """Return the holds of a conversation, the most serious first."""
    rows: list[Any] = db.execute(
        "SELECT code, text, since FROM hold WHERE conversation = ?", (conversation,)
    ).fetchall()
    return sorted((Hold(*row) for row in rows), key=lambda each: _weight(each.code))


def has(db: apsw.Connection, record: ConversationRecord, code: str) -> bool:
    row = db.execute("SELECT 1 FROM hold WHERE conversation = ? AND code = ?", (record.id, code)).fetchone()
    return row is not None


def hold(
    change: Change,
    record: ConversationRecord,
    code: str,
    *,
    who: str = "",
    why: str = "",
    instead_of: Collection[str] = (),
) -> ConversationRecord:
    """Stop sending to a conversation for one more reason, and say it; a reason that is there stays as told.

    :param instead_of: reasons that this one takes the place of
    """
    for each in set(instead_of) - {code}:
        _drop(change.db, record, each)
    if not has(change.db, record, code):
        _tell(change, record, code, sanitise(HOLDS[code].format(who=who, why=why)))
    return _shown(change.db, record)


def hold_for_keys(
    change: Change, groups: Groups, record: ConversationRecord, changed: Collection[str]
) -> ConversationRecord:
    """Hold for account keys that are not the pinned ones, naming all in the conversation who have such."""
    who = set(changed) | (_present(groups, change, record) & changed_users(change.db))
    return hold_naming(change, record, CHANGED, who)


def hold_naming(
    change: Change,
    record: ConversationRecord,
    code: str,
    who: Collection[str],
    instead_of: Collection[str] = (),
) -> ConversationRecord:
    """Hold for what is so of these people now; told again when they are others."""
    text = sanitise(HOLDS[code].format(who=", ".join(sorted(who)), why=""))
    for each in instead_of:
        _drop(change.db, record, each)
    if text not in [each.text for each in of(change.db, record.id)]:
        _drop(change.db, record, code)
        _tell(change, record, code, text)
    return _shown(change.db, record)


def hold_for_doubt(change: Change, record: ConversationRecord, doubt: Doubt) -> ConversationRecord:
    """Hold for a log that is not the one that a member saw, naming all who say so.

    Who lies first hides no other. Whom the user let pass is believed again, as the log may have been altered
    again, but not for ever: who goes on lying stops nobody before the next commit. How an epoch ended is
    told once, as all say the same of it.
    """
    if not _is_news(change.db, record, doubt):
        return record
    rows: list[Any] = change.db.execute(
        "SELECT DISTINCT user FROM doubt WHERE conversation = ? AND open = 1 ORDER BY user", (record.id,)
    ).fetchall()
    named = [user for (user,) in rows]
    if len(named) > MOST_NAMED:
        named = [*named[:MOST_NAMED], f"{len(named) - MOST_NAMED} more"]
    _drop(change.db, record, ALTERED)
    _tell(change, record, ALTERED, sanitise(HOLDS[ALTERED].format(who=", ".join(named))), sender=doubt.who)
    return _shown(change.db, record)


def _is_news(db: apsw.Connection, record: ConversationRecord, doubt: Doubt) -> bool:
    """Keep what a member says of the log; whether there is anything in it that was not told before."""
    rows: list[Any] = db.execute(
        "SELECT user, said_in, about, claimed, open FROM doubt WHERE conversation = ?", (record.id,)
    ).fetchall()
    now = log_ends.present(record)
    told = {(about, claimed) for _, _, about, claimed, _ in rows if claimed}
    said = {about for user, _, about, _, _ in rows if user == doubt.who}
    spoke = any((user, said_in) == (doubt.who, now) and claimed for user, said_in, _, claimed, _ in rows)
    earlier = [is_open for user, _, about, *_, is_open in rows if (user, about) == (doubt.who, now)]

    def is_news(claim: tuple[bytes, bytes]) -> bool:
        about, claimed = claim
        if not claimed:
            return not any(earlier) and len(earlier) < MOST_HELD
        return not spoke and about not in said and claim not in told

    news = [claim for claim in doubt.claims if is_news(claim)]
    if not news:
        return False
    db.executemany(
        "INSERT INTO doubt (conversation, user, said_in, about, claimed, open) VALUES (?, ?, ?, ?, ?, ?)",
        [(record.id, doubt.who, now, *claim, claim in news) for claim in doubt.claims],
    )
    db.execute(
        "DELETE FROM doubt WHERE conversation = ?1 AND id NOT IN"
        " (SELECT id FROM doubt WHERE conversation = ?1 ORDER BY open DESC, id DESC LIMIT ?2)",
        (record.id, MOST_DOUBTS),
    )
    return True


def settle(
    change: Change, groups: Groups, record: ConversationRecord, codes: Collection[str]
) -> ConversationRecord:
    """End the holds of these codes. What else holds the conversation goes on to, and is said again.

    Earlier versions kept one reason only: keys that changed behind one that ends now are a hold of their own.
    """
    if not any(has(change.db, record, code) for code in codes):
        return record
    hidden = _present(groups, change, record) & changed_users(change.db) if CHANGED not in codes else ()
    if hidden:
        record = hold_for_keys(change, groups, record, hidden)
    return _end(change, record, codes)


def settle_on_purpose(change: Change, groups: Groups, record: ConversationRecord) -> ConversationRecord:
    """End the hold whose reason the user has seen, and no other.

    :raises IdentityChanged: it is for keys that changed, which are accepted by their digits and not otherwise
    """
    if record.held_code == OTHER_KEYS:
        raise UntrustedKeys(record.held_text)
    if record.held_code == CHANGED:
        raise IdentityChanged(", ".join(sorted(_present(groups, change, record) & changed_users(change.db))))
    return settle(change, groups, record, {record.held_code}) if record.held else record


def settle_if_known(change: Change, groups: Groups, record: ConversationRecord) -> ConversationRecord:
    """End a hold for keys once nobody in the conversation has others: accepted, or gone."""
    if not (has(change.db, record, CHANGED) or has(change.db, record, OTHER_KEYS)):
        return record
    return _judge_keys(change, groups, record)


def settle_keys(change: Change, groups: Groups, user: str) -> None:
    """A user's key was settled: judge anew the conversations they are in.

    Where they are still with the one that is not theirs (a device from before a reset, or one of a liar's),
    nothing is sent until that one is out: the acceptance was not of it.
    """
    for record in records.every(change.db):
        here = record.state in (Standing.OPENING, Standing.INVITED, Standing.JOINED)
        if here and user in _present(groups, change, record):
            _judge_keys(change, groups, record)


def _judge_keys(change: Change, groups: Groups, record: ConversationRecord) -> ConversationRecord:
    unsettled = _present(groups, change, record) & changed_users(change.db)
    public = groups.public(change.db, record.id)
    leaves = public.tree.leaves() if public is not None else ()
    others = not_pinned(change.db, (credential_of(leaf) for _, leaf in leaves)) - unsettled
    if others:
        done = () if unsettled else (CHANGED,)
        record = hold_naming(change, record, OTHER_KEYS, others, instead_of=done)
    if unsettled:
        record = hold_for_keys(change, groups, record, unsettled)
    return _end(
        change, record, {code for code, who in ((CHANGED, unsettled), (OTHER_KEYS, others)) if not who}
    )


def settle_if_believed(change: Change, groups: Groups, policy: Policy, *, own: str) -> None:
    """End the holds for people whom the policy does not, or no longer, keep us from sending to."""
    for record in records.every(change.db):
        public = groups.public(change.db, record.id) if has(change.db, record, NOT_VERIFIED) else None
        if public is not None and not not_believed(policy, change.db, public.tree, own=own):
            settle(change, groups, record, {NOT_VERIFIED})


def try_again(change: Change, record: ConversationRecord) -> ConversationRecord:
    """End holds of a conversation that could not be opened: the server is asked for keys once more."""
    return _end(change, record, UNOPENED) if record.state is Standing.OPENING else record


def ask_again(change: Change) -> None:
    """On a new connection, ask again for keys that were not to be trusted; what was written waits for it.

    What was wrong may have been a clock, or a device that was not online for long. Not so for a suite
    that somebody lacks: each attempt would use up one of their keys, and only they can mend it.
    """
    for record in records.every(change.db):
        if any(has(change.db, record, code) for code in ("untrusted_keys", "ghost_device")):
            try_again(change, record)


def forget(change: Change, record: ConversationRecord) -> ConversationRecord:
    """A stay in the group is over, or a new one begins: what held the one before is past."""
    change.db.execute("DELETE FROM hold WHERE conversation = ?", (record.id,))
    change.db.execute("DELETE FROM doubt WHERE conversation = ?", (record.id,))
    return _shown(change.db, record)


def start_over(change: Change, groups: Groups) -> None:
    """Give up all secrets: this device was used elsewhere, or restored (rules.md D, own clone).

    So no key ever seals two texts. Each group is followed in public, and our leaf replaced from
    outside; what is queued is sealed anew after that. A group that is being made is given up once
    the server says that it has it: it may have had it for long (`answers`).
    """
    records.set_counter(change.db, COPIED, 1)
    for record in records.every(change.db):
        group = groups.group(change.db, record.id)
        if group is None:
            _give_up_entering(change, record)
            continue
        if record.state is not Standing.OPENING:
            groups.follow(change, record.id, group.public)
        notes.note(change, record, "conflict", REASONS["conflict"].sentence)
        intents.add_once(change.db, record.id, What.RESYNC)
        change.wake(record.id)


def _give_up_entering(change: Change, record: ConversationRecord) -> None:
    """Replace our leaf once more: who came in by the commit that lies here may have spoken since."""
    own = staged.get(change.db, record.id)
    if own is None or not own.external:
        return
    staged.drop(change.db, record.id)
    intents.step_to(change.db, own.intent, intents.Step.WANTED)
    change.wake(record.id)


def _present(groups: Groups, change: Change, record: ConversationRecord) -> set[str]:
    public = groups.public(change.db, record.id)
    return set(users_in(public.tree)) if public is not None else {record.peer}


def _end(change: Change, record: ConversationRecord, codes: Collection[str]) -> ConversationRecord:
    for code in codes:
        _drop(change.db, record, code)
    if ALTERED in codes:
        change.db.execute("UPDATE doubt SET open = 0 WHERE conversation = ?", (record.id,))
    if PARTED in codes:
        epoch_codes.let_pass(change.db, record.id)
    after = _shown(change.db, record)
    if record.held and not after.held:
        change.tell(Released(record.name))
        change.wake(record.id)
    elif after.held_code != record.held_code:
        change.tell(Held(record.name, after.held_code, after.held_text))
    return after


def _tell(change: Change, record: ConversationRecord, code: str, text: str, *, sender: str = "") -> None:
    change.db.execute("INSERT INTO hold VALUES (?, ?, ?, ?)", (record.id, code, text, change.now))
    notes.note(change, record, code, text, sender=sender)
    change.tell(Held(record.name, code, text))


def _drop(db: apsw.Connection, record: ConversationRecord, code: str) -> None:
    db.execute("DELETE FROM hold WHERE conversation = ? AND code = ?", (record.id, code))


def _shown(db: apsw.Connection, record: ConversationRecord) -> ConversationRecord:
    """Have the conversation say the most serious of its holds."""
    left = of(db, record.id)
    code, text = (left[0].code, left[0].text) if left else ("", "")
    return records.update(db, record.id, held_code=code, held_text=text)


def _weight(code: str) -> int:
    """Return how far a code stands behind the most serious; what a newer version stored is last."""
    return BY_WEIGHT.index(code) if code in BY_WEIGHT else len(BY_WEIGHT)
