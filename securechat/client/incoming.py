"""One application message from the log: opened, checked, kept, told.

Nothing is dropped in silence: what cannot be opened keeps its place with a code (Q-06), what
someone without the right says is kept and not shown (rules.md C).
"""

from typing import Final

from msgspec import structs

from securechat.client import (
    contacts,
    follow_ups,
    forks,
    gossip,
    history,
    log_chain,
    log_ends,
    receipts,
    shared_history,
    statements,
    timeline,
    timers,
    times,
)
from securechat.client.change import Change
from securechat.client.device import Device
from securechat.client.doubt import CHANGED, KNOWN, REVOKED
from securechat.client.events import (
    MessageKind,
    MessageReceived,
    MessageState,
    Notice,
    NotShown,
    Standing,
    Typing,
    Undecryptable,
)
from securechat.client.follow_ups import MAX_SHOWN, NOTED, Verdict
from securechat.client.holds import Doubt
from securechat.client.people import credential_of, user_of, user_of_client
from securechat.client.records import ConversationRecord
from securechat.client.rows import EARLY
from securechat.client.said_of import Told
from securechat.client.sentences import EXPIRED, gone, unreadable
from securechat.client.timers import lifetime, sentence
from securechat.client.typists import MAX_LATE
from securechat.content.errors import ContentError
from securechat.content.message import sharing_text, shown_text
from securechat.content.mimi import MimiContent, decode, message_id
from securechat.content.saying import (
    Asks,
    Changes,
    Closes,
    Hands,
    Reacts,
    Reports,
    Said,
    SetsTimer,
    Shares,
    Shown,
    Types,
    Votes,
    Withdraws,
    Words,
    said,
    shown_as,
)
from securechat.content.status import DELIVERED
from securechat.content.threads import topic_name
from securechat.membership.devices import revokes
from securechat.membership.identity import ClientCredential
from securechat.membership.room import may_speak, room_of
from securechat.mls.errors import MLSError, RuleError
from securechat.mls.group import Group
from securechat.mls.messaging import DecryptedMessage
from securechat.mls.ratchet_tree import RatchetTree
from securechat.protocol.messages import Entry
from securechat.text import sanitise

KINDS: Final[dict[type, str]] = {
    Words: MessageKind.TEXT,
    Asks: MessageKind.POLL,
    Hands: MessageKind.FILE,
    SetsTimer: history.TIMER,
    Shares: history.SHARED,
    Changes: EARLY,
}
"""What is said -> the kind of its row."""


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
) -> Doubt | None:
    """Open a message of the present epoch; the group's secrets have moved on when this returns.

    Returns what of its sender's claim about the log does not hold (rules.md A), also where no honest
    server would have put it there (rules.md D), else None.
    """
    who = named(group.public.tree, entry)
    if entry.epoch != group.epoch:
        keep_unreadable(change, record, entry, "wrong_epoch", sender=who)
        log_ends.keep_to_ourselves(change.db, record)
        return Doubt(who, ((log_ends.present(record), b""),))
    try:
        opened = group.decrypt(entry.body)
    except MLSError as error:
        code = "own_lost" if entry.sender == device.client else code_of(error)
        keep_unreadable(change, record, entry, code, sender=who)
        if not _is_of_another_log(error):
            return None
        log_ends.keep_to_ourselves(change.db, record)
        return Doubt(who, ((log_ends.present(record), b""),))
    times.compare(change, record, entry)
    _keep(change, device, record, group, entry, opened)
    claims = log_ends.differing(change.db, record, opened.authenticated_data)
    if not log_chain.agrees(change.db, record.id, opened.authenticated_data):
        log_ends.keep_to_ourselves(change.db, record)
        claims.append((log_ends.present(record), b""))
    return Doubt(user_of(opened.sender_leaf), tuple(claims)) if claims else None


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
        content = decode(opened.content)
    except ContentError:
        keep_unreadable(change, record, entry, "content", sender=sender)
        return
    arrival = history.Arrival(
        sender=sender,
        own=sender == device.user,
        state=MessageState.RECEIVED,
        content=opened.content,
        mimi_id=mimi_id,
        text="",
        timestamp=entry.time,
        sequence=entry.sequence,
        epoch=entry.epoch,
        verified=_believed(change, credential),
        account_key=credential.account_key,
    )
    _heed(change, record, arrival, content)
    what = said(content, domain=device.domain)
    code = _why_not_shown(record, group, uri) or _why_not_shared(device, record, group, uri, what)
    if isinstance(what, Reports | Types):
        if not code and not arrival.own:
            _take_note(change, record, entry, sender, what)
        return
    if not code and isinstance(what, Changes | Withdraws | Reacts | Votes | Closes):
        told = _told(arrival, mimi_id, credential.account_keys)
        verdict = follow_ups.take(change, record, what, told, me=device.user_uri)
        if verdict is Verdict.WAIT and isinstance(what, Changes):
            _show(change, device, record, content, what, arrival, has_few=_has_few(group))
        code = verdict if verdict in NOTED else ""
        if not code:
            return
    if code:
        _keep_unseen(change, record, content, arrival, code)
    elif isinstance(what, Words | Asks | Hands | SetsTimer | Shares):
        _show(change, device, record, content, what, arrival, has_few=_has_few(group))


def _heed(change: Change, record: ConversationRecord, arrival: history.Arrival, content: MimiContent) -> None:
    """Take what somebody says beside their words of the key log, and of other groups.

    The first is signed by our server. The second only they say: somebody else could be made up by their name.
    """
    gossip.take(change, arrival.sender, content)
    if arrival.verified == KNOWN:
        forks.take(change, record, arrival.sender, content)


