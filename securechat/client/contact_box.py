"""What an account knows, for its devices to come: pins, verification marks, conversations (box "contacts").

It lies at the server, sealed under a key of the account (`boxes`). Whoever brings the account back takes it
in: contacts are who they were, verified where they were, and each conversation has an anchor, the epoch and
transcript hash that this device saw last, by which a group from the server is known again (rules.md D).
"""

from collections.abc import Collection
from typing import Any, Final

import apsw
import msgspec
from msgspec import Struct, structs

from securechat.client import contacts, records
from securechat.client.errors import ClientError, ExitCode
from securechat.client.events import Kind, Standing
from securechat.client.marks import NOTIFY, all_marks, set_notify
from securechat.client.records import ConversationRecord
from securechat.protocol.limits import MAX_BOX

BOX: Final = "contacts"
VERSION: Final = 1

ROOM_LEFT: Final = 1024
"""Bytes of the box that are not used: for its seal, and for a version that says a little more."""

_OUT: Final = frozenset({Standing.LEFT, Standing.REMOVED})


class BoxTooNew(ClientError):
    """A newer release wrote the box."""

    exit_code = ExitCode.USAGE


class Known(Struct, frozen=True, array_like=True):
    """Somebody whose key is known; times are seconds since 1970."""

    user: str
    account_key: bytes
    generation: int
    first_seen: int
    changed_to: bytes = b""
    verified: bytes = b""
    """The key that was compared outside the chat; empty: none was."""
    verified_since: int = 0
    serial: int = 0
    """Of the newest statement of theirs that was taken."""


class Talk(Struct, frozen=True, array_like=True):
    """A conversation that the account is in, and where its group stood."""

    name: str
    kind: Kind
    state: Standing
    room: str
    peer: str
    group: bytes
    epoch: int
    transcript: bytes
    title: str = ""
    topic: str = ""
    profile: bytes = b""
    expires_after: int = 0
    notify: str = "all"
    since: int = 0
    """When our own leaf last got fresh keys there."""


class Contacts(Struct, frozen=True, array_like=True):
    """The whole content of the box."""

    version: int
    people: tuple[Known, ...] = ()
    talks: tuple[Talk, ...] = ()


def read(data: bytes) -> Contacts:
    """Read an opened box.

    :raises BoxTooNew: a newer release wrote it, or it is none
    """
    try:
        found = msgspec.msgpack.decode(data, type=Contacts)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        found = Contacts(0)
    if found.version != VERSION:
        raise BoxTooNew(
            "the list of your contacts at the server was written by a newer securechat; update it"
        )
    return found


class Fitting(Struct, frozen=True):
    """What there is room for, and how many it left out."""

    content: Contacts
    people_out: int
    talks_out: int


def fitting(content: Contacts) -> Fitting:
    """Return what of this fits the box: what would be missed most first, and nothing after what does not fit.

    First whoever was compared outside the chat or has shown another key, then whom one talks to alone, then
    the conversations, the last used ones first, then who was only met in a room, the longest known first.
    """
    peers = {talk.peer for talk in content.talks if talk.peer}
    people = sorted(content.people, key=lambda each: (_rank(each, peers), each.first_seen, each.user))
    talks = sorted(content.talks, key=lambda talk: (-talk.since, talk.name))
    near = sum(_rank(each, peers) < _MET for each in people)
    kept: list[Known | Talk] = []
    left = MAX_BOX - ROOM_LEFT - len(msgspec.msgpack.encode(Contacts(VERSION))) - _COUNTS
    ranked: list[Known | Talk] = [*people[:near], *talks, *people[near:]]
    for each in ranked:
        left -= len(msgspec.msgpack.encode(each))
        if left < 0:
            break
        kept.append(each)
    there = {each.user for each in kept if isinstance(each, Known)}
    fits = Contacts(
        VERSION,
        tuple(each for each in content.people if each.user in there),
        tuple(each for each in kept if isinstance(each, Talk)),
    )
    return Fitting(fits, len(people) - len(fits.people), len(talks) - len(fits.talks))


def _rank(person: Known, peers: Collection[str]) -> int:
    if person.verified or person.changed_to:
        return 0
    return 1 if person.user in peers else _MET


_MET: Final = 2

_COUNTS: Final = 8
"""Bytes by which the counts of two long lists are longer than those of empty ones."""


def write(content: Contacts) -> bytes:
    """Return the bytes to seal: what is `fitting`.

    They are not compressed: others choose what rooms are called, and the size would tell them of the rest.
    """
    return msgspec.msgpack.encode(fitting(content).content)


def present(db: apsw.Connection) -> Contacts:
    """Return what this device knows now."""
    verified: dict[str, Any] = {
        user: (key, since) for user, key, since in db.execute("SELECT user, account_key, since FROM verified")
    }
    rows = db.execute("SELECT user, account_key, serial FROM statement")
    serials = {(user, key): serial for user, key, serial in rows}
    people = tuple(
        Known(
            each.user,
            each.account_key,
            each.generation,
            since,
            each.changed_to or b"",
            verified.get(each.user, (b"", 0))[0],
            verified.get(each.user, (b"", 0))[1],
            serials.get((each.user, each.account_key), 0),
        )
        for each, since in contacts.every(db)
    )
    begun: dict[int, Any] = dict(db.execute("SELECT conversation, value FROM chain WHERE count = 0"))
    waiting = anchors(db)
    noted = all_marks(db)
    talks = []
    for record in records.every(db):
        epoch, transcript = record.epoch, bytes(begun.get(record.id, b""))
        if record.id in waiting:
            epoch, transcript = waiting[record.id]
        if record.state is Standing.JOINED and record.group_id and transcript:
            notify = noted[record.id].notify if record.id in noted else "all"
            talks.append(_talk(record, epoch, transcript, notify))
    return Contacts(VERSION, people, tuple(talks))


