"""What the agent writes to its log: a line per event, with its fields and without what people wrote."""

import logging
from typing import Any, Final

from securechat.client.events import (
    Connected,
    Disconnected,
    Event,
    FileMoved,
    Held,
    HistoryMoved,
    Invited,
    Joined,
    MembersChanged,
    MessageAcknowledged,
    MessageChanged,
    MessageReceived,
    MessageRefused,
    Notice,
    NotShown,
    Released,
    Removed,
    Typing,
    Undecryptable,
)

WORTH_A_LOOK: Final = (Disconnected, Held, MessageRefused, Notice, NotShown, Undecryptable)
"""What somebody may have to do something about; the rest is information."""

MESSAGE_FIELDS: Final = ("local_id", "conversation", "sender", "epoch", "sequence", "verified", "code")

FIELDS: Final[dict[type, tuple[str, ...]]] = {
    Connected: ("user", "server", "domain", "fingerprint", "encryption"),
    Disconnected: ("reason", "retry_in"),
    MessageReceived: (),
    MessageChanged: (),
    MessageAcknowledged: (),
    MessageRefused: ("code", "text"),
    Invited: ("conversation", "by"),
    Joined: ("conversation",),
    MembersChanged: ("conversation", "by", "added", "removed"),
    Removed: ("conversation", "by"),
    Undecryptable: ("conversation", "sender", "epoch", "code"),
    NotShown: ("conversation", "sender", "epoch", "code"),
    Held: ("conversation", "code", "text"),
    Released: ("conversation",),
    FileMoved: ("done", "total", "sending"),
    HistoryMoved: ("conversation", "done", "total", "oldest", "finished"),
    Notice: ("code", "text"),
}
"""What of each event is logged beside its type: nothing that was sealed, names of files included. What is not
here is not logged, so that a new field of an event is none of the log's before somebody has thought of it."""

_WITHOUT_NAMES: Final = ("code",)
"""Of a notice whose sentence names a file."""

log = logging.getLogger("securechat.agent")


def log_event(event: Event) -> None:
    """Write one event; that somebody types is none worth a line."""
    if isinstance(event, Typing):
        return
    fields = event_fields(event)
    name = fields.pop("type")
    said = name + "".join(f" {field}=%s" for field in fields)
    level = logging.WARNING if isinstance(event, WORTH_A_LOOK) else logging.INFO
    log.log(level, said, *fields.values(), extra={"event": name, "fields": fields})


def event_fields(event: Event) -> dict[str, Any]:
    """The fields of an event that are in the table; of a message which one it is and how it stands."""
    told: dict[str, Any] = {"type": type(event).__struct_config__.tag}
    if (message := getattr(event, "message", None)) is not None:
        told |= {name: getattr(message, name) for name in MESSAGE_FIELDS}
    named = (
        _WITHOUT_NAMES
        if isinstance(event, Notice) and event.code == "file_refused"
        else FIELDS.get(type(event))
    )
    # The event's own code and text are those of a refusal: they stand in the place of the message's.
    return told | {name: getattr(event, name) for name in named or ()}
