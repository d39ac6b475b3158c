"""A conversation as a file that other programs read: JSON lines, Markdown, a page of HTML.

Each format has a beginning, a piece for each message and an end, so that a file of any length is
written as it is read. Nothing that somebody said is markup in it: not of Markdown, not of HTML.
"""

import html
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import msgspec

from securechat.client.doubt import doubt
from securechat.client.events import Message
from securechat.client.exported import Header, line_of


@dataclass(frozen=True, slots=True)
class Format:
    """How a file of this kind is written."""

    begin: Callable[[Header], str]
    message: Callable[[Message], str]
    end: str


_PAGE: Final = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width">
<title>{name}</title>
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }}
article {{ margin: 0 0 1rem; }}
header span, footer {{ color: #666; }}
p {{ margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; }}
@media (prefers-color-scheme: dark) {{ body {{ background: #111; color: #ddd; }} }}
</style>
</head>
<body>
<h1 dir="auto">{name}</h1>
<p dir="auto">{about}</p>
"""

_MARKUP: Final = re.compile(r"([\\`*_{}\[\]<>#|~!&$^])")
"""Signs that mean something in Markdown wherever they stand, GitHub's and others'."""

_LINE_MARKUP: Final = re.compile(r"^([^\S\n]*\d*)([-+=:.)])", re.MULTILINE)
"""What means something at the beginning of a line."""

_INDENT: Final = re.compile(r"^ {4,}", re.MULTILINE)
"""Four spaces would make a line of code, in which the escapes of all other signs can be seen."""


def _json_begin(header: Header) -> str:
    return msgspec.json.encode(header).decode() + "\n"


def _json_message(message: Message) -> str:
    return msgspec.json.encode(line_of(message)).decode() + "\n"


def _markdown_begin(header: Header) -> str:
    return f"# {_plain(header.room)}\n\n{_plain(_about(header))}\n"


def _markdown_message(message: Message) -> str:
    head = f"**@{_plain(message.sender)}** {_when(message.timestamp)}"
    notes = "".join(f" _{_plain(note)}_" for note in _notes(message))
    said = "".join(f"> {line}\n" for line in _plain(_words(message)).split("\n"))
    return f"\n{head}{notes}\n\n{said}"


def _html_begin(header: Header) -> str:
    return _PAGE.format(name=html.escape(header.room), about=html.escape(_about(header)))


def _html_message(message: Message) -> str:
    notes = "".join(f" <span>{html.escape(note)}</span>" for note in _notes(message))
    return (
        f'<article>\n<header><b dir="auto">@{html.escape(message.sender)}</b>'
        f" <span>{_when(message.timestamp)}</span>{notes}</header>\n"
        f'<p dir="auto">{html.escape(_words(message))}</p>\n</article>\n'
    )


FORMATS: Final = {
    "jsonl": Format(_json_begin, _json_message, ""),
    "md": Format(_markdown_begin, _markdown_message, ""),
    "html": Format(_html_begin, _html_message, "</body>\n</html>\n"),
}


def _about(header: Header) -> str:
    topic = f" ({header.topic})" if header.topic else ""
    return f"What {header.user} had of {header.room}{topic} on {_when(header.ts)}. Times are UTC."


def _when(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%d %H:%M")
    except (OverflowError, OSError, ValueError):
        return "????-??-?? ??:??"


def _words(message: Message) -> str:
    if message.poll is not None:
        options = (f"{len(each.voters)} {each.text}" for each in message.poll.options)
        return "\n".join([message.poll.question, *options])
    if message.file is not None:
        return "\n".join(filter(None, [f"[{message.file.name}, {message.file.size} bytes]", message.text]))
    return message.text


def _notes(message: Message) -> list[str]:
    """What is to be known of a message beside its words."""
    notes = [f"in {message.thread}"] if message.thread else []
    notes += ["deleted"] if message.deleted else ["edited"] if message.edited else []
    notes += [word] if (word := doubt(message.verified)) else []
    return notes + [f"{each.text} {', '.join(each.users)}" for each in message.reactions]


def _plain(text: str) -> str:
    """Text that Markdown shows as it is."""
    escaped = _LINE_MARKUP.sub(r"\1\\\2", _MARKUP.sub(r"\\\1", text))
    return _INDENT.sub(lambda found: "&nbsp;" * len(found[0]), escaped)
