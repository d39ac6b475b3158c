"""What this device knows of the server's key log: the rows behind ``log_watch`` (docs/transparency.md).

A head, once taken, only moves on. Of each user stays what the log said last, with the proof of it. What the
server was caught at stays as well: while it stands nobody new is believed.
"""

import hmac
from collections.abc import Iterable, Sequence
from enum import Enum, auto
from typing import Any, Final

import apsw
from msgspec import Struct

from securechat.client import notes, records
from securechat.client.change import Change
from securechat.client.errors import UntrustedKeys
from securechat.client.reasons import reason
from securechat.mls.codec import decode, encode
from securechat.transparency.distinguished import next_distinguished
from securechat.transparency.entries import LabelChange, LabelState
from securechat.transparency.heads import Placed, TreeHead, TrustedHead
from securechat.transparency.search import Found

MODE: Final = "key_log_mode"
"""The counter that says whether the server keeps a log: 0 not known, else one of these."""

KEPT: Final = 1
NONE: Final = 2

LOOKED_UP_SECONDS: Final = 60
"""A look-up answers what is asked within this time: one act of a person is several requests."""

ANSWER_SECONDS: Final = 30.0
"""How long a look-up may take before whoever waits for it asks again."""

LIE: Final = "key_log_lie"
REFUSED: Final = "key_log_refused"
STRANGER: Final = "key_log_stranger"
BEGUN: Final = "key_log_begun"
"""Codes of what is told; REFUSED ends with the next answer that holds, the others don't."""

HEAD_OF: Final = "@{user}"
"""What a refusal is about that concerns a head somebody else was shown; else a user, or nothing."""

WAITING: Final = "key_log_waiting "
"""What the counters begin with that say when a matter, as above, was last not answered for want of time."""

WAITED: Final = "key_log_waited "
"""And those that say how many seconds one has waited for it in all."""

MOST_LIES: Final = 16


class Gate(Enum):
    """What is to be done before a user's keys are asked for."""

    OPEN = auto()
    ASK = auto()
    """Look them up in the log first."""
    SHUT = auto()
    """Nothing: the server was caught (``blocking``)."""


class Seen(Struct, frozen=True):
    """What the log said of a user last, under a head that we believed."""

    found: Found
    account_key: bytes
    checked: int
    due_at: int
    reached: int


class Lie(Struct, frozen=True):
    """What the server was caught at; ``log`` is the one it was about, ``since`` seconds since 1970."""

    code: str
    rule: str
    text: str
    since: int
    log: int
    about: str
    evidence: bytes


class Known(Struct, frozen=True):
    """The head that we believe, since when, and from which on."""

    trusted: TrustedHead
    taken: int
    first_size: int
    first_taken: int
    own_at: int


def known(db: apsw.Connection) -> Known | None:
    row: Any = db.execute("SELECT head, last, taken, first_size, first_taken, own_at FROM key_log").fetchone()
    if row is None:
        return None
    head, last, *rest = row
    trusted = TrustedHead(decode(TreeHead, head), decode(Placed, last) if last else None)
    return Known(trusted, *rest)


def take_head(db: apsw.Connection, trusted: TrustedHead, *, now: int) -> None:
    """Keep a head that was accepted; of another log than before everything begins anew."""
    before = known(db)
    head, last = encode(trusted.head), b"" if trusted.last is None else encode(trusted.last)
    if before is not None and before.trusted.head.log == trusted.head.log:
        db.execute("UPDATE key_log SET head = ?, last = ?, taken = ?", (head, last, now))
        return
    forget(db)
    db.execute(
        "INSERT INTO key_log (id, head, last, taken, first_size, first_taken) VALUES (1, ?, ?, ?, ?, ?)",
        (head, last, now, trusted.head.size, now),
    )


def forget(db: apsw.Connection) -> None:
    """What was seen was of a log that has ended; everybody is looked up in the next."""
    db.execute("INSERT OR IGNORE INTO key_log_wanted (user) SELECT user FROM key_log_seen")
    for table in ("key_log", "key_log_seen", "key_log_change", "key_log_told"):
        db.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
    db.execute("DELETE FROM key_log_heard")


def seen(db: apsw.Connection, user: str) -> Seen | None:
    row: Any = db.execute(
        "SELECT head, label, state, placed, account_key, checked, due_at, reached FROM key_log_seen"
        " WHERE user = ?",
        (user,),
    ).fetchone()
    if row is None:
        return None
    head, label, state, placed, *rest = row
    found = Found(decode(TreeHead, head), label, decode(LabelState, state), decode(Placed, placed), ())
    return Seen(found, *rest)


