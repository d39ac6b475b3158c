"""What `--json` prints: one object per line, with the fields that docs/cli.md lists."""

from typing import Any

import click
import msgspec

from securechat.client.events import (
    Conversation,
    Event,
    Message,
    MessageAcknowledged,
    MessageChanged,
    MessageReceived,
    MessageRefused,
)


def print_json(value: dict[str, Any]) -> None:
    click.echo(msgspec.json.encode(value).decode())


def message_json(message: Message, *, kind: str) -> dict[str, Any]:
    told: dict[str, Any] = {
        "type": kind,
        "id": message.id,
        "room": message.conversation,
        "from": message.sender,
        "text": message.text,
        "ts": message.timestamp,
        "epoch": message.epoch,
        "sequence": message.sequence,
        "verified": message.verified,
        "code": message.code,
        "local_id": message.local_id,
        "kind": message.kind,
        "reply_to": message.reply_to,
        "thread": message.thread,
        "edited": message.edited,
        "deleted": message.deleted,
        "mentions_me": message.mentions_me,
        "reactions": msgspec.to_builtins(message.reactions),
        "delivered_to": message.delivered_to,
        "read_by": message.read_by,
        "expires": message.expires,
        "lifetime": message.lifetime,
        "poll": msgspec.to_builtins(message.poll),
    }
    if message.file is not None:
        told["file"] = msgspec.to_builtins(message.file)
    return told


def conversation_json(conversation: Conversation) -> dict[str, Any]:
    return {
        "type": "room",
        "room": conversation.name,
        "kind": conversation.kind,
        "state": conversation.state,
        "epoch": conversation.epoch,
        "suite": conversation.suite,
        "topic": conversation.topic,
        "unread": conversation.unread,
        "mentions": conversation.mentions,
        "last": conversation.last,
        "ts": conversation.last_time,
        "notify": conversation.notify,
        "verified": conversation.verified,
        "identity": conversation.identity,
        "members": [msgspec.structs.asdict(member) for member in conversation.members],
    }


def event_json(event: Event) -> dict[str, Any]:
    """An event by its tag: a message as everywhere, anything else with its own fields."""
    told: dict[str, Any] = msgspec.to_builtins(event)
    match event:
        case MessageRefused(message=message):
            refused = message_json(message, kind="refused")
            return refused | {"code": event.code, "reason": event.text}
        case (
            MessageReceived(message=message)
            | MessageChanged(message=message)
            | MessageAcknowledged(message=message)
        ):
            return message_json(message, kind=told["type"])
        case _:
            return {"room" if name == "conversation" else name: value for name, value in told.items()}
