r"""The one sanitiser: what others wrote becomes text that cannot act (U-01, U-02, U-03).

Every string from outside (bodies, names, file names, a server's words) passes here once, at
the boundary to the model. What comes out

- holds no control, no lone surrogate, no bidi control inside, no invisible character: each is
  shown as a visible escape (``\x1b``, ``\u202e``);
- keeps what scripts and emoji need: joiners, variation selectors and flag tags in the places
  where they mean something, a bounded number of marks on each letter;
- cannot change the order of its neighbours: a line with right-to-left text stands between
  FSI and PDI;
- is no longer than asked.

Cleaning twice changes nothing.
"""

import re
import unicodedata
from typing import Final

MAX_LINE: Final = 512
"""Default length: names, topics, error texts. A body's caller says its own limit."""

MAX_MARKS: Final = 6
"""Marks kept on one letter: Hebrew with cantillation needs four, stacked Tibetan six."""

MOST_PER_SHOWN: Final = 4
"""Of a text that is so many times as long as what is shown of it, the rest is not even looked at."""

MAX_JOINERS: Final = 3
"""Joiners kept in one character: a family of four has three. A terminal that joins none draws each part."""

_TAB: Final = "    "
_CUT: Final = "…"
_TOO_MANY_MARKS: Final = "\N{REPLACEMENT CHARACTER}"
_HOLDER: Final = "\N{DOTTED CIRCLE}"
"""Carries a mark that has no letter before it, so that it does not sit on a neighbour's."""

_FSI: Final = "\N{FIRST STRONG ISOLATE}"
_PDI: Final = "\N{POP DIRECTIONAL ISOLATE}"
_ZWJ: Final = "\N{ZERO WIDTH JOINER}"
_ZWNJ: Final = "\N{ZERO WIDTH NON-JOINER}"

_MARKS: Final = frozenset({"Mn", "Mc", "Me"})
_NEVER: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
"""Categories that are shown as escapes unless a rule below keeps the character."""

_PREPENDED: Final = frozenset(map(chr, (*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2)))
"""Of category Cf, yet visible: signs that enclose the number after them."""

_FLAG: Final = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{2,6}\U000e007f")
"""The only use of tag characters that is shown: a flag of a part of a country (UTS 51, ED-14a)."""

_PLAIN: Final = re.compile(
    "[ -~\xa1-\xac\xae-\u02ff\u0370-\u0482\u048a-\u052f\u05d0-\u05ea\u0620-\u064a\u0671-\u06d3"
    "\u1e00-\u1eff\u2010-\u2027\u2030-\u205e\u20a0-\u20c0\u3001-\u3029\u3041-\u3096\u30a0-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3"
    "\uff01-\uff9f]+"
)
"""Runs of what is always kept: letters and signs of the common scripts, without marks. For speed only."""

_ALIKE: Final = ("LATIN ", "CYRILLIC ", "GREEK ", "ARMENIAN ", "CHEROKEE ", "COPTIC ", "LISU ")
"""Alphabets of which many letters are drawn like those of another (UTS 39)."""

_Ranges = tuple[tuple[int, int], ...]

_INVISIBLE: Final[_Ranges] = (
    (0x034F, 0x034F),
    (0x115F, 0x1160),
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x2065, 0x2065),
    (0x3164, 0x3164),
    (0xFDD0, 0xFDEF),
    (0xFE00, 0xFE0F),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFF8),
    (0xE0000, 0xE0FFF),
)
"""Default-ignorable code points outside category Cf (DerivedCoreProperties), and noncharacters."""

_EMOJI: Final[_Ranges] = (
    (0x00A9, 0x00A9),
    (0x00AE, 0x00AE),
    (0x203C, 0x203C),
    (0x2049, 0x2049),
    (0x2122, 0x2139),
    (0x2190, 0x23FF),
    (0x24C2, 0x24C2),
    (0x25A0, 0x27BF),
    (0x2900, 0x297F),
    (0x2B00, 0x2BFF),
    (0x3030, 0x303D),
    (0x3297, 0x3299),
    (0x1F000, 0x1FAFF),
)
_KEYCAPS: Final = frozenset("0123456789#*")
_IDEOGRAPHS: Final[_Ranges] = ((0x3400, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF))
_JOINING: Final[_Ranges] = ((0x0620, 0x08FF), (0x1820, 0x18AA), (0xA840, 0xA873))
"""Scripts whose letters join, so that a joiner between two of them changes their shape."""

_RIGHT_TO_LEFT: Final = re.compile(
    "[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff\U00010800-\U00010fff\U0001e800-\U0001efff]"
)
"""Blocks that are right to left by default, whatever is assigned in them (UAX 9, table 4)."""