def keep(
    db: apsw.Connection, user: str, found: Found, account_key: bytes, *, now: int, own: bool = False
) -> None:
    """Keep what an answer proved; a change is due at the next distinguished size.

    :param own: it is of ourselves: that is looked at at every such size (``own_stood``)
    """
    before = seen(db, user)
    changes = found.since or ((found.placed.entry.change,) if before is None else ())
    _keep_changes(db, user, changes)
    due_at, reached = (0, 0) if before is None else (before.due_at, before.reached)
    if own:
        due_at = 0
    elif (before is None or changes) and not due_at:
        due_at = next_distinguished(found.head.size)
    if found.state.position < due_at:
        reached = found.state.revision
    db.execute(
        "INSERT OR REPLACE INTO key_log_seen VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            user,
            encode(found.head),
            found.label,
            encode(found.state),
            encode(found.placed),
            account_key,
            now,
            due_at,
            reached,
        ),
    )
    db.execute("DELETE FROM key_log_wanted WHERE user = ?", (user,))


def people(db: apsw.Connection, *, but: str) -> int:
    """How many people were looked up."""
    (count,) = db.execute("SELECT count(*) FROM key_log_seen WHERE user <> ?", (but,)).fetchone() or (0,)
    return int(count)


def chain(db: apsw.Connection, user: str) -> tuple[LabelChange, ...]:
    """A user's changes as we know them, up to the newest."""
    rows: Any = db.execute("SELECT body FROM key_log_change WHERE user = ? ORDER BY revision", (user,))
    return tuple(decode(LabelChange, body) for (body,) in rows)


def stood(db: apsw.Connection, user: str, revision: int) -> None:
    """So much of what we saw of a user stood at the distinguished size; what came after is due at the next.

    Nothing before the newest has to be remembered: it names all that.
    """
    known_now = seen(db, user)
    if known_now is None:
        raise LookupError(user)
    newest = known_now.found.state
    due_at = next_distinguished(newest.position + 1) if revision < newest.revision else 0
    db.execute(
        "UPDATE key_log_seen SET due_at = ?, reached = ? WHERE user = ?", (due_at, newest.revision, user)
    )
    db.execute("DELETE FROM key_log_change WHERE user = ? AND revision < ?", (user, newest.revision))


def own_at(db: apsw.Connection) -> int:
    """The size up to which our own label was looked at."""
    return 0 if (head := known(db)) is None else head.own_at


def own_stood(db: apsw.Connection, user: str, size: int, revision: int) -> None:
    """All of ours stood there that had to: of ourselves everything is remembered."""
    db.execute("UPDATE key_log SET own_at = ?", (size,))
    db.execute("UPDATE key_log_seen SET reached = ? WHERE user = ?", (revision, user))


def due(db: apsw.Connection, size: int, *, but: str) -> list[str]:
    """Users of whom the log must show, now that it has so many entries, that what it told us stayed."""
    rows = db.execute(
        "SELECT user FROM key_log_seen WHERE due_at > 0 AND due_at <= ? AND user <> ? ORDER BY due_at",
        (size, but),
    )
    return [user for (user,) in rows]


def wanted(db: apsw.Connection) -> list[str]:
    rows = db.execute("SELECT user FROM key_log_wanted WHERE absent = 0 ORDER BY user")
    return [user for (user,) in rows]


def want(db: apsw.Connection, user: str) -> None:
    db.execute("INSERT OR REPLACE INTO key_log_wanted (user) VALUES (?)", (user,))


def look_again(db: apsw.Connection, user: str) -> None:
    """Have a user looked up before their keys are believed next: they have others than when it was done."""
    db.execute("UPDATE key_log_seen SET checked = 0 WHERE user = ?", (user,))


def note_absent(db: apsw.Connection, user: str, *, now: int) -> None:
    """There is no such user, it says: whoever asks for their keys will hear the same."""
    db.execute("UPDATE key_log_wanted SET absent = ? WHERE user = ?", (now, user))


def gate(db: apsw.Connection, user: str, *, now: int) -> Gate:
    """Whether a user's keys may be asked for and believed now."""
    if not is_kept(db):
        return Gate.OPEN
    if blocking(db, user) is not None:
        return Gate.SHUT
    rows: Any = db.execute(
        "SELECT checked FROM key_log_seen WHERE user = ?1"
        " UNION ALL SELECT absent FROM key_log_wanted WHERE user = ?1 AND absent > 0",
        (user,),
    ).fetchall()
    fresh = any(0 <= now - checked < LOOKED_UP_SECONDS for (checked,) in rows)
    return Gate.OPEN if fresh else Gate.ASK


def check_offered(db: apsw.Connection, user: str, account_keys: Iterable[bytes]) -> None:
    """Hold keys that the server hands out against what its log said of their owner.

    :raises UntrustedKeys: it names another account key, or nobody of that name
    """
    if not is_kept(db):
        return
    found = seen(db, user)
    if found is None or not all(hmac.compare_digest(key, found.account_key) for key in account_keys):
        raise UntrustedKeys(f"the server offered keys of {user} that its key log does not name")


def want_all_again(db: apsw.Connection, *, before: int) -> None:
    """Have everybody we know looked up whose last look-up is older than that."""
    db.execute(
        "INSERT OR IGNORE INTO key_log_wanted (user) SELECT user FROM key_log_seen WHERE checked < ?",
        (before,),
    )


