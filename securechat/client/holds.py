"""Holding a conversation: nothing is sealed to it until the matter is settled (rules.md).

What we know alone, a changed pin or a log that differs, may stop *sending*; what others send is
still applied and read.
"""

from securechat.client import intents, notes, records
from securechat.client.change import Change
from securechat.client.contacts import changed_users
from securechat.client.events import Held, Released, Standing
from securechat.client.groups import Groups
from securechat.client.intents import What
from securechat.client.people import users_in
from securechat.client.reasons import REASONS
from securechat.client.records import ConversationRecord
from securechat.client.sentences import HOLDS, STOPPED, UNOPENED
from securechat.text import sanitise


def hold(
    change: Change, record: ConversationRecord, code: str, *, who: str = "", why: str = ""
) -> ConversationRecord:
    """Stop sending to a conversation, and say why. The first hold stays, unless reading has to stop too."""
    if record.held_code in STOPPED or (record.held and code not in STOPPED):
        return record
    text = sanitise(HOLDS[code].format(who=who, why=why))
    notes.note(change, record, code, text)
    change.tell(Held(record.name, code, text))
    return records.update(change.db, record.id, held_code=code, held_text=text)


def release(change: Change, record: ConversationRecord) -> ConversationRecord:
    change.tell(Released(record.name))
    change.wake(record.id)
    return records.update(change.db, record.id, held_code="", held_text="")


def try_again(change: Change, record: ConversationRecord) -> ConversationRecord:
    """End a hold of a conversation that could not be opened: the server is asked for keys once more."""
    if record.state is not Standing.OPENING or record.held_code not in UNOPENED:
        return record
    return release(change, record)


def ask_again(change: Change) -> None:
    """On a new connection, ask again for keys that were not to be trusted; what was written waits for it.

    What was wrong may have been a clock, or a device that was not online for long. Not so for a suite
    that somebody lacks: each attempt would use up one of their keys, and only they can mend it.
    """
    for record in records.every(change.db):
        if record.held_code == "untrusted_keys":
            try_again(change, record)


def release_on_purpose(change: Change, groups: Groups, record: ConversationRecord) -> ConversationRecord:
    """End a hold whose reason the user has seen; changed keys that it hid are a reason of their own."""
    seen = record.held_code
    record = release(change, record)
    unsettled = _present(groups, change, record) & changed_users(change.db)
    if seen == "identity_changed" or not unsettled:
        return record
    return hold(change, record, "identity_changed", who=", ".join(sorted(unsettled)))


def release_if_known(change: Change, groups: Groups, record: ConversationRecord) -> ConversationRecord:
    """End a hold for changed keys once nobody in the conversation has any: accepted, or gone."""
    if record.held_code != "identity_changed":
        return record
    unsettled = _present(groups, change, record) & changed_users(change.db)
    return record if unsettled else release(change, record)


def _present(groups: Groups, change: Change, record: ConversationRecord) -> set[str]:
    public = groups.public(change.db, record.id)
    return set(users_in(public.tree)) if public is not None else {record.peer}


def start_over(change: Change, groups: Groups) -> None:
    """Give up all secrets: this device was used elsewhere, or restored (rules.md D, own clone).

    So no key ever seals two texts. Each group is followed in public, and our leaf replaced from
    outside; what is queued is sealed anew after that. A group that is being made is given up once
    the server says that it has it: it may have had it for long (`answers`).
    """
    for record in records.every(change.db):
        group = groups.group(change.db, record.id)
        if group is None:
            continue
        if record.state is not Standing.OPENING:
            groups.follow(change, record.id, group.public)
        notes.note(change, record, "conflict", REASONS["conflict"].sentence)
        intents.add_once(change.db, record.id, What.RESYNC)
        change.wake(record.id)
