"""What the line mode prints for each event: pure, one event is one line (and its continuations).

A line of a message begins with its time and a sender; a line of ours with ``*``. A message's own
line breaks are drawn as continuations that begin with ``|``, so that no text can pass for a line of
ours or of another sender. Remote text has gone through the sanitiser before it comes here.
"""

from collections.abc import Callable
from datetime import datetime, tzinfo
from typing import Any, Final

from securechat.client.doubt import doubt
from securechat.client.events import (
    Connected,
    Conversation,
    Disconnected,
    Event,
    Explanation,
    FileMoved,
    Held,
    Invited,
    Joined,
    MembersChanged,
    Message,
    MessageAcknowledged,
    MessageReceived,
    MessageRefused,
    MessageState,
    Notice,
    Released,
    Removed,
    Trouble,
    Undecryptable,
)
from securechat.client.sentences import OF_SENT

CONTINUATION: Final = "      | "
NOTHING_TO_EXPLAIN: Final = "nothing is on hold, and nothing went wrong that could be explained"
ROOM_KINDS: Final = {"room": "room", "announcement": "announcement room", "direct": "conversation"}


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
        return f"* {when} {_sender(message)}: {message.text} (epoch {message.epoch}, {message.code})"
    first, *rest = _lines(message)
    head = f"{when} {_sender(message)}{_mark(message)}: {first}"
    return "\n".join([head, *(CONTINUATION + line for line in rest)])


def moved_text(moved: FileMoved) -> str:
    """How far a file is: ``sending notes.pdf: 40 %, 1.2 of 3.0 MiB``."""
    unit = 1024 * 1024
    share = 100 * moved.done // max(1, moved.total)
    verb = "sending" if moved.sending else "fetching"
    return f"{verb} {moved.name}: {share} %, {moved.done / unit:.1f} of {moved.total / unit:.1f} MiB"


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
    people = ", ".join(f"@{member.user}" for member in conversation.members) or "nobody yet"
    topic = f" ({conversation.topic})" if conversation.topic else ""
    state = "" if conversation.state == "joined" else f" [{conversation.state}]"
    return f"{conversation.name}{topic}{state}: {ROOM_KINDS[conversation.kind]} of {people}"


def members_text(conversation: Conversation) -> str:
    """One line of `/members`."""
    people = ", ".join(
        f"@{member.user} ({member.role}, {member.devices} device{'s' if member.devices != 1 else ''})"
        for member in conversation.members
    )
    return f"{conversation.name}: {people}"


def explanation_text(explanation: Explanation, *, zone: tzinfo | None = None) -> str:
    """Lines of `/why`: how a conversation stands, then each trouble, each with what to do."""
    if explanation.conversation:
        head = f"{explanation.conversation} is {explanation.state}"
    else:
        head = "not of a conversation that is here"
    if explanation.since:
        head += f" since {clock(explanation.since, zone=zone)}"
    if explanation.code:
        head += f": {explanation.text} ({explanation.code})"
    elif not explanation.troubles:
        head += "; nothing went wrong that could be explained"
    lines = [head, f"  what to do: {explanation.advice}"] if explanation.code else [head]
    for other in explanation.others:
        begun = f"also since {clock(other.since, zone=zone)}" if other.since else "also"
        lines += [f"  {begun}: {other.text} ({other.code})", f"    what to do: {other.advice}"]
    for trouble in explanation.troubles:
        lines += [
            f"  {_place(trouble, zone)}: {trouble.text} ({trouble.code})",
            f"    what to do: {trouble.advice}",
        ]
    return "\n".join(lines)


def _place(trouble: Trouble, zone: tzinfo | None) -> str:
    parts = [clock(trouble.timestamp, zone=zone)] if trouble.timestamp else []
    parts += [f"@{trouble.sender}"] if trouble.sender else []
    parts += [f"epoch {trouble.epoch}"] if trouble.epoch else []
    parts += [f"entry {trouble.sequence}"] if trouble.sequence else []
    return ", ".join(parts)


def _sender(message: Message) -> str:
    if not message.sender:
        return message.conversation  # what is missing was said by we don't know whom
    if message.conversation.startswith("#"):
        return f"{message.conversation} @{message.sender}"
    return f"@{message.sender} to {message.conversation}" if message.own else f"@{message.sender}"


def _lines(message: Message) -> list[str]:
    """What is under the head: the text, or what stands in its place, and what was said of it."""
    if message.deleted:
        return ["(withdrawn)"]
    lines = message.text.split("\n")
    for number, option in enumerate(message.poll.options if message.poll is not None else (), 1):
        lines.append(f"{number}. {option.text} ({len(option.voters)})")
    if message.reactions:
        lines.append(" ".join(f"{each.text} {len(each.users)}" for each in message.reactions))
    return lines


def _mark(message: Message) -> str:
    """What is to be known of a message stands between sender and text: no text can draw it away."""
    marks = [
        OF_SENT.get(message.code, "") if message.own else "",
        _download(message),
        doubt(message.verified),
        f"to {message.reply_to[:12]}" if message.reply_to else "",
        f"on {message.thread}" if message.thread else "",
        "closed" if message.poll is not None and message.poll.closed else "",
        "changed" if message.edited and not message.deleted else "",
        "read" if message.read_by else "delivered" if message.delivered_to else "",
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
                return "* connected again" if again else event_text(event)
            case Disconnected():
                known, self._told_lost = self._told_lost, True
                final = event.retry_in is None
                return event_text(event) if final or not known else None


def _said(event: Event) -> str | None:
    say = _SENTENCES.get(type(event))
    return None if say is None else say(event)


def _connected(event: Connected) -> str:
    return (
        f"connected to {event.server} ({event.domain}) as {event.user}; {event.encryption}\n"
        f"* server fingerprint {event.fingerprint}"
    )


def _disconnected(event: Disconnected) -> str:
    again = "; trying again until it is back" if event.retry_in is not None else ""
    return f"not connected: {event.reason}{again}"


def _message_refused(event: MessageRefused) -> str:
    return f"not sent to {event.message.conversation}: {event.text} (it said: {event.message.text!r})"


def _undecryptable(event: Undecryptable) -> str:
    return (
        f"{event.conversation}: a message from {event.sender or 'somebody'} cannot be decrypted "
        f"(epoch {event.epoch}, {event.code})"
    )


def _members_changed(event: MembersChanged) -> str:
    by = f"@{event.by}"
    parts = []
    if event.added:
        parts.append(f"{by} added " + ", ".join(f"@{user}" for user in event.added))
    parts += [f"@{user} left" for user in event.removed if user == event.by]
    if gone := [user for user in event.removed if user != event.by]:
        parts.append(f"{by} removed " + ", ".join(f"@{user}" for user in gone))
    return f"{event.conversation}: {'; '.join(parts)}"


_SENTENCES: Final[dict[type, Callable[[Any], str]]] = {
    Connected: _connected,
    Disconnected: _disconnected,
    MessageRefused: _message_refused,
    Invited: lambda event: (
        f"@{event.by} invites you to {event.conversation}; /join {event.conversation} enters"
    ),
    Joined: lambda event: f"you are in {event.conversation}",
    MembersChanged: _members_changed,
    Removed: lambda event: f"@{event.by} removed you from {event.conversation}",
    Undecryptable: _undecryptable,
    Held: lambda event: f"{event.conversation} is on hold: {event.text} ({event.code})",
    Released: lambda event: f"{event.conversation} goes on",
    Notice: lambda event: f"{event.text} ({event.code})",
}
"""Events that are told in words of ours; what is missing here is shown otherwise or not at all."""