def lies(db: apsw.Connection) -> list[Lie]:
    """What the server was caught at, oldest first."""
    rows: Any = db.execute(
        "SELECT code, rule, text, since, log, about, evidence FROM key_log_lie ORDER BY id"
    ).fetchall()
    return [Lie(*row) for row in rows]


def blocking(db: apsw.Connection, user: str) -> Lie | None:
    """What keeps a user, whoever it is, from being believed: the gravest of what is not past.

    What was not proven of somebody else is no matter of this user's; of a log that has ended all is past.
    """
    before = known(db)
    log = 0 if before is None else before.trusted.head.log
    matter = [
        each
        for each in lies(db)
        if each.log in (log, 0)
        and (each.code != REFUSED or each.about in ("", user) or each.about[:1] == "@")
    ]
    return min(matter, key=lambda each: (each.code == REFUSED, each.since), default=None)


def accuse(change: Change, code: str, rule: str, text: str, about: str = "", evidence: bytes = b"") -> None:
    """Keep what the server was caught at and tell it, once; what is not proven counts once by matter."""
    before = known(change.db)
    log = 0 if before is None else before.trusted.head.log
    for each in lies(change.db):
        is_same = (each.code, each.about) == (code, about) and each.log in (log, 0)
        if is_same and (code == REFUSED or each.rule == rule):
            return
    change.db.execute(
        "INSERT INTO key_log_lie (code, rule, text, since, log, about, evidence)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (code, rule, text, change.now, log, about, evidence),
    )
    # The gravest stay: or a server hides what it did behind much that it only does not prove.
    change.db.execute(
        "DELETE FROM key_log_lie WHERE id NOT IN (SELECT id FROM key_log_lie ORDER BY log NOT IN (?, 0),"
        " code = ?, CASE WHEN about = '' THEN 0 WHEN about LIKE '@%' THEN 1 ELSE 2 END, id LIMIT ?)",
        (log, REFUSED, MOST_LIES),
    )
    notes.tell_account(change, code, f"{reason(code).sentence}: {text}")


def acquit(db: apsw.Connection, about: str) -> None:
    """An answer held again: what was only unproven is past."""
    db.execute("DELETE FROM key_log_lie WHERE code = ? AND about = ?", (REFUSED, about))


def waited(db: apsw.Connection, about: str, *, began: int, now: int, most: int) -> int:
    """Note that there was no time for an answer; return for how many seconds one has waited in all.

    :param began: when it was asked now
    :param most: seconds that count of what passes between two such answers: nobody may have asked for longer
    """
    last = min(records.counter(db, WAITING + about) or began, began)
    seconds = records.counter(db, WAITED + about) + max(0, min(now - last, most))
    records.set_counter(db, WAITING + about, now)
    records.set_counter(db, WAITED + about, seconds)
    return seconds


def waits(db: apsw.Connection, about: str) -> bool:
    """Whether there was no time for an answer when it was asked for last."""
    return records.counter(db, WAITING + about) > 0


def waits_no_more(db: apsw.Connection, about: str) -> None:
    db.execute("DELETE FROM counter WHERE name IN (?, ?)", (WAITING + about, WAITED + about))


def set_mode(db: apsw.Connection, mode: int) -> None:
    records.set_counter(db, MODE, mode)


def is_kept(db: apsw.Connection) -> bool:
    """Whether the server keeps a log, as far as we know."""
    return records.counter(db, MODE) != NONE


def was_kept(db: apsw.Connection) -> bool:
    """Whether the server has said, or a head of its was seen, that it keeps a log."""
    return records.counter(db, MODE) == KEPT


def hear(db: apsw.Connection, user: str, head: TreeHead, *, now: int) -> bool:
    """Keep the head that somebody was shown, if it is newer than what they told before; whether it is."""
    row: Any = db.execute("SELECT head FROM key_log_heard WHERE user = ?", (user,)).fetchone()
    if row is not None:
        before = decode(TreeHead, row[0])
        if (head.log, head.size, head.timestamp) <= (before.log, before.size, before.timestamp):
            return False
    db.execute(
        "INSERT OR REPLACE INTO key_log_heard (user, head, heard) VALUES (?, ?, ?)", (user, encode(head), now)
    )
    return True


def heard(db: apsw.Connection, *, compared: bool) -> Sequence[tuple[str, TreeHead, int, str]]:
    """Heads of others: who was shown it, which, when they said so, and what comparing it said."""
    rows: Any = db.execute(
        "SELECT user, head, heard, verdict FROM key_log_heard WHERE (verdict <> '') = ? ORDER BY user",
        (compared,),
    ).fetchall()
    return [(user, decode(TreeHead, head), since, verdict) for user, head, since, verdict in rows]


def judge_heard(db: apsw.Connection, user: str, verdict: str) -> None:
    db.execute("UPDATE key_log_heard SET verdict = ? WHERE user = ?", (verdict, user))


def _keep_changes(db: apsw.Connection, user: str, changes: tuple[LabelChange, ...]) -> None:
    db.executemany(
        "INSERT OR REPLACE INTO key_log_change (user, revision, body) VALUES (?, ?, ?)",
        [(user, each.revision, encode(each)) for each in changes],
    )