def merged(
    ours: Contacts, theirs: Contacts, *, gone: Collection[bytes], taken_back: Collection[str] = ()
) -> Contacts:
    """Return what two devices of an account know together.

    :param gone: groups that we are out of
    :param taken_back: users whose verification mark the person has taken back here: it does not come again
    """
    mine = {each.user: each for each in ours.people}
    people = dict(mine)
    for each in theirs.people:
        known = mine.get(each.user)
        if known is None:
            people[each.user] = each
        elif known.account_key == each.account_key:
            newer = known if each.user in taken_back else _newer(known, each)
            # What was seen of their devices is not unseen, however little this device has asked for.
            people[each.user] = structs.replace(newer, serial=max(known.serial, each.serial))
    talks = {each.group: each for each in theirs.talks if each.group not in gone}
    for talk in ours.talks:
        known_talk = talks.get(talk.group)
        if known_talk is None or talk.epoch >= known_talk.epoch:
            talks[talk.group] = talk
    rooms: dict[str, Talk] = {}
    for talk in sorted(talks.values(), key=lambda each: each.since):
        rooms[talk.room] = talk  # a group that a conversation went on from gives way
    ordered = sorted(people.values(), key=lambda each: each.user)
    return Contacts(VERSION, tuple(ordered), tuple(sorted(rooms.values(), key=lambda each: each.name)))


def may_lie_there(db: apsw.Connection, content: Contacts) -> None:
    """Note the verification marks that we are about to write, beside those that we may have written."""
    db.executemany(
        "INSERT OR REPLACE INTO marks_left (user, account_key) VALUES (?, ?)",
        [(each.user, each.verified) for each in content.people if each.verified],
    )


def lies_there(db: apsw.Connection, content: Contacts) -> None:
    """Note that these marks of ours are written, and no others."""
    db.execute("DELETE FROM marks_left")
    may_lie_there(db, content)


def taken_back(db: apsw.Connection, content: Contacts) -> set[str]:
    """Return the users whose mark we may have written, and who are not verified here any more."""
    now = {each.user: each.verified for each in content.people}
    rows = db.execute("SELECT user, account_key FROM marks_left")
    return {user for user, key in rows if now.get(user) != key}


def groups_left(db: apsw.Connection) -> set[bytes]:
    """Return the groups that we know and are not in any more."""
    return {each.group_id for each in records.every(db) if each.group_id and each.state in _OUT}


def take_in(db: apsw.Connection, content: Contacts, *, incarnation: int) -> list[ConversationRecord]:
    """Put what an account knew into the store of a new device; return the conversations to enter.

    :param incarnation: the server's, as it says it now
    """
    for person in content.people:
        db.execute(
            "INSERT OR IGNORE INTO contact"
            " (user, account_key, generation, first_seen, changed_to, from_box) VALUES (?, ?, ?, ?, ?, 1)",
            (
                person.user,
                person.account_key,
                person.generation,
                person.first_seen,
                person.changed_to or None,
            ),
        )
        if person.serial and db.changes():  # the server is not to show less than the account has seen
            db.execute(
                "INSERT INTO account_news (user, expected) VALUES (?1, ?2)"
                " ON CONFLICT (user) DO UPDATE SET expected = ?2",
                (person.user, person.serial),
            )
        if person.verified:
            contacts.set_verified(db, person.user, person.verified, now=person.verified_since)
    return [
        _take_talk(db, talk, incarnation)
        for talk in content.talks
        if records.by_group(db, talk.group) is None
    ]


def anchors(db: apsw.Connection) -> dict[int, tuple[int, bytes]]:
    """Return where the groups stood that are still to be entered: epoch and transcript hash."""
    return {
        conversation: (epoch, bytes(transcript))
        for conversation, epoch, transcript in db.execute(
            "SELECT conversation, epoch, transcript FROM group_anchor"
        )
    }


def drop_anchor(db: apsw.Connection, conversation: int) -> None:
    db.execute("DELETE FROM group_anchor WHERE conversation = ?", (conversation,))


def _take_talk(db: apsw.Connection, talk: Talk, incarnation: int) -> ConversationRecord:
    record = records.insert(
        db,
        name=records.free_name(db, talk.name),
        kind=talk.kind,
        state=talk.state,
        room=talk.room,
        peer=talk.peer,
        group_id=talk.group,
        title=talk.title,
        topic=talk.topic,
        profile=talk.profile,
        expires_after=talk.expires_after,
        timer_in_log=talk.expires_after,
        incarnation=incarnation,
    )
    for notify in NOTIFY:
        if notify == talk.notify:
            set_notify(db, record.id, notify)
    db.execute("INSERT INTO group_anchor VALUES (?, ?, ?)", (record.id, talk.epoch, talk.transcript))
    return record


def _talk(record: ConversationRecord, epoch: int, transcript: bytes, notify: str) -> Talk:
    return Talk(
        record.name,
        record.kind,
        record.state,
        record.room,
        record.peer,
        record.group_id or b"",
        epoch,
        transcript,
        record.title,
        record.topic,
        record.profile,
        record.expires_after,
        notify,
        record.epoch_since,
    )


def _newer(ours: Known, theirs: Known) -> Known:
    verified = ours if ours.verified_since >= theirs.verified_since else theirs
    return msgspec.structs.replace(
        ours,
        generation=max(ours.generation, theirs.generation),
        first_seen=min(ours.first_seen, theirs.first_seen),
        verified=verified.verified,
        verified_since=verified.verified_since,
        serial=max(ours.serial, theirs.serial),
    )
