"""What a command says: on a terminal it breaks between words, in a pipe it is as it was made.

A terminal of its own breaks wherever a row ends, inside words. Here each line is broken between words; what
is left of it stands two columns further in, so that no text can pass for a line of its own. What a person
copies stays whole: a command, a code in backticks, a number of several groups. What is longer than a row, and
right-to-left text, whose marks stand around all of a line, is left to the terminal.
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
_ISOLATE: Final = "\N{FIRST STRONG ISOLATE}"


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
    if _cells(line) <= width or _ISOLATE in line or ESCAPE in line:
        yield line
        return
    indent = " " * min(len(line) - len(bare) + INDENT, width // 2)
    row = line[: len(line) - len(bare)]
    used, at = len(row), 0
    for found in _TOGETHER.finditer(bare):
        gap, at = bare[at : found.start()], found.end()
        cells = _cells(found[0])
        if row.strip() and used + len(gap) + cells > width:
            yield row
            row, used, gap = indent, len(indent), ""
        row, used = row + gap + found[0], used + len(gap) + cells
    yield row


def _cells(text: str) -> int:
    """How many cells of a terminal a text takes at most."""
    if text.isascii():
        return len(text)
    return sum(1 + (unicodedata.east_asian_width(each) in "WF") for each in text)
