"""What we know of other users: their account keys, pinned when we first met (rules.md B).

A pin is local. It decides whether we go on *sending*, never whether a commit is valid:
otherwise honest clients would refuse different commits and the group would fork.
"""

import hmac
from collections.abc import Iterable, Mapping
from enum import Enum, auto

import apsw
from msgspec import Struct

from securechat.client.events import Identity
from securechat.membership.identity import ClientCredential


class Contact(Struct, frozen=True):
    user: str
    account_key: bytes
    generation: int
    changed_to: bytes | None


class Seen(Enum):
    """What meeting an account key means."""

    NEW = auto()
    KNOWN = auto()
    CHANGED = auto()


def concerns(db: apsw.Connection, user: str, *, own: str) -> bool:
    """Whether it is ourselves, or anything is known of somebody: of nobody else a change says anything."""
    known = "SELECT 1 FROM contact WHERE user = ?1 UNION ALL SELECT 1 FROM statement WHERE user = ?1"
    return user == own or db.execute(known, (user,)).fetchone() is not None


def contact(db: apsw.Connection, user: str) -> Contact | None:
    row = db.execute(
        "SELECT user, account_key, generation, changed_to FROM contact WHERE user = ?", (user,)
    ).fetchone()
    return None if row is None else Contact(*row)


def meet(db: apsw.Connection, credential: ClientCredential, *, now: int) -> Seen:
    """Compare a credential with the pin of its user; pin it if there is none."""
    user = credential.user_name
    known = contact(db, user)
    if known is None:
        db.execute(
            "INSERT INTO contact (user, account_key, generation, first_seen) VALUES (?, ?, ?, ?)",
            (user, credential.account_key, credential.generation, now),
        )
        return Seen.NEW
    if not hmac.compare_digest(known.account_key, credential.account_key):
        db.execute("UPDATE contact SET changed_to = ? WHERE user = ?", (credential.account_key, user))
        return Seen.CHANGED
    if credential.generation > known.generation:
        db.execute("UPDATE contact SET generation = ? WHERE user = ?", (credential.generation, user))
    return Seen.KNOWN


def meet_key(db: apsw.Connection, user: str, key: bytes) -> bool:
    """Note that a user's account shows a key that is not the pinned one; whether that is so."""
    db.execute("UPDATE contact SET changed_to = ?1 WHERE user = ?2 AND account_key != ?1", (key, user))
    return bool(db.changes())


def is_pinned(db: apsw.Connection, credential: ClientCredential) -> bool:
    """Whether an account key is the one we know. Ours has no pin: `judge` holds all our leaves to it."""
    known = contact(db, credential.user_name)
    return known is None or hmac.compare_digest(known.account_key, credential.account_key)


def not_pinned(db: apsw.Connection, credentials: Iterable[ClientCredential]) -> set[str]:
    """Return the users among these who have another account key than the pinned one."""
    return {each.user_name for each in credentials if not is_pinned(db, each)}


def meet_all(db: apsw.Connection, credentials: Iterable[ClientCredential], *, now: int) -> list[str]:
    """Meet several; return the users whose key is not the pinned one, each once, in order."""
    changed: dict[str, None] = {}
    for credential in credentials:
        if meet(db, credential, now=now) is Seen.CHANGED:
            changed[credential.user_name] = None
    return list(changed)


def changed_users(db: apsw.Connection) -> set[str]:
    """Return the users whose key is another than the pinned one, and not accepted."""
    return {row[0] for row in db.execute("SELECT user FROM contact WHERE changed_to IS NOT NULL")}


def every(db: apsw.Connection) -> list[tuple[Contact, int]]:
    """Return everybody whose key is known, by name, with when that was first seen (seconds since 1970)."""
    rows = db.execute(
        "SELECT user, account_key, generation, changed_to, first_seen FROM contact ORDER BY user"
    )
    return [(Contact(*contact), since) for *contact, since in rows]


def identities(db: apsw.Connection) -> dict[str, Identity]:
    """Return what each user whose key is known is to us: the one place that says so."""
    rows = db.execute(
        "SELECT c.user, c.changed_to IS NOT NULL, v.user IS NOT NULL FROM contact c"
        " LEFT JOIN verified v ON v.user = c.user AND v.account_key = c.account_key"
    )
    return {
        user: Identity.CHANGED if changed else Identity.VERIFIED if compared else Identity.KNOWN
        for user, changed, compared in rows
    }


def of_all(users: Iterable[str], known: Mapping[str, Identity]) -> Identity | None:
    """Return what several people are together; None if there are none, or one of them was never met."""
    found = {known.get(user) for user in users}
    if not found or None in found:
        return None
    return next(each for each in (Identity.CHANGED, Identity.KNOWN, Identity.VERIFIED) if each in found)


def verified_users(db: apsw.Connection) -> frozenset[str]:
    """Return the users whose present key was compared outside the chat, and who have shown no other since."""
    return frozenset(user for user, each in identities(db).items() if each is Identity.VERIFIED)


def verified_since(db: apsw.Connection) -> dict[str, int]:
    """Return when each verified user was (seconds since 1970)."""
    rows = db.execute("SELECT user, since FROM verified")
    verified = verified_users(db)
    return {user: since for user, since in rows if user in verified}


def set_verified(db: apsw.Connection, user: str, key: bytes, *, now: int) -> None:
    """Note that this key was compared. It says nothing of any other key of the user (D-04)."""
    db.execute(
        "INSERT INTO verified (user, account_key, since) VALUES (?, ?, ?) ON CONFLICT (user)"
        " DO UPDATE SET account_key = excluded.account_key, since = excluded.since",
        (user, key, now),
    )


def clear_verified(db: apsw.Connection, user: str) -> None:
    db.execute("DELETE FROM verified WHERE user = ?", (user,))


def is_new(db: apsw.Connection, user: str) -> bool:
    """Whether somebody's keys are known and the person was not told so yet; from here on they were."""
    db.execute("UPDATE contact SET told = 1 WHERE user = ? AND told = 0", (user,))
    return bool(db.changes()) and identities(db)[user] is Identity.KNOWN


def confirm_pin(db: apsw.Connection, user: str) -> None:
    """Forget the other key that was seen of a user: the person has compared the pinned one anew."""
    db.execute("UPDATE contact SET changed_to = NULL WHERE user = ?", (user,))


def accept_change(db: apsw.Connection, user: str, key: bytes) -> bool:
    """Take a key that was seen later as the user's; whether it is still the one that was seen last."""
    db.execute(
        "UPDATE contact SET account_key = changed_to, changed_to = NULL, from_box = 0"
        " WHERE user = ? AND changed_to = ?",
        (user, key),
    )
    accepted = bool(db.changes())
    if accepted:  # another key begins another chain of statements
        db.execute("DELETE FROM account_news WHERE user = ?", (user,))
    return accepted
