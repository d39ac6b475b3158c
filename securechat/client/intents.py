"""What is to be done to a group, as rows: "add carol", never the commit that does it.

A commit that lost its race is thrown away; the intent stays and is judged anew against the
group as it is then (rules.md A, Crash).
"""

import secrets
from enum import StrEnum
from typing import Any, Final

import apsw
from msgspec import Struct


class What(StrEnum):
    OPEN = "open"
    """Make the direct conversation with ``subject``: group and first commit together."""
    CREATE = "create"
    """Make the room."""
    ADD = "add"
    REMOVE = "remove"
    LEAVE = "leave"
    UPDATE = "update"
    """Give our own leaf fresh keys."""
    SWEEP = "sweep"
    """Commit what others proposed: somebody leaves."""
    HISTORY = "history"
    """Have newcomers handed the last ``subject`` messages."""
    UPGRADE = "upgrade"
    """Go on as another group, in a better cipher suite: close this one, then make that one."""
    ENTER = "enter"
    """Enter as a new device of a user who has a leaf there: the account was brought back."""
    RESYNC = "resync"
    """Replace our own leaf from outside, because the epoch's secrets are lost."""
    OWN = "own"
    """Add those devices of our own account that are not in the group."""
    REVOKE = "revoke"
    """Take out those devices of ``subject`` that their account has revoked."""


class Step(StrEnum):
    WANTED = "wanted"
    CLAIMING = "claiming"
    """Key packages are asked for."""
    BROUGHT = "brought"
    """They are here, in the row, and wait for the newest statement of their user (`claims`)."""
    CLAIMED = "claimed"
    """They are here, in the row."""
    EXISTS = "exists"
    """The server has the conversation already, as the group in the row: its Welcome is awaited."""
    SENT = "sent"
    """The request is stored; it is answered, or its echo comes."""


RETRY_FIRST: Final = 0.2
RETRY_LONGEST: Final = 20.0
"""Back-off after a lost race, in seconds, with full jitter."""

PUT_OFF_FIRST: Final = 1.0
PUT_OFF_LONGEST: Final = 600.0
"""Seconds, doubling: devices of our own that have left no keys do so when they are online."""

WELCOME_WAIT: Final = 20.0
"""Seconds that the Welcome of who was first may take, before we look for ourselves; later twice as many."""

LONGEST_WAIT: Final = 900.0
"""Seconds; no wait is set for longer. One that seems longer was set before the clock went back."""


class Intent(Struct, frozen=True):
    id: int
    conversation: int
    what: What
    subject: str
    step: Step
    packages: bytes
    attempts: int
    not_before: int
    """Milliseconds since 1970."""

    def waits(self, now: float) -> float:
        """Return the seconds from now (seconds since 1970) until it is due, at most ``LONGEST_WAIT``."""
        seconds = self.not_before / 1000 - now
        return seconds if 0 < seconds <= LONGEST_WAIT else 0.0


_SELECT: Final = "SELECT id, conversation, kind, subject, step, packages, attempts, not_before FROM intent"


def add(db: apsw.Connection, conversation: int, what: What, *, subject: str = "", not_before: int = 0) -> int:
    db.execute(
        "INSERT INTO intent (conversation, kind, subject, step, not_before) VALUES (?, ?, ?, 'wanted', ?)",
        (conversation, what, subject, not_before),
    )
    return db.last_insert_rowid()


def add_once(
    db: apsw.Connection, conversation: int, what: What, *, subject: str = "", not_before: int = 0
) -> int:
    """Return the intent that is there already, or a new one."""
    row = db.execute(
        "SELECT id FROM intent WHERE conversation = ? AND kind = ? AND subject = ?",
        (conversation, what, subject),
    ).fetchone()
    if row is not None:
        return int(row[0])
    return add(db, conversation, what, subject=subject, not_before=not_before)


def get(db: apsw.Connection, intent: int) -> Intent | None:
    row = db.execute(f"{_SELECT} WHERE id = ?", (intent,)).fetchone()
    return None if row is None else _intent(row)


def of(db: apsw.Connection, conversation: int) -> list[Intent]:
    """Return a conversation's intents in the order they were formed."""
    rows = db.execute(f"{_SELECT} WHERE conversation = ? ORDER BY id", (conversation,))
    return [_intent(row) for row in rows]


def has(db: apsw.Connection, conversation: int, what: What) -> bool:
    row = db.execute(
        "SELECT 1 FROM intent WHERE conversation = ? AND kind = ?", (conversation, what)
    ).fetchone()
    return row is not None