def _believed(change: Change, credential: ClientCredential) -> str:
    """How far a message is its sender's, by what we know alone: it is shown all the same, and marked."""
    statement = statements.newest(change.db, credential.user_name)
    if statement is not None and revokes(statement, credential):
        return REVOKED
    return KNOWN if contacts.is_pinned(change.db, credential) else CHANGED


def _keep_unseen(
    change: Change, record: ConversationRecord, content: MimiContent, arrival: history.Arrival, code: str
) -> None:
    text = sanitise(shown_text(content), multiline=True, limit=MAX_SHOWN)
    ends = timers.unread_end(content.expires, now=change.now)
    not_shown = structs.replace(arrival, state=MessageState.NOT_SHOWN, code=code, text=text, expires=ends)
    kept = history.add_received(change.db, record.id, not_shown)
    if kept is not None and record.state is Standing.JOINED:
        change.tell(NotShown(record.name, arrival.sender, arrival.epoch, code))


def _told(arrival: history.Arrival, mimi_id: bytes, keys: tuple[bytes, ...]) -> Told:
    return Told(
        sender=arrival.sender,
        keys=keys,
        mimi_id=mimi_id,
        timestamp=arrival.timestamp,
        content=arrival.content,
        sequence=arrival.sequence,
    )


def _show(
    change: Change,
    device: Device,
    record: ConversationRecord,
    content: MimiContent,
    what: Shown | Changes,
    arrival: history.Arrival,
    *,
    has_few: bool,
) -> None:
    """Give a message its place in the history."""
    if isinstance(what, SetsTimer):
        what = SetsTimer(timers.at_least(what.seconds))
    # That a timer was set nobody can have pass by unseen: its line stays, whatever it says of itself.
    expiration = content.expires if not isinstance(what, SetsTimer) else None
    stays, expires = lifetime(expiration, now=change.now)
    words = _line_of(what)
    arrival = structs.replace(
        arrival,
        text=sanitise(words.text, multiline=True, limit=MAX_SHOWN),
        kind=KINDS[type(what)],
        about=what.target if isinstance(what, Changes) else content.in_reply_to,
        thread=topic_name(content.topic_id),
        mentions_me=device.user_uri in words.people,
        lifetime=stays,
        # Of ours, from another device, time runs from when it was sent.
        expires=timers.unread_end(expiration, now=change.now) if arrival.own else expires,
    )
    kept = history.add_received(change.db, record.id, arrival)
    if kept is None:
        return
    timeline.keep_topic(change.db, record.id, content.topic_id)
    if isinstance(what, SetsTimer):
        timers.came(change.db, record.id, what.seconds)
    if isinstance(what, Shares) and what.shared.user == device.user_uri and not arrival.own:
        shared_history.want(change.db, record, kept.local_id, arrival.sender, what.shared)
    if record.state is Standing.JOINED:
        change.tell(MessageReceived(kept))
    if has_few and not arrival.own:
        receipts.owe(change, record.id, kept.local_id, DELIVERED, now=change.now)
    follow_ups.settle(change, record, kept.local_id, bytes.fromhex(kept.id), me=device.user_uri)


def _line_of(what: Shown | Changes) -> Words:
    match what:
        case Words():
            return what
        case Changes(words=words):
            return Words(f"(changed) {words.text}", words.people)
        case SetsTimer(seconds=seconds):
            return Words(sentence(seconds))
        case Shares(shared=shared):
            return Words(f"({sharing_text(shared)})")
        case _:
            return Words(shown_as(what))


def _take_note(
    change: Change, record: ConversationRecord, entry: Entry, sender: str, what: Reports | Types
) -> None:
    """What passes leaves no line of its own."""
    if isinstance(what, Reports):
        receipts.take(change, record, sender, what.reported)
    elif record.state is Standing.JOINED and abs(change.now - entry.time) <= MAX_LATE:
        change.tell(Typing(record.name, sender, on=what.on))


def _has_few(group: Group) -> bool:
    return group.public.tree.member_count <= receipts.MOST_LEAVES


def _why_not_shown(record: ConversationRecord, group: Group, sender_uri: str) -> str:
    """Return the code of why an authentic message is kept and not shown; empty if it is."""
    if not may_speak(room_of(group.public.context), sender_uri):
        return "may_not_speak"
    return "left" if record.state is Standing.LEFT else ""


def _why_not_shared(
    device: Device, record: ConversationRecord, group: Group, sender_uri: str, what: Said
) -> str:
    """Return the code of why nobody takes a newcomer's history from this sender; empty if we would."""
    if not isinstance(what, Shares):
        return ""
    present = {credential_of(leaf).user_uri for _, leaf in group.public.tree.leaves()}
    wrong = shared_history.problem(
        what.shared,
        room_of(group.public.context),
        sender_uri,
        present,
        me=device.user_uri,
        invited_by=device.uri_of(record.invited_by) if record.invited_by else "",
    )
    return shared_history.REFUSED if wrong else ""


def named(tree: RatchetTree, entry: Entry) -> str:
    """Return whom the server names as the sender: shown as such, proven by nothing."""
    return user_of_client(tree, entry.sender)


def code_of(error: MLSError) -> str:
    """Return a short stable word for why a message could not be opened."""
    return error.rule.replace("-", "_") if isinstance(error, RuleError) else type(error).__name__.lower()
