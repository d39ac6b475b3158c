"""Requests of new devices that this one has answered, as they lie in the store (D-05).

Every step is here before it is said to anybody: a process that ends in between goes on where it was,
and no end of a process gives a code a second try.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import apsw

from securechat.membership.linking import LIFETIME, Meeting, Newcomer, OldSide, restore_old_side
from securechat.mls.codec import decode

KEPT_SECONDS: Final = 3600
"""How long a request that is over is remembered: it is counted, and tried never again."""


class LinkStep(StrEnum):
    ANSWERED = "answered"
    REVEALED = "revealed"
    MATCHED = "matched"
    """A person has typed its code."""
    APPROVED = "approved"
    """... and the password: what is to be sent is stored."""
    OVER = "over"


@dataclass(frozen=True, slots=True)
class LinkRequest:
    number: int
    link: bytes
    commitment: bytes
    secret: bytes = field(repr=False)
    name: str
    answered: int
    opened: int
    address: str
    step: LinkStep
    newcomer: Newcomer | None
    change: bytes = field(repr=False)
    sealed: bytes = field(repr=False)

    def is_alive(self, now: float) -> bool:
        """Whether its five minutes run, by our clock; one that was set back ends it too."""
        return self.step is not LinkStep.OVER and 0 <= now - self.answered <= LIFETIME

    def meeting(self, *, domain: str, user: str, client: str) -> Meeting:
        """What we have in common with the new device, once it has revealed what it promised.

        :raises LinkRefused: no honest device reveals so
        """
        if self.newcomer is None:
            raise LookupError(self.number)
        side = restore_old_side(
            domain=domain,
            user=user,
            commitment=self.commitment,
            client=client,
            name=self.name,
            secret=self.secret,
        )
        return side.meet(self.newcomer)


def note_answer(
    db: apsw.Connection, link: bytes, side: OldSide, *, answered: int, opened: int, address: str
) -> None:
    """Keep an answer, before it is sent."""
    db.execute(
        "INSERT INTO link_request (link, commitment, secret, name, answered, opened, address, standing)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            link,
            side.commitment,
            side.secret.private_bytes_raw(),
            side.sibling.name.decode(),
            answered,
            opened,
            address,
            LinkStep.ANSWERED,
        ),
    )


def by_link(db: apsw.Connection, link: bytes) -> LinkRequest | None:
    return next(iter(_found(db, "link = ?", link)), None)


def by_number(db: apsw.Connection, number: int) -> LinkRequest | None:
    return next(iter(_found(db, "number = ?", number)), None)


def in_steps(db: apsw.Connection, *steps: LinkStep) -> list[LinkRequest]:
    """Return the requests that stand at one of these steps, the oldest first."""
    return [each for each in _found(db, "standing != ?", LinkStep.OVER) if each.step in steps]


def answered_lately(db: apsw.Connection, now: int) -> int:
    """Count what was answered within the hour, and forget what is older."""
    db.execute("DELETE FROM link_request WHERE answered < ?", (now - KEPT_SECONDS,))
    row: Any = db.execute("SELECT count(*) FROM link_request").fetchone()
    return int(row[0])


def set_revealed(db: apsw.Connection, number: int, newcomer: bytes) -> None:
    db.execute(
        "UPDATE link_request SET standing = ?, newcomer = ? WHERE number = ?",
        (LinkStep.REVEALED, newcomer, number),
    )


def set_matched(db: apsw.Connection, number: int) -> None:
    db.execute("UPDATE link_request SET standing = ? WHERE number = ?", (LinkStep.MATCHED, number))


def set_approved(db: apsw.Connection, number: int, *, change: bytes, sealed: bytes) -> None:
    db.execute(
        "UPDATE link_request SET standing = ?, change = ?, sealed = ? WHERE number = ?",
        (LinkStep.APPROVED, change, sealed, number),
    )


def end(db: apsw.Connection, numbers: Collection[int]) -> None:
    """End requests for good; their secrets go."""
    for number in numbers:
        db.execute(
            "UPDATE link_request SET standing = ?, secret = x'', change = NULL, sealed = NULL"
            " WHERE number = ?",
            (LinkStep.OVER, number),
        )


def note_seen(db: apsw.Connection, *, client: str, name: str, address: str, now: int) -> None:
    """Keep what a new device calls itself, and where the server says that it is."""
    db.execute(
        "INSERT INTO seen_device (client, name, address, seen) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (client) DO UPDATE SET name = excluded.name, address = excluded.address,"
        " seen = excluded.seen",
        (client, name, address, now),
    )
    db.execute(
        "DELETE FROM seen_device WHERE client NOT IN"
        " (SELECT client FROM seen_device ORDER BY seen DESC, client LIMIT 64)"
    )


def seen_as(db: apsw.Connection, client: str) -> tuple[str, str] | None:
    """Return the name and the address under which a device asked to be linked; None if we saw none."""
    row: Any = db.execute("SELECT name, address FROM seen_device WHERE client = ?", (client,)).fetchone()
    return None if row is None else (str(row[0]), str(row[1]))


def added_sentence(db: apsw.Connection, user: str, client: str) -> str:
    """What an owner reads when the account gains a device: who that is, as far as is known, and the undo."""
    undo = f"securechat devices {user} revoke {client[:8]}"
    seen = seen_as(db, client)
    if seen is None:
        return f"a new device {client[:8]} is in your account; if that was not you: {undo}"
    name, address = seen
    return (
        f"a new device {name} is in your account, linked from {address} (as the server says);"
        f" if that was not you: {undo}"
    )


def _found(db: apsw.Connection, where: str, value: int | str | bytes) -> list[LinkRequest]:
    rows: Any = db.execute(
        "SELECT number, link, commitment, secret, name, answered, opened, address, standing, newcomer,"  # noqa: S608 - constants
        f" change, sealed FROM link_request WHERE {where} ORDER BY number",
        (value,),
    ).fetchall()
    return [_request_of(row) for row in rows]


def _request_of(row: Any) -> LinkRequest:  # noqa: ANN401 - the schema knows
    number, link, commitment, secret, name, answered, opened, address, step, newcomer, change, sealed = row
    return LinkRequest(
        number=number,
        link=link,
        commitment=commitment,
        secret=secret,
        name=name,
        answered=answered,
        opened=opened,
        address=address,
        step=LinkStep(step),
        newcomer=None if newcomer is None else decode(Newcomer, newcomer),
        change=change or b"",
        sealed=sealed or b"",
    )
