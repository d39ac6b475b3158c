"""What an exported conversation is: a line that says which, then a line for each message, oldest first.

Each line is a JSON object; unknown fields are ignored. A file that somebody hands us proves
nothing: it is judged whole before any of it is kept, and what is kept of it says where it came from.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from securechat.client.doubt import IMPORTED
from securechat.client.errors import ClientError
from securechat.client.events import (
    Conversation,
    FileInfo,
    Message,
    MessageKind,
    MessageState,
    Poll,
    PollOption,
    Reaction,
)
from securechat.names import NameRefused, fold_room_alias, fold_user
from securechat.text import sanitise

FORMAT: Final = "securechat-export/1"

MAX_LINE: Final = 512 * 1024
"""Bytes: a message of 64 KiB in JSON's longest spelling, with its reactions."""

MAX_MESSAGES: Final = 1_000_000
"""Messages of one file: years of a busy room."""

MAX_TEXT: Final = 64 * 1024
"""Code points of a message, as `sanitise` counts them; around a line from right to left stand two more."""

MOST_NAMES: Final = 250
"""Of a reaction, an option, a receipt: with twenty of them, and a text, a line is no longer than above."""

MAX_SHORT: Final = 512
LAST_SECOND: Final = 1 << 40
"""Of a message's time: far beyond any clock, and no number that something trips over."""

Seconds = Annotated[int, Meta(ge=0, le=LAST_SECOND)]
Words = Annotated[str, Meta(max_length=3 * MAX_TEXT)]
Short = Annotated[str, Meta(max_length=MAX_SHORT)]
MimiId = Annotated[str, Meta(pattern=r"^([0-9a-f]{64})?$")]


class NotImported(ClientError):
    """A file that is no export, or one that nobody would write; nothing of it was kept."""


class Header(Struct, frozen=True, kw_only=True):
    """The first line: whose conversation it is, and as of when (seconds since 1970)."""

    format: Literal["securechat-export/1"]
    type: Literal["conversation"] = "conversation"
    user: Short
    room: Short
    kind: Literal["direct", "room", "announcement"]
    title: Short = ""
    topic: Short = ""
    ts: Seconds = 0


class Said(Struct, frozen=True, kw_only=True, rename={"sender": "from"}):
    """A message as the file has it."""

    type: Literal["message"] = "message"
    id: MimiId
    sender: Short
    text: Words
    ts: Seconds
    kind: MessageKind = MessageKind.TEXT
    reply_to: MimiId = ""
    thread: Short = ""
    edited: Seconds = 0
    deleted: bool = False
    reactions: Annotated[tuple[Reaction, ...], Meta(max_length=64)] = ()
    poll: Poll | None = None
    file: FileInfo | None = None


def header_of(conversation: Conversation, *, user: str, now: int) -> Header:
    return Header(
        format=FORMAT,
        user=user,
        room=conversation.name,
        kind=conversation.kind.value,
        title=conversation.title,
        topic=conversation.topic,
        ts=now,
    )


def is_exported(message: Message) -> bool:
    """Whether a message goes into a file: not what is to disappear, nor a placeholder of this device."""
    stays = not message.expires and not message.lifetime
    return stays and message.kind is not MessageKind.UNREADABLE and message.id != ""


def line_of(message: Message) -> dict[str, Any]:
    """The JSON of a message, within the limits of what is read back.

    It has more than that: what only the device knows that wrote it.
    """
    names = {"conversation": "room", "sender": "from", "timestamp": "ts"}
    fields = msgspec.to_builtins(_within_limits(message))
    return {"type": "message"} | {names.get(name, name): value for name, value in fields.items()}


def _within_limits(message: Message) -> Message:
    """A server may tell any time, and a large room has many names: neither makes a file that is refused."""
    poll = message.poll
    if poll is not None:
        options = tuple(PollOption(each.text, each.voters[:MOST_NAMES]) for each in poll.options)
        poll = msgspec.structs.replace(poll, options=options)
    return msgspec.structs.replace(
        message,
        timestamp=_second(message.timestamp),
        edited=_second(message.edited),
        reactions=tuple(Reaction(each.text, each.users[:MOST_NAMES]) for each in message.reactions),
        delivered_to=message.delivered_to[:MOST_NAMES],
        read_by=message.read_by[:MOST_NAMES],
        poll=poll,
    )


def _second(time: int) -> int:
    return min(max(time, 0), LAST_SECOND)


