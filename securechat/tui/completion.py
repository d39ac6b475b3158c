"""What Tab makes of the word before the cursor: names, commands, emoji. Pure."""

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from securechat.client.commands import ACTIONS, ALIASES, COMMANDS
from securechat.tui.emoji import EMOJI

MAX_OFFERED: Final = 50


class Completion(Struct, frozen=True):
    """Texts that may stand instead of what lies between two places of a line."""

    start: int
    end: int
    offers: tuple[str, ...]


def complete(text: str, cursor: int, names: Iterable[str]) -> Completion:
    """Return what may stand instead of the word that ends at the cursor.

    :param names: ``@users`` and ``#rooms`` at hand
    """
    start = max(text.rfind(gap, 0, cursor) for gap in " \n\t") + 1
    word = text[start:cursor]
    found: list[str] = []
    if word.startswith("/") and start == 0:
        found = [f"/{name} " for name in sorted({*COMMANDS, *ALIASES}) if name.startswith(word[1:].lower())]
    elif word[:1] in {"@", "#"}:
        found = [f"{name} " for name in sorted(set(names)) if name.startswith(word.lower())]
    elif word.startswith(":") and len(word) > 1:
        short = word[1:].rstrip(":").lower()
        found = [f"{sign} " for name, sign in EMOJI.items() if name.startswith(short)]
    else:
        actions = ACTIONS.get(text[1:start].rstrip(), ()) if text.startswith("/") else ()
        found = [f"{action} " for action in actions if action.startswith(word.lower())]
        if word:
            found += [f"{name} " for name in sorted(set(names)) if name[1:].startswith(word.lower())]
    return Completion(start, cursor, tuple(found[:MAX_OFFERED]))


def fuzzy(wanted: str, names: Iterable[str]) -> list[str]:
    """Return the names that have these letters in this order, the best first; all for no letters."""
    letters = wanted.lower().strip()
    scored = [(_distance(letters, name.lower()), at, name) for at, name in enumerate(names)]
    return [name for score, _, name in sorted(scored, key=lambda one: one[:2]) if score >= 0]


def _distance(letters: str, name: str) -> int:
    """How far apart the letters lie in a name, and how far from its start; -1 if they are not there."""
    at, first = -1, -1
    for letter in letters:
        at = name.find(letter, at + 1)
        if at < 0:
            return -1
        first = at if first < 0 else first
    return 0 if not letters else (at - first + 1 - len(letters)) * 10 + max(first - 1, 0)
