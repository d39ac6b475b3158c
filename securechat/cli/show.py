"""What the line mode prints for each event: one event is one line (and its continuations).

A line of a message begins with its time and a sender; a line of ours with ``*``. A message's own
line breaks are drawn as continuations that begin with ``|``, so that no text can pass for a line of
ours or of another sender. Remote text has gone through the sanitiser before it comes here.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

from securechat.client.doubt import doubt, identity_word
from securechat.client.events import (
    Connected,
    Conversation,
    Disconnected,
    Event,
    Explanation,
    FileMoved,
    Held,
    HistoryMoved,
    Invited,
    Joined,
    Member,
    MembersChanged,
    Message,
    MessageAcknowledged,
    MessageKind,
    MessageReceived,
    MessageRefused,
    MessageState,
    Notice,
    Released,
    Removed,
    Transfer,
    Trouble,
    Typing,
    Undecryptable,
)
from securechat.client.sentences import OF_SENT
from securechat.locale.catalogue import mark, say, told, tr

CONTINUATION: Final = "      | "
NOTHING_TO_EXPLAIN: Final = mark("nothing is on hold, and nothing went wrong that could be explained")
ROOM_KINDS: Final = {
    "room": mark("room of {people}"),
    "announcement": mark("announcement room of {people}"),
    "direct": mark("conversation of {people}"),
}
STANDINGS: Final = {
    "opening": mark("opening"),
    "invited": mark("invited"),
    "joined": mark("joined"),
    "left": mark("left"),
    "removed": mark("removed"),
    "held": mark("held"),
}
ROLES: Final = {
    "owner": mark("owner"),
    "admin": mark("admin"),
    "member": mark("member"),
    "reader": mark("reader"),
    "banned": mark("banned"),
}


def event_text(event: Event, *, zone: tzinfo | None = None) -> str | None:
    """The line for an event; None for one that a person need not read."""
    match event:
        case MessageReceived(message=message):
            return message_text(message, zone=zone)
        case MessageAcknowledged():
            return None
        case _:
            said = _said(event)
            return None if said is None else f"* {said}"


def message_text(message: Message, *, zone: tzinfo | None = None) -> str:
    """``14:03 @bob: hello``; in a room ``14:03 #team @bob: hello``; own ``14:03 @alice to @bob: hello``."""
    when = clock(message.timestamp, zone=zone)
    if message.state is MessageState.UNREADABLE:
        place = say("(epoch {epoch}, {code})", epoch=message.epoch, code=message.code)
        return f"* {when} {_sender(message)}: {told(message.text)} {place}"
    first, *rest = _lines(message)
    head = f"{when} {_sender(message)}{_mark(message)}: {first}"
    return "\n".join([head, *(CONTINUATION + line for line in rest)])


def moved_text(moved: FileMoved) -> str:
    """How far a file is: ``sending notes.pdf: 40 %, 1.2 of 3.0 MiB``."""
    unit = 1024 * 1024
    share = 100 * moved.done // max(1, moved.total)
    verb = tr("sending") if moved.sending else tr("fetching")
    done, total = f"{moved.done / unit:.1f}", f"{moved.total / unit:.1f}"
    return f"{verb} {moved.name}: {share} %, " + say("{done} of {total} MiB", done=done, total=total)


def transfer_text(transfer: Transfer) -> str:
    """One line of `/cancel`: ``2: sending notes.pdf: 40 %, 1.2 of 3.0 MiB (@bob)``."""
    moved = FileMoved(transfer.name, transfer.done, transfer.total, sending=transfer.sending)
    return f"{transfer.number}: {moved_text(moved)} ({transfer.conversation})"


def clock(seconds: int, *, zone: tzinfo | None = None) -> str:
    """Hours and minutes, with the date when it is not today; any integer has an answer."""
    try:
        moment = datetime.fromtimestamp(seconds, tz=zone).astimezone(zone)
    except (OverflowError, OSError, ValueError):
        return "??:??"
    today = datetime.now(tz=moment.tzinfo).date()
    return moment.strftime("%H:%M" if moment.date() == today else "%Y-%m-%d %H:%M")


def conversation_text(conversation: Conversation) -> str:
    """One line of `/rooms`."""
    people = ", ".join(f"@{member.user}" for member in conversation.members) or tr("nobody yet")
    topic = f" ({conversation.topic})" if conversation.topic else ""
    state = "" if conversation.state == "joined" else f" [{tr(STANDINGS[conversation.state])}]"
    new = f" ({say('{count} new', count=conversation.unread)})" if conversation.unread else ""
    return f"{conversation.name}{topic}{state}{new}: {say(ROOM_KINDS[conversation.kind], people=people)}"