def message_of(said: Said, *, local_id: int, conversation: str, own: bool) -> Message:
    """The message that is shown for what was imported."""
    return Message(
        id=said.id,
        local_id=local_id,
        conversation=conversation,
        sender=said.sender,
        own=own,
        text="" if said.deleted else said.text,
        timestamp=said.ts,
        sequence=0,
        epoch=0,
        state=MessageState.RECEIVED,
        verified=IMPORTED,
        kind=said.kind,
        reply_to=said.reply_to,
        thread=said.thread,
        edited=said.edited,
        deleted=said.deleted,
        reactions=said.reactions,
        poll=said.poll,
        file=said.file,
    )


def read_header(line: bytes) -> Header:
    """Read the first line.

    :raises NotImported: it is none
    """
    header: Header = _read(line, Header, 1)
    with _numbered(1):
        return safe_header(header)


def read_said(line: bytes, number: int) -> Said:
    """Read a message.

    :raises NotImported: it is none
    """
    said: Said = _read(line, Said, number)
    with _numbered(number):
        return safe_said(said)


def safe_header(header: Header) -> Header:
    """Judge whose conversation it is; its words are safe to show afterwards. Done twice it changes nothing.

    :raises NotImported: it is none that could be here
    """
    try:
        room = fold_room_alias(header.room[1:]) if header.room[:1] == "#" else fold_user(header.room[1:])
        user = fold_user(header.user)
    except NameRefused as problem:
        raise NotImported(str(problem)) from None
    if (header.kind == "direct") != (header.room[:1] == "@") or header.room[1:] != room:
        raise NotImported(f"{sanitise(header.room)} is not the name of such a conversation")
    return msgspec.structs.replace(header, user=user, title=_short(header.title), topic=_short(header.topic))


def safe_said(said: Said) -> Said:
    """Judge a message: what it says is safe to show afterwards. Done twice it changes nothing.

    :raises NotImported: nobody could have sent it
    """
    if not said.id:
        raise NotImported("a message without its id")
    try:
        return _made_safe(said)
    except NameRefused as problem:
        raise NotImported(str(problem)) from None


def judge(lines: Iterable[bytes]) -> tuple[Header, int]:
    """Read a whole file; return its first line and how many messages it has.

    :raises NotImported: something in it is not as it should be, with the line's number
    """
    numbered: Iterator[tuple[int, bytes]] = enumerate(lines, 1)
    first = next(numbered, None)
    if first is None:
        raise NotImported("the file is empty")
    header = read_header(first[1])
    count = 0
    for number, line in numbered:
        read_said(line, number)
        count += 1
        if count > MAX_MESSAGES:
            raise NotImported(f"more than {MAX_MESSAGES:,} messages: split the file")
    return header, count


def _read(line: bytes, kind: Any, number: int) -> Any:  # noqa: ANN401 - as the type says
    if len(line) > MAX_LINE:
        raise NotImported(f"line {number} is longer than {MAX_LINE // 1024} KiB")
    try:
        return msgspec.json.decode(line, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as problem:
        raise NotImported(f"line {number} is not of an export: {sanitise(str(problem))}") from None


@contextmanager
def _numbered(number: int) -> Iterator[None]:
    try:
        yield
    except NotImported as problem:
        raise NotImported(f"line {number}: {problem}") from None


def _made_safe(said: Said) -> Said:
    return msgspec.structs.replace(
        said,
        sender=fold_user(said.sender),
        text=_text(said.text),
        thread=_short(said.thread),
        reactions=tuple(
            Reaction(sanitise(each.text, limit=32), _users(each.users)) for each in said.reactions
        ),
        poll=_safe_poll(said.poll),
        file=_safe_file(said.file),
    )


def _text(text: str) -> str:
    """A body that is still a `Words`: each line of some scripts gets two code points more."""
    return sanitise(text, multiline=True, limit=MAX_TEXT)


def _short(text: str) -> str:
    return sanitise(text, limit=MAX_SHORT - 2)


def _safe_poll(poll: Poll | None) -> Poll | None:
    if poll is None:
        return None
    options = tuple(PollOption(sanitise(each.text), _users(each.voters)) for each in poll.options[:64])
    return Poll(sanitise(poll.question), options, poll.closed)


def _safe_file(file: FileInfo | None) -> FileInfo | None:
    """Of a file only what it was: where it lay, and pictures of it, are not taken from a stranger."""
    if file is None:
        return None
    size = min(max(file.size, 0), 1 << 50)
    return FileInfo(name=sanitise(file.name), content_type=sanitise(file.content_type), size=size)


def _users(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(fold_user(name) for name in list(names)[:1000])
