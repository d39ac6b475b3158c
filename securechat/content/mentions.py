"""Mentions: links to people, in Markdown (sections "Mentions" and "Link and Mention handling").

A text that names nobody is sent as plain text. One that does is Markdown: each name is a link to
the person's URI, and what would be read as HTML is escaped, as the draft asks. Reading turns the
same links into names, whatever their sender called them, and takes the escapes back; nothing else
of Markdown means anything here.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from securechat.names import NameRefused, fold_user, parse_user_uri

MARKDOWN: Final = "text/markdown;variant=GFM-MIMI"

_TYPED: Final = re.compile(r"(?<![\w@/.:-])@([A-Za-z][A-Za-z0-9._-]{0,31})(?![\w@])")
_LINK: Final = re.compile(r"\[[^\[\]\n]{0,256}\]\((mimi://[^\s()<>]{1,300})\)|<(mimi://[^\s()<>]{1,300})>")
_HTML: Final = re.compile(r"<(?=[A-Za-z/!?])|&(?=(?:lt|amp);)")
_ESCAPED: Final = re.compile(r"&(lt|amp);")
_ESCAPES: Final = {"<": "&lt;", "&": "&amp;"}
_MEANS: Final = {"lt": "<", "amp": "&"}


class Mentioning(NamedTuple):
    """A text as it is shown, and the URIs of the people it names."""

    text: str
    people: frozenset[str]


def with_mentions(text: str, people: Mapping[str, str]) -> str | None:
    """Return a typed text as Markdown in which ``@name`` is a link; None if it names none of these people.

    :param people: user name -> URI
    """
    pieces: list[str] = []
    end = 0
    for found in _TYPED.finditer(text):
        name = _named(found[1], people)
        if name is None:
            continue
        pieces += [_escape(text[end : found.start()]), f"[@{name}]({people[name]})"]
        end = found.start() + 1 + len(name)
    return "".join([*pieces, _escape(text[end:])]) if pieces else None


def without_links(markdown: str, domain: str) -> Mentioning:
    """Return a Markdown text as it is shown: people of ``domain`` by name, all else as it was typed."""
    people: set[str] = set()
    pieces: list[str] = []
    end = 0
    for found in _LINK.finditer(markdown):
        uri = found[1] or found[2]
        try:
            parsed = parse_user_uri(uri)
        except NameRefused:
            continue
        if parsed.domain != domain:
            continue
        people.add(uri)
        pieces += [_unescape(markdown[end : found.start()]), f"@{parsed.name}"]
        end = found.end()
    return Mentioning("".join([*pieces, _unescape(markdown[end:])]), frozenset(people))


def _named(typed: str, people: Mapping[str, str]) -> str | None:
    """Return whom a typed name means: the end of a sentence is no part of it."""
    name = fold_user(typed)
    while name and name not in people and name[-1] in "._-":
        name = name[:-1]
    return name if name in people else None


def _escape(text: str) -> str:
    return _HTML.sub(lambda found: _ESCAPES[found[0]], text)


def _unescape(text: str) -> str:
    return _ESCAPED.sub(lambda found: _MEANS[found[1]], text)