def members_text(conversation: Conversation) -> str:
    """One line of `/members`."""
    people = ", ".join(f"@{member.user} ({_in_it(member)})" for member in conversation.members)
    return f"{conversation.name}: {people}"


def _in_it(member: Member) -> str:
    if member.listed is not None and member.listed != member.devices:
        devices = tr("{count} of {all} devices").format(count=member.devices, all=member.listed)
    else:
        devices = tr("1 device") if member.devices == 1 else say("{count} devices", count=member.devices)
    word = f", {tr(identity_word(member.identity))}" if member.identity is not None else ""
    return f"{tr(ROLES.get(member.role, member.role))}, {devices}{word}"


def explanation_text(explanation: Explanation, *, zone: tzinfo | None = None) -> str:
    """Lines of `/why`: how a conversation stands, then each trouble, each with what to do."""
    lines = [_head(explanation, zone)]
    if explanation.code:
        lines.append("  " + say("what to do: {advice}", advice=told(explanation.advice)))
    for other in explanation.others:
        since = clock(other.since, zone=zone)
        begun = say("also since {time}", time=since) if other.since else tr("also")
        lines += [
            f"  {begun}: {told(other.text)} ({other.code})",
            "    " + say("what to do: {advice}", advice=told(other.advice)),
        ]
    for trouble in explanation.troubles:
        lines += [
            f"  {_place(trouble, zone)}: {told(trouble.text)} ({trouble.code})",
            "    " + say("what to do: {advice}", advice=told(trouble.advice)),
        ]
    return "\n".join(lines)


def _head(explanation: Explanation, zone: tzinfo | None) -> str:
    """How a conversation stands, since when, and why."""
    name, state = explanation.conversation, tr(STANDINGS[explanation.state])
    since = clock(explanation.since, zone=zone)
    if not name:
        head = tr("not of a conversation that is here")
    elif explanation.since:
        head = say("{name} is {state} since {time}", name=name, state=state, time=since)
    else:
        head = say("{name} is {state}", name=name, state=state)
    if explanation.code:
        return f"{head}: {told(explanation.text)} ({explanation.code})"
    if explanation.troubles:
        return head
    return f"{head}; {tr('nothing went wrong that could be explained')}"


def _place(trouble: Trouble, zone: tzinfo | None) -> str:
    parts = [clock(trouble.timestamp, zone=zone)] if trouble.timestamp else []
    parts += [f"@{trouble.sender}"] if trouble.sender else []
    parts += [say("epoch {number}", number=trouble.epoch)] if trouble.epoch else []
    parts += [say("entry {number}", number=trouble.sequence)] if trouble.sequence else []
    return ", ".join(parts)


def _sender(message: Message) -> str:
    if not message.sender:
        return message.conversation  # what is missing was said by we don't know whom
    if message.conversation.startswith("#"):
        return f"{message.conversation} @{message.sender}"
    if not message.own:
        return f"@{message.sender}"
    return say("{sender} to {name}", sender=f"@{message.sender}", name=message.conversation)


def _lines(message: Message) -> list[str]:
    """What is under the head: the text, or what stands in its place, and what was said of it."""
    if message.deleted:
        return [tr("(withdrawn)")]
    lines = message.text.split("\n")
    if message.kind is MessageKind.FILE:
        lines[0] = told(lines[0])  # it names the file, and is ours
    for number, option in enumerate(message.poll.options if message.poll is not None else (), 1):
        lines.append(f"{number}. {option.text} ({len(option.voters)})")
    if message.reactions:
        lines.append(" ".join(f"{each.text} {len(each.users)}" for each in message.reactions))
    return lines


def _mark(message: Message) -> str:
    """What is to be known of a message stands between sender and text: no text can draw it away."""
    marks = [
        tr(OF_SENT.get(message.code, "")) if message.own else "",
        _download(message),
        told(doubt(message.verified)),
        say("to {message}", message=message.reply_to[:12]) if message.reply_to else "",
        say("on {topic}", topic=message.thread) if message.thread else "",
        tr("closed") if message.poll is not None and message.poll.closed else "",
        tr("edited") if message.edited and not message.deleted else "",
        tr("read") if message.read_by else tr("delivered") if message.delivered_to else "",
    ]
    return "".join(f" ({mark})" for mark in marks if mark)


def _download(message: Message) -> str:
    """The command that fetches a file of somebody else."""
    if message.file is None or message.own or message.local_id <= 0 or message.deleted:
        return ""
    # Six digits could be the beginning of an id.
    return f"/download {message.local_id if message.local_id < 100_000 else message.id[:12]}"


