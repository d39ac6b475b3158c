"""Codes that two people compare outside the chat."""

import hmac
from collections.abc import Iterable

import apsw
from msgspec import Struct

from securechat.client import comparing
from securechat.client.change import Change
from securechat.client.contacts import contact, is_new
from securechat.client.device import Device
from securechat.client.errors import ClientError, NotTheSame
from securechat.client.events import Fingerprint, Notice
from securechat.client.groups import Groups
from securechat.client.records import ConversationRecord
from securechat.client.sentences import FIRST_MET
from securechat.membership.safety_number import epoch_code, safety_number
from securechat.membership.verification_code import Code, Match, compare, verification_code


class VerifiedMark(Struct, frozen=True):
    """That somebody's key was compared outside the chat, at ``since`` (seconds since 1970)."""

    user: str
    account_key: bytes
    since: int


class WrongCode(ClientError):
    """A code that says nothing of the two people it is compared for."""


def fingerprint(
    db: apsw.Connection, device: Device, account_key: bytes, groups: Groups, record: ConversationRecord
) -> Fingerprint:
    """Return the safety number with the other one of a direct conversation, and the epoch's code.

    The number stands for the pinned key: that is what is trusted, whatever was seen later.
    """
    known = contact(db, record.peer) if record.peer else None
    group = groups.group(db, record.id)
    code = epoch_code(group.epoch_authenticator) if group is not None else None
    return Fingerprint(
        record.name,
        number_with(device, account_key, record.peer, known.account_key) if known else None,
        code,
        number_with(device, account_key, record.peer, known.changed_to)
        if known and known.changed_to
        else None,
        group.suite.name if group is not None else "",
        comparing.noted(db, record, code or ""),
    )


def number_with(device: Device, account_key: bytes, user: str, key: bytes) -> str:
    """Return the safety number of us and a user who has this account key."""
    return safety_number((device.user_uri, account_key), (device.uri_of(user), key))


def code_for(device: Device, account_key: bytes, user: str, key: bytes) -> str:
    """Return what we show a user who has this account key, to be scanned."""
    return verification_code((device.user_uri, account_key), (device.uri_of(user), key))


def what_it_says(code: Code, device: Device, account_key: bytes, user: str, key: bytes) -> Match:
    """Say what a code that was scanned means, if the user has this account key."""
    return compare(code, ours=(device.user_uri, account_key), theirs=(device.uri_of(user), key))


def sentence_of(match: Match, user: str) -> ClientError:
    """Return the no to a code that is not the same, in words."""
    match match:
        case Match.OTHER_KEY_OF_THEIRS:
            return NotTheSame(
                user,
                f"the keys of {user} are not those that are known here: somebody may be in between. "
                f"{user} is not verified; tell them elsewhere, and write nothing that others must not read",
            )
        case Match.OTHER_KEY_OF_OURS:
            return NotTheSame(
                user,
                f"{user} has other keys for you than yours: somebody may be in between, or they have not "
                f"accepted your new ones yet. {user} is not verified; tell them elsewhere",
            )
        case Match.OWN:
            return WrongCode(f"that is the code that you show; scan the one that {user} shows")
        case _:
            return WrongCode(f"that code is not of {user} and you, but of other people")


def tell_first_met(change: Change, record: ConversationRecord) -> None:
    """Say once of the other one of a direct conversation that their keys are known from now on."""
    if record.peer and is_new(change.db, record.peer):
        change.tell(Notice("first_met", FIRST_MET.format(who=record.peer)))


def marks(db: apsw.Connection) -> list[VerifiedMark]:
    """Return what was compared, by user: plain rows, which another device of the account may take over."""
    rows = db.execute("SELECT user, account_key, since FROM verified ORDER BY user")
    return [VerifiedMark(*row) for row in rows]


def take_marks(db: apsw.Connection, marks: Iterable[VerifiedMark]) -> int:
    """Take over what another device of the account has compared; return how much of it was new here.

    A mark of another key than the one that is pinned here is dropped, and what was compared here stays.
    """
    taken = 0
    for each in marks:
        known = contact(db, each.user)
        if known is not None and hmac.compare_digest(known.account_key, each.account_key):
            db.execute(
                "INSERT INTO verified (user, account_key, since) VALUES (?, ?, ?) ON CONFLICT (user)"
                " DO UPDATE SET account_key = excluded.account_key, since = excluded.since"
                " WHERE account_key <> excluded.account_key",
                (each.user, each.account_key, each.since),
            )
            taken += db.changes()
    return taken
