"""Which text with places a sentence is an instance of, and what stands in its places."""

import string
from collections.abc import Mapping
from typing import Final

from msgspec import Struct

LEAST: Final = 5
"""Characters of its own that a text needs to be found again: fewer are in too many sentences."""


class Pattern(Struct, frozen=True):
    """A text cut at its places: one more piece than names. Both ``{0}`` and ``{who}`` are places."""

    pieces: tuple[str, ...]
    names: tuple[str, ...]

    @property
    def weight(self) -> int:
        """How much it says itself: of two that fit a sentence, the one that says more is meant."""
        return sum(map(len, self.pieces))

    def read(self, sentence: str) -> Mapping[str, str] | None:
        """Return what stands in the places; None if it is no instance of this text.

        Each piece is looked for where it stands first, and the last at the end: if the sentence is an
        instance at all this finds it, in one walk, whatever somebody has put in the places.
        """
        first, *others = self.pieces
        if not sentence.startswith(first):
            return None
        places: dict[str, str] = {}
        at, last = len(first), len(others) - 1
        for number, (name, piece) in enumerate(zip(self.names, others, strict=True)):
            if number < last:
                end = sentence.find(piece, at)
            else:
                end = len(sentence) - len(piece) if sentence.endswith(piece) else -1
            if end < at or places.setdefault(name, sentence[at:end]) != sentence[at:end]:
                return None
            at = end + len(piece)
        return places


def pattern_of(text: str) -> Pattern | None:
    """Cut a text at its places; None if it has none, or says too little itself."""
    pieces, names = [""], []
    for literal, name, _form, _conversion in string.Formatter().parse(text):
        pieces[-1] += literal
        if name is not None:
            names.append(name)
            pieces.append("")
    pattern = Pattern(tuple(pieces), tuple(names))
    return pattern if names and pattern.weight >= LEAST else None


def filled(text: str, places: Mapping[str, str]) -> str:
    """Put these into the places of a text, and nothing else: what stands in them is no text with places."""
    parts = string.Formatter().parse(text)
    return "".join(literal + ("" if name is None else places.get(name, "")) for literal, name, *_ in parts)