class Connection:
    """What is worth saying of a connection that comes and goes: each change once, not each attempt."""

    def __init__(self) -> None:
        self._greeted = False
        self._told_lost = False

    def text(self, event: Connected | Disconnected) -> str | None:
        """The line for this event; None if nothing has changed for a person."""
        match event:
            case Connected():
                again, self._greeted = self._greeted, True
                self._told_lost = False
                return f"* {tr('connected again')}" if again else event_text(event)
            case Disconnected():
                known, self._told_lost = self._told_lost, True
                final = event.retry_in is None
                return event_text(event) if final or not known else None


def _said(event: Event) -> str | None:
    say = _SENTENCES.get(type(event))
    return None if say is None else say(event)


def _connected(event: Connected) -> str:
    connected = say(
        "connected to {server} ({domain}) as {user}; {encryption}",
        server=event.server,
        domain=event.domain,
        user=event.user,
        encryption=told(event.encryption),
    )
    return f"{connected}\n* {say('server fingerprint {fingerprint}', fingerprint=event.fingerprint)}"


def _disconnected(event: Disconnected) -> str:
    if event.retry_in is None:
        return say("not connected: {reason}", reason=told(event.reason))
    return say("not connected: {reason}; trying again until it is back", reason=told(event.reason))


def _message_refused(event: MessageRefused) -> str:
    return say(
        "not sent to {name}: {why} (it said: {text})",
        name=event.message.conversation,
        why=told(event.text),
        text=repr(event.message.text),
    )


def _undecryptable(event: Undecryptable) -> str:
    return f"{event.conversation}: " + say(
        "a message from {sender} cannot be decrypted (epoch {epoch}, {code})",
        sender=event.sender or tr("somebody"),
        epoch=event.epoch,
        code=event.code,
    )


def _history(event: HistoryMoved) -> str:
    done, day = f"{event.done:,}", _day(event.oldest)
    if event.conversation:
        return f"{event.conversation}: " + say(
            "{done} messages from before you came are here, back to {day}; only who let you in vouches for"
            " them",
            done=done,
            day=day,
        )
    if event.finished and event.done >= event.total:
        return say("history: all {done} messages of the archive are here, back to {day}", done=done, day=day)
    total = f"{event.total:,}"
    return say("history: {done} of about {total} messages, back to {day}", done=done, total=total, day=day)


def _day(seconds: int) -> str:
    """A day in this machine's zone; any integer has an answer."""
    try:
        return datetime.fromtimestamp(seconds, tz=UTC).astimezone().strftime("%Y-%m-%d")
    except (OverflowError, OSError, ValueError):
        return "?"


def _typing(event: Typing) -> str | None:
    if not event.on:
        return None
    if event.conversation.startswith("#"):
        return say("{user} types in {name}", user=f"@{event.user}", name=event.conversation)
    return say("{user} types", user=f"@{event.user}")


def _members_changed(event: MembersChanged) -> str:
    by = f"@{event.by}"
    parts = []
    if event.added:
        parts.append(say("{user} added {people}", user=by, people=_people(event.added)))
    parts += [say("{user} left", user=f"@{user}") for user in event.removed if user == event.by]
    if gone := [user for user in event.removed if user != event.by]:
        parts.append(say("{user} removed {people}", user=by, people=_people(gone)))
    return f"{event.conversation}: {'; '.join(parts)}"


def _people(users: Iterable[str]) -> str:
    return ", ".join(f"@{user}" for user in users)


_SENTENCES: Final[dict[type, Callable[[Any], str | None]]] = {
    Connected: _connected,
    Disconnected: _disconnected,
    MessageRefused: _message_refused,
    Invited: lambda event: say(
        "{user} invites you to {name}; /join {name} enters", user=f"@{event.by}", name=event.conversation
    ),
    Joined: lambda event: say("you are in {name}", name=event.conversation),
    MembersChanged: _members_changed,
    Removed: lambda event: say(
        "{user} removed you from {name}", user=f"@{event.by}", name=event.conversation
    ),
    Undecryptable: _undecryptable,
    Typing: _typing,
    Held: lambda event: say(
        "{name} is on hold: {why} ({code})", name=event.conversation, why=told(event.text), code=event.code
    ),
    Released: lambda event: say("{name} goes on", name=event.conversation),
    HistoryMoved: _history,
    Notice: lambda event: f"{told(event.text)} ({event.code})",
}
"""Events that are told in words of ours; what is missing here is shown otherwise or not at all."""
