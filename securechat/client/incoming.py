"""One application message from the log: opened, checked, kept, told.

Nothing is dropped in silence: what cannot be opened keeps its place with a code (Q-06), what
someone without the right says is kept and not shown (rules.md C).
"""

from typing import Final

from securechat.client import contacts, history, log_chain, log_ends
from securechat.client.change import Change
from securechat.client.device import Device
from securechat.client.events import MessageReceived, MessageState, Notice, Standing, Undecryptable
from securechat.client.people import credential_of, user_of, user_of_client
from securechat.client.records import ConversationRecord
from securechat.client.sentences import EXPIRED, gone, unreadable
from securechat.content.errors import ContentError
from securechat.content.message import shown_text
from securechat.content.mimi import decode, message_id
from securechat.membership.room import may_speak, room_of
from securechat.mls.errors import MLSError, RuleError
from securechat.mls.group import Group
from securechat.mls.messaging import DecryptedMessage
from securechat.mls.ratchet_tree import RatchetTree
from securechat.protocol.messages import Entry
from securechat.text import sanitise

MAX_SHOWN: Final = 64 * 1024
"""Code points of one message on screen: more than any content of 64 KiB has."""


def keep_unreadable(
    change: Change, record: ConversationRecord, entry: Entry, code: str, *, sender: str
) -> None:
    """Give a message that cannot be opened its place in the history."""
    kept = history.add_received(
        change.db,
        record.id,
        history.Arrival(
            sender=sender,
            state=MessageState.UNREADABLE,
            text=unreadable(code),
            timestamp=entry.time,
            sequence=entry.sequence,
            epoch=entry.epoch,
            code=code,
        ),
    )
    if kept is not None and record.state is Standing.JOINED:
        change.tell(Undecryptable(record.name, sender, entry.epoch, code))


def keep_gap(change: Change, record: ConversationRecord, count: int, *, sequence: int, now: int) -> None:
    """Give what the server no longer had its place in the history: one line (Q-08).

    ``sequence`` is the last place that is missing, ``now`` when we saw it: when it was said is not known.
    """
    history.add_received(
        change.db,
        record.id,
        history.Arrival(
            sender="",
            state=MessageState.UNREADABLE,
            text=gone(count),
            timestamp=now,
            sequence=sequence,
            epoch=record.epoch,
            code=EXPIRED,
        ),
    )
    if record.state is Standing.JOINED:
        change.tell(Notice(EXPIRED, f"{record.name}: {gone(count)}"))


def receive(
    change: Change, device: Device, record: ConversationRecord, group: Group, entry: Entry
) -> str | None:
    """Open a message of the present epoch; the group's secrets have moved on when this returns.

    Returns the sender's name if its claim about the log does not hold (rules.md A), or if no honest
    server would have put it there (rules.md D), else None.
    """
    who = named(group.public.tree, entry)
    if entry.epoch != group.epoch:
        keep_unreadable(change, record, entry, "wrong_epoch", sender=who)
        log_ends.doubt(change.db, record)
        return who
    try:
        opened = group.decrypt(entry.body)
    except MLSError as error:
        code = "own_lost" if entry.sender == device.client else code_of(error)
        keep_unreadable(change, record, entry, code, sender=who)
        if not _is_of_another_log(error):
            return None
        log_ends.doubt(change.db, record)
        return who
    _keep(change, device, record, group, entry, opened)
    agrees = log_ends.agree(change.db, record, opened.authenticated_data)
    if not log_chain.agrees(change.db, record.id, opened.authenticated_data):
        log_ends.doubt(change.db, record)
        agrees = False
    return None if agrees else user_of(opened.sender_leaf)


def _is_of_another_log(error: MLSError) -> bool:
    """Whether a message was sealed in another epoch than the log's, or changed since.

    What else can be wrong with one is its sender's doing; and a key that was used is a repeat.
    """
    return not isinstance(error, RuleError) or error.rule == "aead"


def _keep(
    change: Change,
    device: Device,
    record: ConversationRecord,
    group: Group,
    entry: Entry,
    opened: DecryptedMessage,
) -> None:
    credential = credential_of(opened.sender_leaf)
    sender = credential.user_name
    uri = device.uri_of(sender)
    try:
        mimi_id = message_id(opened.content, sender_uri=uri, room_uri=record.room)
        text = sanitise(shown_text(decode(opened.content)), multiline=True, limit=MAX_SHOWN)
    except ContentError:
        keep_unreadable(change, record, entry, "content", sender=sender)
        return
    code = _why_not_shown(record, group, uri)
    state = MessageState.NOT_SHOWN if code else MessageState.RECEIVED
    kept = history.add_received(
        change.db,
        record.id,
        history.Arrival(
            sender=sender,
            own=sender == device.user,
            state=state,
            content=opened.content,
            mimi_id=mimi_id,
            text=text,
            timestamp=entry.time,
            sequence=entry.sequence,
            epoch=entry.epoch,
            code=code,
            verified=history.KNOWN if contacts.is_pinned(change.db, credential) else history.CHANGED,
        ),
    )
    if kept is not None and state is MessageState.RECEIVED and record.state is Standing.JOINED:
        change.tell(MessageReceived(kept))


def _why_not_shown(record: ConversationRecord, group: Group, sender_uri: str) -> str:
    """Return the code of why an authentic message is kept and not shown; empty if it is."""
    if not may_speak(room_of(group.public.context), sender_uri):
        return "may_not_speak"
    return "left" if record.state is Standing.LEFT else ""


def named(tree: RatchetTree, entry: Entry) -> str:
    """Return whom the server names as the sender: shown as such, proven by nothing."""
    return user_of_client(tree, entry.sender)


def code_of(error: MLSError) -> str:
    """Return a short stable word for why a message could not be opened."""
    return error.rule.replace("-", "_") if isinstance(error, RuleError) else type(error).__name__.lower()
