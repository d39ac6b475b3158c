"""Text into rows of a width: by words where that can be, by what the eye sees as one character where not.

Widths are terminal cells. A row never ends inside a character that is made of several code points, and
right-to-left text is isolated in each row by itself: beside it, on the same row, stands another panel.
"""

from typing import Final

from rich.cells import cell_len, split_graphemes

from securechat.text import sanitise

FSI: Final = "\N{FIRST STRONG ISOLATE}"
PDI: Final = "\N{POP DIRECTIONAL ISOLATE}"

MAX_TEXT: Final = 16_384
"""Code points of one message that are drawn; no message may be longer on the wire than 64 KiB."""


def clean(text: str) -> str:
    """One line of remote text, safe to draw; what was cleaned before stays as it is."""
    return sanitise(text)


def clean_block(text: str) -> str:
    """Remote text of several lines, safe to draw."""
    return sanitise(text, multiline=True, limit=MAX_TEXT)


def rows(text: str, width: int) -> list[str]:
    """Break clean text into rows of at most ``width`` cells; at least one row, none if there is no room."""
    if width < 1:
        return []
    return [isolated(row) for line in text.split("\n") for row in _rows_of(_bare(line), width)]


def cut(text: str, width: int) -> str:
    """Return as much of one clean line as fits, with ``…`` for the rest."""
    bare = _bare(text)
    if cell_len(bare) <= width:
        return isolated(bare)
    if width < 1:
        return ""
    return isolated(_first(bare, width - 1) + "…")


def isolated(row: str) -> str:
    """Isolate right-to-left text that a cut or a break has parted from its marks."""
    if row.isascii():
        return row
    return sanitise(row, limit=MAX_TEXT)


def _bare(line: str) -> str:
    """The line without the marks around it; no other isolate passes the sanitiser."""
    return line.replace(FSI, "").replace(PDI, "")


def _first(line: str, width: int) -> str:
    spans, _ = split_graphemes(line)
    end = used = 0
    for _start, stop, cells in spans:
        if used + cells > width:
            break
        used, end = used + cells, stop
    return line[:end]


def _rows_of(line: str, width: int) -> list[str]:
    if (len(line) <= width and line.isascii()) or cell_len(line) <= width:
        return [line]
    found: list[str] = []
    begin = used = 0
    gap = -1  # behind the last space of the row: where it may end
    for start, stop, cells in split_graphemes(line)[0]:
        if line[start:stop] == " " and used + cells > width:  # a space may hang over the end
            found.append(line[begin:start])
            begin, used, gap = stop, 0, -1
            continue
        while used + cells > width and start > begin:
            end = gap if gap > begin else start
            found.append(line[begin:end].rstrip(" "))
            begin, used, gap = end, cell_len(line[end:start]), -1
        if cells > width:  # one character that is wider than the row
            found.append("…")
            begin, used, gap = stop, 0, -1
            continue
        used += cells
        if line[start:stop] == " ":
            gap = stop
    if begin < len(line) or not found:
        found.append(line[begin:])
    return found
