"""Invites: tokens that let somebody make an account where registration is by invite.

What is kept is SHA-256 of a token; the token itself is shown once, to who asked for it. A use is
counted in the transaction that makes the account, so no token opens more doors than it says.
Unknown, expired, revoked and used-up tokens are one answer.
"""

import hmac
from dataclasses import dataclass, field

import apsw

from securechat.membership.invite import InviteRefused, new_invite, read_invite
from securechat.server.config import DAY
from securechat.server.errors import Refusal

MAX_INVITES = 10_000
"""Rows: more than a server's owner gives out by hand; expired ones make room."""


@dataclass(frozen=True, slots=True)
class NewInvite:
    """An invite as its maker sees it, once."""

    number: int
    token: str = field(repr=False)
    not_after: int


def make_invite(db: apsw.Connection, *, uses: int, days: int, note: str, now: int) -> NewInvite:
    """Make a token for ``uses`` accounts within ``days``.

    :raises Refusal: ``quota``: there are too many
    """
    db.execute("DELETE FROM invite WHERE not_after < ?", (now - 30 * DAY,))
    (count,) = db.execute("SELECT count(*) FROM invite").fetchone() or (0,)
    if count >= MAX_INVITES:
        raise Refusal("quota", "there are too many invites; revoke some")
    invite, not_after = new_invite(), now + days * DAY
    db.execute(
        "INSERT INTO invite (digest, note, uses, created, not_after) VALUES (?, ?, ?, ?, ?)",
        (invite.digest, note, uses, now, not_after),
    )
    return NewInvite(db.last_insert_rowid(), invite.token, not_after)


def find_invite(db: apsw.Connection, typed: str, *, now: int) -> int:
    """The number of the invite that a token opens.

    :raises Refusal: ``invite_needed``, whatever is wrong with it
    """
    try:
        digest = read_invite(typed).digest
    except InviteRefused:
        raise Refusal("invite_needed") from None
    found = db.execute(
        "SELECT id, digest FROM invite WHERE digest = ? AND used < uses AND not_after >= ?", (digest, now)
    ).fetchone()
    # The index has compared hashes of what was sent, which tells nothing; this compares as a whole.
    if found is None or not hmac.compare_digest(found[1], digest):
        raise Refusal("invite_needed")
    return int(found[0])


def use_invite(db: apsw.Connection, typed: str, *, now: int) -> None:
    """Count one use; inside the transaction that makes the account.

    :raises Refusal: ``invite_needed``
    """
    db.execute("UPDATE invite SET used = used + 1 WHERE id = ?", (find_invite(db, typed, now=now),))