def sanitise(text: str, *, multiline: bool = False, limit: int = MAX_LINE) -> str:
    r"""Make remote text safe to show.

    :param multiline: keep line ends; otherwise they are shown as ``\n``
    :param limit: length of the result in code points, not counting FSI and PDI around a line;
        what is longer is cut and ends in ``…``
    """
    if len(text) <= limit and text.isascii() and text.isprintable():
        return text
    lines = text.replace("\r\n", "\n").split("\n") if multiline else [text]
    whole = "\n".join(map(_unwrapped, lines))
    most = MOST_PER_SHOWN * max(limit, 1)
    if len(whole) > most:
        whole = whole[:most] + _CUT
    clean = _cut("\n".join(map(_visible, whole.split("\n") if multiline else [whole])), limit)
    return "\n".join(_isolated(line) for line in clean.split("\n"))


def mixes_alphabets(name: str) -> bool:
    """Whether a name has letters of several alphabets that look alike: it could pass for another name."""
    names = [unicodedata.name(c, "") for c in name]
    return sum(any(each.startswith(alphabet) for each in names) for alphabet in _ALIKE) > 1


def escape(character: str) -> str:
    """Spell one character as a visible escape, like a Python literal does."""
    return character.encode("unicode_escape").decode("ascii")


def _visible(line: str) -> str:
    """Show one line: every character is kept, or spelled as an escape."""
    shown: list[str] = []
    marks, joined, i = 0, 0, 0
    while i < len(line):
        plain = _PLAIN.match(line, i) or _FLAG.match(line, i)
        if plain is not None:
            joined = joined if len(plain[0]) == 1 and shown and shown[-1] == _ZWJ else 0
            shown.append(plain[0])
            marks, i = 0, plain.end()
            continue
        c, i = line[i], i + 1
        if unicodedata.category(c) in _MARKS and not _within(c, _INVISIBLE):
            marks += 1
            shown.append(_mark(c, marks, alone=not shown))
            continue
        before = shown[-1][-1:] if shown else ""
        joined = _joined(joined, c, before, line[i : i + 1])
        kept = joined <= MAX_JOINERS and _is_kept(c, before, line[i : i + 1])
        shown.append(c if kept else _TAB if c == "\t" else escape(c))
        # A joiner belongs to its letter: it does not start the count anew.
        marks = marks if kept and c in (_ZWJ, _ZWNJ) else 0
    return "".join(shown)


def _joined(joined: int, c: str, before: str, after: str) -> int:
    """Count what is joined into one character, up to and with this code point."""
    if c == _ZWJ:
        # What a joiner before a mark joins has its letter already.
        return joined + 1 if unicodedata.category(after or " ") not in _MARKS else joined
    goes_on = before == _ZWJ or c == _ZWNJ or "\ufe00" <= c <= "\ufe0f" or "\U0001f3fb" <= c <= "\U0001f3ff"
    return joined if goes_on else 0


def _mark(mark: str, count: int, *, alone: bool) -> str:
    if count > MAX_MARKS:
        return _TOO_MANY_MARKS if count == MAX_MARKS + 1 else ""
    return _HOLDER + mark if alone else mark


def _is_kept(c: str, before: str, after: str) -> bool:
    """Whether a character that is neither ASCII nor a mark stays as it is, between its neighbours."""
    if c in (_ZWJ, _ZWNJ):
        return _is_joiner_kept(c, before, after)
    if "\ufe00" <= c <= "\ufe0f":
        return _is_emoji(before) or before in _KEYCAPS or _within(before, _IDEOGRAPHS)
    if "\U000e0100" <= c <= "\U000e01ef":
        return _within(before, _IDEOGRAPHS)
    if _within(c, _INVISIBLE) or ord(c) & 0xFFFE == 0xFFFE:
        return False
    return unicodedata.category(c) not in _NEVER or c in _PREPENDED


def _is_joiner_kept(joiner: str, before: str, after: str) -> bool:
    """RFC 5892, appendix A.1 and A.2: after a virama or between joining letters; and inside emoji."""
    if not before or not after:
        return False
    if unicodedata.combining(before) == 9 or (_within(before, _JOINING) and _within(after, _JOINING)):
        return unicodedata.category(after) not in _NEVER
    return joiner == _ZWJ and (_is_emoji(before) or before == "\ufe0f") and _is_emoji(after)


def _is_emoji(c: str) -> bool:
    return _within(c, _EMOJI)


def _within(c: str, ranges: _Ranges) -> bool:
    return c != "" and any(first <= ord(c) <= last for first, last in ranges)


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    # What hangs on a character that is now gone would be an escape next time.
    kept = text[: max(limit - len(_CUT), 0)].rstrip(_ZWJ + _ZWNJ)
    while kept and "\U000e0000" <= kept[-1] <= "\U000e007f":
        kept = kept[:-1]
    return (kept + _CUT)[:limit]


def _unwrapped(line: str) -> str:
    """Take off the isolate that an earlier pass put around the line."""
    wrapped = len(line) >= 2 and line[0] == _FSI and line[-1] == _PDI
    return line[1:-1] if wrapped else line


def _isolated(line: str) -> str:
    """Keep right-to-left text from ordering what stands beside it (UAX 9, section 2.4)."""
    return f"{_FSI}{line}{_PDI}" if _RIGHT_TO_LEFT.search(line) else line
