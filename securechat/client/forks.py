"""Telling each other, inside sealed messages of other conversations, which epoch of a group one is in.

A server that parts a group in two shows each half a log that is whole in itself: no claim about that log
differs. But it can't read what people of both halves tell each other elsewhere, in a conversation of two or
another room. So a message carries the code of the present epoch of each group that all who read it are in:
when it is another than was told there, and not more often than once an hour of each (docs/decisions/0021).
It is an extension of the content, which earlier versions leave alone.
"""

from collections.abc import Set as AbstractSet
from typing import Final

import cbor2
import msgspec

from securechat.client import epoch_codes, history, records
from securechat.client.change import Change
from securechat.client.contacts import not_pinned
from securechat.client.events import Standing
from securechat.client.groups import Groups
from securechat.client.holds import MOST_NAMED, PARTED, has, hold_naming
from securechat.client.people import credential_of, users_in
from securechat.client.records import INCARNATION, ConversationRecord
from securechat.client.sentences import RESTORED
from securechat.content.errors import ContentError
from securechat.content.mimi import MimiContent, encode
from securechat.content.values import read_bytes
from securechat.membership.epoch_codes import MAX_CODES, EpochCodes, read_codes
from securechat.mls.codec import encode as encode_struct
from securechat.mls.public_group import PublicGroup

KEY: Final = "vnd.securechat.epoch-codes"

SILENT: Final = frozenset({history.TYPING})
"""Kinds that carry none: they come and go."""

MOST_LOOKED_AT: Final = 16
"""Groups that are looked at for one message: whose members these are takes as long as they are many."""

MOST_BYTES: Final = 512
"""Of a message, at most: where it has no room for so much it tells nothing."""


def with_codes(
    change: Change, groups: Groups, record: ConversationRecord, content: MimiContent, *, kind: str, most: int
) -> MimiContent:
    """Return a message of ours that also says which epoch of other groups we are in, if it is time to.

    Only of groups that all who read it are in, with the keys that we know: nobody learns of one that they
    are not in themselves. So in a room only where it goes out at once, to those who are there now.

    :param most: bytes that the message may have
    """
    here = _readers(change, groups, record)
    if kind in SILENT or not here or _may_wait(change, record):
        return content
    incarnation = records.counter(change.db, INCARNATION)
    due = epoch_codes.due(change.db, record.id, incarnation=incarnation, now=change.now, limit=MOST_LOOKED_AT)
    if not due or len(encode(content)) + MOST_BYTES > most:
        return content
    codes = []
    for own in due:
        there = groups.public(change.db, own.about)
        epoch_codes.set_told(change.db, record.id, own, now=change.now)  # also that there is nothing to tell
        if there is not None and here <= _known_in(change, there):
            codes.append(own.told)
        if len(codes) == MAX_CODES:
            break
    if not codes:
        return content
    told = (KEY, cbor2.dumps(encode_struct(EpochCodes(tuple(codes)))))
    return msgspec.structs.replace(content, extensions=(*content.extensions, told))


def _readers(change: Change, groups: Groups, record: ConversationRecord) -> AbstractSet[str]:
    """Return who reads what is said in a conversation, besides us; nobody if that is not known."""
    if record.peer:
        return {record.peer}  # also of one that is just being opened
    public = groups.public(change.db, record.id) if record.state is Standing.JOINED else None
    users = users_in(public.tree) if public is not None else {}
    return users.keys() if len(users) > 1 else set()


def _may_wait(change: Change, record: ConversationRecord) -> bool:
    """Whether somebody may come in before a message is sealed; into a conversation of two nobody can."""
    return not record.peer and (not record.may_send or bool(history.to_seal(change.db, record.id, limit=1)))


def _known_in(change: Change, public: PublicGroup) -> AbstractSet[str]:
    """Return who is in a group, without those who are there by other keys than those we know."""
    others = not_pinned(change.db, (credential_of(leaf) for _, leaf in public.tree.leaves()))
    return users_in(public.tree).keys() - others


def take(change: Change, record: ConversationRecord, sender: str, content: MimiContent) -> None:
    """Keep what somebody says here of other groups; each is compared once its log is read (`judge`)."""
    for key, value in content.extensions:
        if key != KEY:
            continue
        try:
            heard = read_codes(read_bytes(value))
        except ContentError:
            return
        for each in heard:
            about = epoch_codes.hear(change.db, sender, each, elsewhere=record.id)
            if about is not None:
                change.wake(about)


def judge(change: Change, groups: Groups, record: ConversationRecord) -> ConversationRecord:
    """Hold a conversation of which a member has told another code elsewhere: somebody parts it, or they lie.

    Who is not in it has nothing to say of it. While its place in a restored server's log is not known, or was
    lost, nothing is compared: that it went another way then is known, and told.
    """
    who = epoch_codes.differing(change.db, record.id, incarnation=record.incarnation)
    public = groups.public(change.db, record.id) if who else None
    if public is None or record.state is not Standing.JOINED:
        return record
    if any(has(change.db, record, code) for code in RESTORED):
        return record
    who &= users_in(public.tree).keys()
    return hold_naming(change, record, PARTED, sorted(who)[:MOST_NAMED]) if who else record
