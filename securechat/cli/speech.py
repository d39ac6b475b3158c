"""What a command says: on a terminal it breaks between words, in a pipe it is as it was made.

A terminal of its own breaks wherever a row ends, inside words. Here each line is broken between words; what
is left of it stands two columns further in, so that no text of several words can pass for a line of its own.
What a person copies stays whole where a row holds it: a command, a code in backticks, a number of several
groups. A single word that is longer than a row is left to the terminal. Right-to-left text has its marks
around each row.
"""

import os
import re
import sys
import unicodedata
from collections.abc import Iterator
from typing import Final, TextIO

import click

INDENT: Final = 2
ESCAPE: Final = "\x1b"
"""Only in what is drawn: nothing of somebody else's has one left."""

NARROWEST: Final = 20
"""Columns: on less there is no room for words beside each other."""

_WHOLE: Final = (
    r"`[^`]*`\S*",  # what stands in backticks, and what closes behind it
    r"(?:(?<=[:;,]\s)|^)securechat\s[^;,]+",  # a command, with what is given to it
    r"\d{5}(?:\s\d{5})+\S*",  # a number to compare
    r"\S+",
)
_TOGETHER: Final = re.compile("|".join(_WHOLE))
_WORD: Final = re.compile(r"[^\s\u2800\U0001d159]+")  # these two are drawn blank, and no spaces
_ISOLATE: Final = "\N{FIRST STRONG ISOLATE}"
_POP: Final = "\N{POP DIRECTIONAL ISOLATE}"


def show(text: str) -> None:
    """Print what was asked for."""
    click.echo(by_words(text, columns(sys.stdout)))


def tell(text: str) -> None:
    """Say something to the person: on stderr, so that it is no part of what was asked for."""
    click.echo(by_words(text, columns(sys.stderr)), err=True)


def columns(stream: TextIO) -> int:
    """Return how wide a person reads what goes there; 0: nobody does, or it is not known."""
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):  # no terminal; or closed, or no file at all
        return 0


def by_words(text: str, width: int) -> str:
    """Break the lines of a text between words, where they are longer than a row.

    :param width: cells of a row; 0 for no end
    """
    if width < NARROWEST:
        return text
    return "\n".join(row for line in text.split("\n") for row in _rows(line, width))


def _rows(line: str, width: int) -> Iterator[str]:
    bare = line.lstrip(" ")
    if _cells(line) <= width or ESCAPE in line:
        yield line
        return
    margin = len(line) - len(bare)
    indent = " " * min(margin + INDENT, width // 2)
    row, used, at, begun = line[:margin], margin, 0, False
    for start, end in _pieces(bare, width - len(indent)):
        gap, piece, at = bare[at:start], bare[start:end], end
        if begun and used + _cells(gap + piece) > width:
            inside = row.count(_ISOLATE) > row.count(_POP)
            yield row + _POP * inside
            row, used, gap = indent + _ISOLATE * inside, len(indent), ""
        row, used, begun = row + gap + piece, used + _cells(gap + piece), True
    yield row


def _pieces(text: str, most: int) -> Iterator[tuple[int, int]]:
    """Say from where to where each piece goes that stays whole: of what no row holds, its words."""
    for found in _TOGETHER.finditer(text):
        if _cells(found[0]) <= most:
            yield found.span()
        else:
            yield from (each.span() for each in _WORD.finditer(text, *found.span()))


def _cells(text: str) -> int:
    """About how many cells of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(1 + (unicodedata.east_asian_width(each) in "WF") for each in text)
