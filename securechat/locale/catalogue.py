"""The one catalogue of what we say to people: English stands in the code, other languages beside this file.

`tr` is gettext by another name. A language is a ``.po`` file that is read as it lies: nothing has to be
compiled before it works, in a checkout or in a wheel. What a file lacks is said in English.

What the floors below say of holds, errors and notices is English there, with its code, on the socket and in
the store: for programs, and for whoever speaks another language than the process that holds the account.
Where a person reads it, `told` finds which text of the catalogue it is an instance of, and says that one.
So a note that was kept years ago, or came from another version, is translated too.
"""

import functools
import os
import re
from collections.abc import Mapping
from typing import Any, Final

ENGLISH: Final = "en"

MAX_TOLD: Final = 4096
"""Code points of a sentence of ours; what is longer is said as it is."""

MAX_DEPTH: Final = 4
"""Sentences within sentences: a notice of a refusal with its reason has three."""

_LANGUAGE: Final = re.compile(r"[a-z]{2,3}")
_VARIABLES: Final = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
"""Where a person says it, the first that is set wins (gettext's own order)."""

_said: dict[str, str] = {}


def use(language: str) -> None:
    """Speak this language from here on; one that is not here is English."""
    global _said  # noqa: PLW0603 - a process speaks one language
    if language == ENGLISH:
        _said = {}  # a one-shot reads no folder for that
    else:
        from securechat.locale.po import load  # noqa: PLC0415 - as above

        _said = load(language)
    _patterns.cache_clear()


def tr(text: str) -> str:
    """Return what the language in use says for an English text."""
    return _said.get(text) or text


def say(text: str, /, **places: object) -> str:
    """The same, with its places filled in."""
    return tr(text).format(**places)


def mark(text: str) -> str:
    """Return the text: it stands in a table, and is translated where it is said."""
    return text


def told(sentence: str) -> str:
    """Say an English sentence that was made elsewhere; as it is where it is no text of the catalogue."""
    if not _said or len(sentence) > MAX_TOLD:
        return sentence
    return _told(sentence, MAX_DEPTH)


def wanted(environment: Mapping[str, str] = os.environ) -> str:
    """Return the language that the environment asks for; ``en`` for none or one that is not here."""
    for variable in _VARIABLES:
        if value := environment.get(variable, ""):
            found = _LANGUAGE.match(value)
            asked = found[0] if found else ENGLISH
            if asked == ENGLISH:
                return ENGLISH
            from securechat.locale.po import languages  # noqa: PLC0415 - it reads a folder

            return asked if asked in languages() else ENGLISH
    return ENGLISH


@functools.cache
def _patterns() -> tuple[tuple[Any, str], ...]:
    """Every text with places as a `Pattern`, those that say most themselves first."""
    from securechat.locale.reading_back import pattern_of  # noqa: PLC0415 - who speaks English needs none

    found = ((pattern_of(text), said) for text, said in _said.items())
    known = [(pattern, said) for pattern, said in found if pattern is not None]
    return tuple(sorted(known, key=lambda each: -each[0].weight))


def _told(sentence: str, depth: int) -> str:
    from securechat.locale.reading_back import filled  # noqa: PLC0415 - as above

    if sentence in _said:
        return _said[sentence]
    for pattern, said in _patterns() if depth else ():
        places = pattern.read(sentence)
        if places is not None:
            return filled(said, {name: _inner(text, depth) for name, text in places.items()})
    head, between, rest = sentence.partition(": ")
    if not between or not depth:
        return sentence
    return f"{_inner(head, depth)}{between}{_inner(rest, depth)}"


def _inner(text: str, depth: int) -> str:
    """What stands in a place: a name is one word, and is nobody's to translate."""
    return _told(text, depth - 1) if " " in text else text
