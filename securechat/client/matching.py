"""The fuzzy switcher: which of many names a few typed letters mean.

A name matches when it has the letters in their order, with anything between them. The best match
is the one whose letters begin words and stand together.
"""

from collections.abc import Iterable
from typing import Final

MAX_TYPED: Final = 64
"""Letters that are looked at: no name is longer."""

_TOGETHER: Final = 5
_BEGINS_WORD: Final = 8
_BEGINS_NAME: Final = 4
_SKIPPED: Final = -1
_NONE: Final = -(1 << 30)
_BORDERS: Final = frozenset("@#-_. /")


def score(typed: str, name: str) -> int | None:
    """Return how well the letters fit the name, more is better; None if they do not.

    Letters of either case are one, spaces in what was typed are nothing, no letters fit everything with 0.
    """
    letters = "".join(typed.casefold().split())[:MAX_TYPED]
    within = name.casefold()[: 4 * MAX_TYPED]
    if not letters:
        return 0
    # best[i]: the best score of the letters so far when the last of them stands at i.
    best = [_NONE] * len(within)
    for number, letter in enumerate(letters):
        best = _placed(best, letter, within, first=number == 0)
    found = max(best, default=_NONE)
    return None if found == _NONE else found - len(within) // 8


def matches(typed: str, names: Iterable[str]) -> list[str]:
    """Return the names that fit, the best first; equally good ones in their order."""
    scored = [(fit, name) for name in names if (fit := score(typed, name)) is not None]
    return [name for _fit, name in sorted(scored, key=lambda pair: -pair[0])]


def _placed(best: list[int], letter: str, within: str, *, first: bool) -> list[int]:
    """Where the next letter may stand, and how well, given where the one before it may."""
    placed = [_NONE] * len(within)
    reached = 0 if first else _NONE
    for place, found in enumerate(within):
        if found == letter:
            together = _NONE if first or place == 0 else best[place - 1]
            if together != _NONE:
                together += _TOGETHER
            if (start := max(reached, together)) != _NONE:
                placed[place] = start + _place_of(within, place)
        if not first:
            reached = max(reached, best[place])
        if reached != _NONE:
            reached += _SKIPPED
    return placed


def _place_of(within: str, place: int) -> int:
    if place == 0 or (place == 1 and within[0] in _BORDERS):
        return _BEGINS_WORD + _BEGINS_NAME
    return _BEGINS_WORD if within[place - 1] in _BORDERS else 0
