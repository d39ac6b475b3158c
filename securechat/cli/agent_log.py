"""What the agent writes to its log: a line per event, with its fields and without what people wrote."""

import logging
from typing import Any, Final

import msgspec

from securechat.client.events import (
    Disconnected,
    Event,
    Held,
    Message,
    MessageAcknowledged,
    MessageChanged,
    MessageReceived,
    MessageRefused,
    Notice,
    NotShown,
    Typing,
    Undecryptable,
)

WORTH_A_LOOK: Final = (Disconnected, Held, MessageRefused, Notice, NotShown, Undecryptable)
"""What somebody may have to do something about; the rest is information."""

MESSAGE_FIELDS: Final = ("local_id", "conversation", "sender", "epoch", "sequence", "verified", "code")

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
    """The fields of an event; of a message only what says which one it is and how it stands."""
    match event:
        case MessageRefused(message=message):
            return _of_message("refused", message) | {"code": event.code, "text": event.text}
        case MessageReceived(message=message):
            return _of_message("message", message)
        case MessageAcknowledged(message=message):
            return _of_message("acknowledged", message)
        case MessageChanged(message=message):
            return _of_message("changed", message)
        case _:
            told: dict[str, Any] = msgspec.to_builtins(event)
            return told


def _of_message(kind: str, message: Message) -> dict[str, Any]:
    return {"type": kind} | {name: getattr(message, name) for name in MESSAGE_FIELDS}