def step_to(db: apsw.Connection, intent: int, step: Step, *, packages: bytes | None = None) -> None:
    db.execute(
        "UPDATE intent SET step = ?, packages = coalesce(?, packages) WHERE id = ?", (step, packages, intent)
    )


def again(db: apsw.Connection, intent: Intent, *, now: float) -> None:
    """Put an intent back after a lost race; claimed key packages stay good."""
    longest = min(RETRY_LONGEST, RETRY_FIRST * 2 ** min(intent.attempts, 10))
    delay = jitter(longest)
    db.execute(
        "UPDATE intent SET step = ?, attempts = attempts + 1, not_before = ? WHERE id = ?",
        (Step.CLAIMED if intent.packages else Step.WANTED, int((now + delay) * 1000), intent.id),
    )


def wait(db: apsw.Connection, intent: int, *, until: float) -> None:
    """Put an intent back until a time; claimed key packages stay good."""
    db.execute(
        "UPDATE intent SET step = CASE packages WHEN x'' THEN 'wanted' ELSE 'claimed' END, not_before = ?"
        " WHERE id = ?",
        (int(until * 1000), intent),
    )


def await_welcome(
    db: apsw.Connection, intent: Intent, group: bytes, *, now: float, longest: float = LONGEST_WAIT
) -> None:
    """Wait for the Welcome into the group that the server has already; nothing is claimed meanwhile."""
    seconds = min(longest, WELCOME_WAIT * 2 ** min(intent.attempts, 10))
    db.execute(
        "UPDATE intent SET step = 'exists', packages = ?, attempts = attempts + 1, not_before = ?"
        " WHERE id = ?",
        (group, int((now + seconds) * 1000), intent.id),
    )


def look_again(db: apsw.Connection, subject: str) -> list[int]:
    """Have what waited for an answer about somebody go on; return its conversations."""
    rows: Any = db.execute(
        "UPDATE intent SET not_before = 0 WHERE subject = ? AND step = 'wanted' AND not_before > 0"
        " RETURNING conversation",
        (subject,),
    ).fetchall()
    return [conversation for (conversation,) in rows]


def forget_packages(db: apsw.Connection) -> None:
    """Ask for key packages anew: a restored server does not know that it handed out those that are here."""
    db.execute(
        "UPDATE intent SET packages = x'',"
        " step = CASE WHEN step IN ('brought', 'claimed', 'exists') THEN 'wanted' ELSE step END"
    )


def go_on(db: apsw.Connection, intent: int) -> None:
    """Put an intent whose first half is done back to be carried on; claimed key packages stay good."""
    wait(db, intent, until=0)


def begin_anew(db: apsw.Connection, intent: int) -> None:
    """Put an intent back to its beginning: what was prepared for it was for another group."""
    db.execute("UPDATE intent SET step = 'wanted', packages = x'', not_before = 0 WHERE id = ?", (intent,))


def put_off(db: apsw.Connection, intent: int, *, until: float) -> None:
    """Put an intent back to its beginning, for a time: one more attempt has come to nothing."""
    db.execute(
        "UPDATE intent SET step = 'wanted', packages = x'', attempts = attempts + 1, not_before = ?"
        " WHERE id = ?",
        (int(until * 1000), intent),
    )


def put_off_longer(db: apsw.Connection, intent: Intent, *, now: float) -> None:
    """Put an intent back to its beginning, each time for longer: what it waits for may never come."""
    put_off(db, intent.id, until=now + min(PUT_OFF_LONGEST, PUT_OFF_FIRST * 2 ** min(intent.attempts, 10)))


def asked_wait(seconds: float) -> float:
    """Return how long to wait where a server asks for so many seconds: it may ask for any number."""
    return min(max(seconds, 0.0), LONGEST_WAIT)


def jitter(longest: float) -> float:
    """Return a wait of 0 to ``longest`` seconds: full jitter, so that those who raced don't race again."""
    return secrets.SystemRandom().uniform(0, longest)


def remove(db: apsw.Connection, intent: int) -> None:
    db.execute("DELETE FROM intent WHERE id = ?", (intent,))


def remove_kind(db: apsw.Connection, conversation: int, what: What) -> None:
    db.execute(
        "DELETE FROM intent WHERE conversation = ? AND kind = ? AND step = 'wanted'", (conversation, what)
    )


def _intent(row: tuple[object, ...]) -> Intent:
    identity, conversation, what, subject, step, packages, attempts, not_before = row
    return Intent(
        int(str(identity)),
        int(str(conversation)),
        What(str(what)),
        str(subject),
        Step(str(step)),
        bytes(packages) if isinstance(packages, bytes) else b"",
        int(str(attempts)),
        int(str(not_before)),
    )
